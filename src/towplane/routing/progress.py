"""Forward progress: a target is well while tokens come, whatever its `/health` says.

A target is stalled when at least two of its streams have waited for `limit_s` without a token, and
none of its attempts has brought one in that time. One alone may be a long prompt, and is left to
its own clock. Where the engine says how many steps it made (a heartbeat), one that stands still
for `limit_s` while requests run is enough. Pure; the clock is passed in.

Who is stalled is left alone (its breaker opens); nobody restarts an engine for it, so that a slow
one is not killed over and over: its supervisor has its own probe of a token.
"""

from collections.abc import Iterable
from typing import Final

__all__ = ["Progress"]

_WITNESSES: Final = 2
"""Streams that must have waited."""


class Progress:
    """What is remembered of one target."""

    __slots__ = ("_beat", "_beat_at", "_done", "_moved_at")

    def __init__(self, now: float) -> None:
        self._done = 0
        self._moved_at = now
        self._beat: float | None = None
        self._beat_at = now

    def look(self, now: float, *, done: int, token_at: float) -> None:
        """What there is to see: how many attempts brought a first token or an answer so far, and
        when the last token of those that run came (0: none did)."""
        if done != self._done:
            self._done, self._moved_at = done, now
        self._moved_at = max(self._moved_at, token_at)

    def hear(self, now: float, *, beat: float | None, running: int) -> None:
        """What its engine says: a number that grows while it works, and how many requests run."""
        if beat != self._beat or not running:
            self._beat, self._beat_at = beat, now

    def stalled_s(self, now: float, limit_s: float, waiting_since: Iterable[float]) -> float:
        """Seconds without progress, if these are enough to call it stalled; else 0. `waiting_since`
        says of each stream that runs when it was sent, or brought its last token."""
        if self._beat is not None and now - self._beat_at >= limit_s:
            return now - self._beat_at
        silent_s = now - self._moved_at
        if silent_s < limit_s:
            return 0.0
        witnesses = sum(1 for since in waiting_since if now - since >= limit_s)
        return silent_s if witnesses >= _WITNESSES else 0.0
