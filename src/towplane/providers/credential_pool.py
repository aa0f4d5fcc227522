"""The credentials of one provider as a pool: which one is sent now.

    401, 402, 403   the credential is parked, and says so, until it is renewed or a while has passed
    429             the next one is tried; this one is left alone at this target for as long as told
    5xx             says nothing about a credential

The pool stays with one credential until that one is parked or limited, because prompt caches and
stored conversations belong to an account. Pure: the clock is passed in. Knows no request.
"""

from typing import NamedTuple

from towplane.providers.adapter import Credential

__all__ = ["CredentialPool", "CredentialStanding", "conceal"]

_PARK_S = 30.0
"""A refused credential is tried again after this, doubled each time it is refused again."""
_LONGEST_PARK_S = 600.0


def conceal(credential: Credential, text: str) -> str:
    """A provider's words without the secret that it was sent: some quote the key they refuse."""
    secrets = [value.rpartition(" ")[2] for _, value in credential.headers]
    for secret in (*secrets, *(credential.aws or ())[1:]):
        if secret:
            text = text.replace(secret, "…")
    return text


class CredentialStanding(NamedTuple):
    """A credential at a moment."""

    name: str
    state: str
    """`ready`, `parked` (refused), or `missing` (it cannot be had)."""
    reason: str
    parked_s: float


class _Parked(NamedTuple):
    until: float
    seconds: float
    reason: str
    credential: Credential


class CredentialPool:
    """The credentials of one provider in one worker."""

    __slots__ = ("_all", "_parked", "_turn", "only")

    def __init__(self) -> None:
        self.only: Credential | None = None
        """The one that there is, if nothing is wrong with it: then there is nothing to choose."""
        self._all: tuple[Credential, ...] = ()
        self._parked: dict[str, _Parked] = {}
        self._turn = 0

    def update(self, credentials: tuple[Credential, ...]) -> None:
        """These hold from now on; a renewed one is no longer parked."""
        self._all = credentials
        self._parked = {
            one.name: parked
            for one in credentials
            if (parked := self._parked.get(one.name)) is not None and parked.credential == one
        }
        self._look_for_only()

    def __len__(self) -> int:
        return len(self._all)

    def pick(self, now: float, limited: "dict[str, float]") -> Credential | None:
        """The credential to send, None if there is none to be had; `limited` says until when each
        must not be used at a target. Only for a provider that asks for credentials."""
        count = len(self._all)
        for step in range(count):
            place = (self._turn + step) % count
            one = self._all[place]
            if self._is_usable(one, now, limited):
                self._turn = place
                return one
        return None

    def is_usable(self, now: float, limited: "dict[str, float]") -> bool:
        """Whether `pick` would find one."""
        return any(self._is_usable(one, now, limited) for one in self._all)

    def usable_in_s(self, now: float, limited: "dict[str, float]") -> float:
        """Seconds until one of them may be used again."""
        waits = [
            max(
                limited.get(one.name, 0.0) - now,
                self._parked[one.name].until - now if one.name in self._parked else 0.0,
            )
            for one in self._all
            if not one.trouble
        ]
        return max(0.0, min(waits, default=_PARK_S))

    def park(self, credential: Credential, now: float, reason: str) -> float:
        """The provider refused it. Returns for how many seconds it is left alone."""
        before = self._parked.get(credential.name)
        seconds = _PARK_S if before is None else min(2 * before.seconds, _LONGEST_PARK_S)
        reason = conceal(credential, reason)
        self._parked[credential.name] = _Parked(now + seconds, seconds, reason, credential)
        self._look_for_only()
        return seconds

    def accepted(self, credential: Credential) -> None:
        """The provider took it."""
        self._parked.pop(credential.name, None)
        self._look_for_only()

    @property
    def has_parked(self) -> bool:
        """Whether any is parked, or was until a moment ago."""
        return bool(self._parked)

    def standings(self, now: float) -> list[CredentialStanding]:
        """How each of them stands."""
        found = []
        for one in self._all:
            parked = self._parked.get(one.name)
            if one.trouble:
                found.append(CredentialStanding(one.name, "missing", one.trouble, 0.0))
            elif parked is not None and parked.until > now:
                left = parked.until - now
                found.append(CredentialStanding(one.name, "parked", parked.reason, left))
            else:
                found.append(CredentialStanding(one.name, "ready", "", 0.0))
        return found

    def _look_for_only(self) -> None:
        is_calm = len(self._all) == 1 and not self._parked and not self._all[0].trouble
        self.only = self._all[0] if is_calm else None

    def _is_usable(self, one: Credential, now: float, limited: "dict[str, float]") -> bool:
        if one.trouble or (limited and now < limited.get(one.name, 0.0)):
            return False
        parked = self._parked.get(one.name) if self._parked else None
        return parked is None or now >= parked.until
