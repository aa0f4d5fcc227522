"""Weights laid end to end: where on that line a point falls, leaving out those that are barred."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate

__all__ = ["Line"]


class Line:
    """The line of one roster's weights."""

    __slots__ = ("_ends", "_weights")

    def __init__(self, weights: Sequence[int]) -> None:
        self._weights = weights
        self._ends = list(accumulate(weights))

    def length(self, barred: Collection[int]) -> int:
        """Of those who are left; 0: they weigh nothing."""
        weights = self._weights
        return self._ends[-1] - sum([weights[place] for place in barred])

    def place(self, point: float, barred: Collection[int]) -> int:
        """On whose part a point below the length falls; the length must not be 0."""
        weights, ends = self._weights, self._ends
        for place in sorted(barred):
            if ends[place] - weights[place] > point:
                break
            point += weights[place]
        place = bisect_right(ends, point)
        if place >= len(weights) or place in barred:  # rounding, at the very end
            place = max(at for at, w in enumerate(weights) if w and at not in barred)
        return place
