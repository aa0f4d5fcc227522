"""The credentials of one provider as a pool: which one is sent now.

    401, 402   the credential is parked, and says so, until it is renewed or a while has passed
    403        the same, at this target alone: it may be allowed another model
    429        the next one is tried; this one is left alone at this target for as long as told
    5xx        says nothing about a credential

The pool stays with one credential until that one is parked or limited, because prompt caches and
stored conversations belong to an account. Pure: the clock is passed in. Knows no request.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from towplane.providers.adapter import Credential

__all__ = ["CredentialPool", "CredentialStanding", "conceal"]

_PARK_S: Final = 2.0
"""A refused credential is tried again after this, doubled each time it is refused again."""
_LONGEST_PARK_S: Final = 600.0


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
        self._parked: dict[tuple[str, str], _Parked] = {}
        """By credential, and the target at which it was refused; empty: at all of them."""
        self._turn = 0

    def update(self, credentials: tuple[Credential, ...]) -> None:
        """These hold from now on; a renewed one is no longer parked."""
        self._all = credentials
        self._parked = {
            place: parked
            for place, parked in self._parked.items()
            if any(one == parked.credential for one in credentials)
        }
        self._look_for_only()

    def __len__(self) -> int:
        return len(self._all)

    def pick(self, target: str, now: float, limited: Mapping[str, float]) -> Credential | None:
        """The credential to send to a target, None if there is none to be had; `limited` says until
        when each must not be used there. Only for a provider that asks for credentials."""
        count = len(self._all)
        for step in range(count):
            place = (self._turn + step) % count
            one = self._all[place]
            if self._wait_s(one, target, now, limited) <= 0:
                self._turn = place
                return one
        return None

    def usable_in_s(self, target: str, now: float, limited: Mapping[str, float]) -> float:
        """Seconds until `pick` finds one; 0: now."""
        waits = [self._wait_s(one, target, now, limited) for one in self._all]
        return max(0.0, min(waits, default=0.0))

    def is_refused(self, target: str, now: float) -> bool:
        """Whether every credential is parked or missing at this target, limits aside."""
        return all(self._wait_s(one, target, now, {}) > 0 for one in self._all)

    def park(self, credential: Credential, now: float, reason: str, *, target: str = "") -> float:
        """The provider refused it, everywhere or at one target. Returns for how many seconds it is
        left alone."""
        place = (credential.name, target)
        before = self._parked.get(place)
        seconds = _PARK_S if before is None else min(2 * before.seconds, _LONGEST_PARK_S)
        reason = conceal(credential, reason)
        self._parked[place] = _Parked(now + seconds, seconds, reason, credential)
        self._look_for_only()
        return seconds

    def accepted(self, credential: Credential, target: str) -> None:
        """The provider took it."""
        self._parked.pop((credential.name, ""), None)
        self._parked.pop((credential.name, target), None)
        self._look_for_only()

    @property
    def has_parked(self) -> bool:
        """Whether any is parked, or was until it is taken again."""
        return bool(self._parked)

    def standings(self, now: float) -> list[CredentialStanding]:
        """How each of them stands; one that was refused somewhere is told as parked until it is
        taken there, or is another one."""
        found = []
        for one in self._all:
            parked = [each for (name, _), each in self._parked.items() if name == one.name]
            if one.trouble:
                found.append(CredentialStanding(one.name, "missing", one.trouble, 0.0))
            elif parked:
                worst = max(parked, key=lambda each: each.until)
                left_s = max(0.0, worst.until - now)
                found.append(CredentialStanding(one.name, "parked", worst.reason, left_s))
            else:
                found.append(CredentialStanding(one.name, "ready", "", 0.0))
        return found

    def _look_for_only(self) -> None:
        is_calm = len(self._all) == 1 and not self._parked and not self._all[0].trouble
        self.only = self._all[0] if is_calm else None

    def _wait_s(
        self, one: Credential, target: str, now: float, limited: Mapping[str, float]
    ) -> float:
        if one.trouble:
            return _LONGEST_PARK_S
        until = limited.get(one.name, 0.0)
        for place in ((one.name, ""), (one.name, target)):
            parked = self._parked.get(place)
            if parked is not None:
                until = max(until, parked.until)
        return until - now
