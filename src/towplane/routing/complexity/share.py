"""The threshold that sends a wanted share of some traffic to the strong target.

From a sample of scores: the threshold whose share of scores at or above it is nearest to the wanted
one. Scores that are equal go together, so not every share can be had. The interval is that of the
quantile by order statistics, which assumes nothing of how scores are spread (the binomial's normal
approximation, 95 %); it holds for traffic like the sample. Pure.
"""

from collections.abc import Sequence
from math import ceil, floor, sqrt
from typing import NamedTuple

from towplane.parts.errors import BadRequest

__all__ = ["Calibrated", "find_threshold", "share_above"]

LEAST = 30
"""Scores below which the interval would say nothing."""
_Z = 1.96
_STEP = 2e-6
"""Above a score by more than a threshold is rounded by."""


class Calibrated(NamedTuple):
    """A threshold for a share."""

    threshold: float
    share: float
    """Of the sample, at or above it."""
    interval: tuple[float, float]
    """Thresholds, of which the wanted share's own is one in 95 % of samples."""
    sample: int
    """How many scores."""


def find_threshold(scores: Sequence[float], share: float) -> Calibrated:
    """Raises BadRequest for a sample that is too small."""
    count = len(scores)
    if count < LEAST:
        raise BadRequest(
            f"{count} scores are too few for a share",
            next_step=f"wait until {LEAST} requests have come, or give prompts by --prompts FILE",
        )
    highest_first = sorted(scores, reverse=True)
    wanted = share * count
    slack = _Z * sqrt(count * share * (1 - share))
    threshold = _at(highest_first, wanted)
    low = _at(highest_first, min(float(count), ceil(wanted + slack)))
    high = _at(highest_first, max(0.0, floor(wanted - slack)))
    return Calibrated(threshold, share_above(scores, threshold), (low, high), count)


def share_above(scores: Sequence[float], threshold: float) -> float:
    """The share of scores at or above a threshold."""
    return sum(score >= threshold for score in scores) / len(scores)


def _at(highest_first: Sequence[float], wanted: float) -> float:
    """The score at or above which there are nearest to so many."""
    best, threshold = wanted, highest_first[0] + _STEP  # above all of them there are none
    for number, score in enumerate(highest_first, start=1):
        is_last = number == len(highest_first) or highest_first[number] != score
        if is_last and abs(number - wanted) < best:
            best, threshold = abs(number - wanted), score
    return threshold
