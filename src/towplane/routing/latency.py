"""How long one target took lately, as a peak that is believed at once and forgotten slowly.

Finagle's peak EWMA (twitter/finagle, `PeakEwma.scala`): a time above the estimate replaces it; one
below moves it by 1 − e^(−Δt/τ), Δt being the time since the last one. While nothing is observed the
estimate falls by e^(−Δt/τ), so that a target that was slow is tried again.

All estimates fall by the same factor in the same time. So their order at any moment is the order of
ln(estimate) + t/τ at the time of each observation (`rank`), and comparing a thousand of them needs
no clock. The time is passed in.
"""

from math import exp, inf, log
from typing import Final

__all__ = ["DECAY_S", "PeakEwma"]

DECAY_S: Final = 10.0
"""τ. Finagle's default."""
_LEAST_S: Final = 1e-6
"""Nothing is answered in less."""


class PeakEwma:
    """The estimate for one target."""

    __slots__ = ("_at", "_seconds", "in_flight", "rank")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._at = 0.0
        self.rank = -inf
        """Where it stands among others; -inf: nothing was observed."""
        self.in_flight = 1
        """Attempts under way when the estimate was last raised."""

    def observe(self, seconds: float, now: float, in_flight: int = 1) -> None:
        """Something took so long, while so many were in flight."""
        seconds = max(seconds, _LEAST_S)
        passed = exp(-max(now - self._at, 0.0) / DECAY_S)
        if self.rank == -inf or seconds >= self._seconds:
            self._seconds = seconds
            self.in_flight = max(in_flight, 1)
        else:
            self._seconds = self._seconds * passed + seconds * (1.0 - passed)
        self._at = max(now, self._at)
        self.rank = log(self._seconds) + self._at / DECAY_S

    def estimate_s(self, now: float) -> float | None:
        """What it would take now; None: nothing was observed."""
        if self.rank == -inf:
            return None
        return self._seconds * exp(-max(now - self._at, 0.0) / DECAY_S)
