"""Secrets that change while the plane runs: read again when what is behind them may have changed.

A file is looked at, and read when it is another one or was written; a program or a store is asked
again after a while; the environment of a process never changes. `look` blocks, so it has a thread;
what it decides by is passed in.

The law: what cannot be read any more stays as it was; a secret is replaced, never lost.
"""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from towplane.parts.errors import PlaneError
from towplane.parts.secrets import STORES, Sealed

__all__ = ["SecretWatch"]

ASK_S = 300.0
"""A store is asked as often: a rotated key is in use before the old one ends, which stores that
rotate keep for hours, and a bill by the call stays small."""
HURRY_S = 30.0
"""The same while a provider refuses the secret."""

Signature = tuple[int, int, int]


@dataclass(slots=True)
class _Seen:
    value: Sealed
    signature: Signature | None
    read_at: float
    trouble: str = field(default="")


class SecretWatch:
    """The secrets of one document."""

    def __init__(self, read: Callable[[str], Sealed]) -> None:
        self._read = read
        self._seen: dict[str, _Seen] = {}

    def hold(self, values: Mapping[str, Sealed], now: float) -> None:
        """These were just read."""
        self._seen = {
            reference: _Seen(value, _sign(reference), now) for reference, value in values.items()
        }

    def reveal(self, reference: str) -> str:
        """The newest value."""
        return self._seen[reference].value.reveal()

    def hurry(self, references: Collection[str], now: float) -> None:
        """Somebody is refused with these: look at once, unless that was done a moment ago."""
        for reference in references:
            seen = self._seen.get(reference)
            if seen is not None and now - seen.read_at >= HURRY_S:
                seen.read_at = float("-inf")

    def look(self, now: float) -> set[str]:
        """Read what may have changed; answers the references whose values did."""
        changed = set()
        for reference, seen in tuple(self._seen.items()):
            if self._is_due(reference, seen, now) and self._read_again(reference, seen, now):
                changed.add(reference)
        return changed

    def troubles(self) -> dict[str, str]:
        """By reference: why it could not be read again."""
        return {name: seen.trouble for name, seen in self._seen.items() if seen.trouble}

    def _is_due(self, reference: str, seen: _Seen, now: float) -> bool:
        scheme = reference.partition(":")[0]
        if scheme == "file":
            return _sign(reference) != seen.signature or bool(seen.trouble)
        return scheme in STORES and now - seen.read_at >= ASK_S

    def _read_again(self, reference: str, seen: _Seen, now: float) -> bool:
        signature = _sign(reference)  # before it is read: what is written meanwhile is seen again
        seen.read_at = now
        try:
            value = self._read(reference)
        except PlaneError as error:
            seen.trouble = error.say
            return False
        seen.signature, seen.trouble = signature, ""
        is_new = value != seen.value
        seen.value = value
        return is_new


def _sign(reference: str) -> Signature | None:
    """What tells a file from the one before it; a Kubernetes secret changes by its link."""
    scheme, _, path = reference.partition(":")
    if scheme != "file":
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
