"""How long first tokens of a target take in the mean of the last seconds; nothing, if it is quiet.

A mean that weighs by time: an answer that came Δt after the one before moves it by 1 − e^(−Δt/τ),
and by at least a tenth, so that a burst counts as more than one answer. Unlike the peak of
`routing.latency` one long prompt does not decide: this is for what costs money to believe.
"""

from math import exp
from typing import Final

__all__ = ["FORGETS_S", "Usual"]

FORGETS_S: Final = 10.0
"""τ, as of `routing.latency`; and after so long without an answer nothing is known, so that a
target that was left alone is tried again."""
_LEAST: Final = 0.1
_FEWEST: Final = 3
"""One answer is no mean."""


class Usual:
    """The mean of one target."""

    __slots__ = ("_at", "_seconds", "_seen")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = float("-inf")
        self._seen = 0

    def observe(self, seconds: float, now: float) -> None:
        """A first token took so long."""
        passed_s = now - self._at
        if passed_s > FORGETS_S:
            self._seen = 0
        self._seen += 1
        moves = max(_LEAST, 1.0 / self._seen, 1.0 - exp(-passed_s / FORGETS_S))
        self._seconds += (seconds - self._seconds) * moves
        self._at = now

    def estimate_s(self, now: float) -> float | None:
        """The mean; None: too little was heard of late."""
        is_known = self._seen >= _FEWEST and now - self._at <= FORGETS_S
        return self._seconds if is_known else None
