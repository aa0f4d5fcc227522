"""Counts of durations in buckets of equal ratio: quantiles in bounded memory, exact means.

A bucket is 2 % wide, so a quantile is off by at most 1 %. Knows no unit but seconds.
"""

from collections.abc import Sequence
from math import exp, log

__all__ = ["Histogram"]

_LEAST_S = 1e-4
_RATIO = log(1.02)
_PER_LOG = 1 / _RATIO
_FIRST = 1 - log(_LEAST_S) / _RATIO
_BUCKETS = 1000
"""Up to 1e-4 · 1.02^1000 s, which is 11 hours."""


class Histogram:
    """Of one kind of duration."""

    __slots__ = ("_counts", "count", "total")

    def __init__(self) -> None:
        self._counts = [0] * (_BUCKETS + 1)
        self.count = 0
        self.total = 0.0

    def add(self, many: Sequence[float]) -> None:
        """Count some: many at a time, as one by one costs as much as all else that is counted."""
        self.count += len(many)
        self.total = sum(many, self.total)
        counts = self._counts
        for place in [
            int(log(seconds) * _PER_LOG + _FIRST) if seconds > _LEAST_S else 0 for seconds in many
        ]:
            counts[place if place < _BUCKETS else _BUCKETS] += 1

    def mean(self) -> float | None:
        """None: there were none."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The middle of the bucket in which that share is reached."""
        if not self.count:
            return None
        wanted = share * self.count
        reached = 0
        for place, count in enumerate(self._counts):
            reached += count
            if count and reached >= wanted:
                return _LEAST_S * exp(_RATIO * (place - 0.5)) if place else _LEAST_S / 2
        return None  # unreachable: all are counted
