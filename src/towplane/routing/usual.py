"""How long first tokens of a target take in the mean of the last seconds; nothing, if it is quiet.

A mean that weighs by time: an answer that came Δt after the one before moves it by 1 − e^(−Δt/τ),
and by at least a tenth, so that a burst counts as more than one answer. Unlike the peak of
`routing.latency` one long prompt does not decide: this is for what costs money to believe.
"""

from math import exp

__all__ = ["FORGETS_S", "Usual"]

FORGETS_S = 10.0
"""τ, and after so long without an answer nothing is known: half a minute of an engine's work is
longer than what fills or empties its queue."""
_LEAST = 0.1


class Usual:
    """The mean of one target."""

    __slots__ = ("_at", "_seconds")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = float("-inf")

    def observe(self, seconds: float, now: float) -> None:
        """A first token took so long."""
        if self.estimate_s(now) is None:
            self._seconds = seconds
        else:
            moves = max(_LEAST, 1.0 - exp(-(now - self._at) / FORGETS_S))
            self._seconds += (seconds - self._seconds) * moves
        self._at = now

    def estimate_s(self, now: float) -> float | None:
        """The mean; None: nothing was heard of late."""
        return self._seconds if now - self._at <= FORGETS_S else None
