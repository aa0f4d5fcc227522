"""The difference of two arms, with an interval and a p-value that hold whenever somebody looks.

For means it is a mixture sequential probability ratio test of the difference: Johari, Koomen,
Pekelis, Walsh, "Peeking at A/B tests", KDD 2017, and "Always valid inference", Operations Research
2022. The estimate of a difference is, at information 1/variance, a Brownian motion with drift
whatever the sizes of the arms (Jennison, Turnbull, "Group sequential methods", 2000, section 11.3),
so that unequal and changing weights do no harm as long as they do not follow the outcomes. For
rates and bounded values each arm's own sequence is asked at alpha/2: wider, and right for any
number of observations. The law: the p-value is below alpha exactly when the interval at alpha does
not hold 0.
"""

import math
from typing import NamedTuple

from towplane.routing.experiments.sequences import (
    Evidence,
    Interval,
    Means,
    mixture_radius,
)

__all__ = ["Difference", "difference_of"]


class Difference(NamedTuple):
    """Of an arm to the control."""

    mean: float
    interval: Interval
    p: float

    @property
    def is_sure(self) -> bool:
        """Whether there is one at all."""
        return not self.interval.holds(0.0)


def difference_of(arm: Evidence, control: Evidence, alpha: float) -> Difference:
    """How much the arm's mean is above the control's."""
    if isinstance(arm, Means) and isinstance(control, Means):
        return _of_means(arm, control, alpha)
    mean = arm.mean - control.mean
    interval = _gap(arm, control, alpha)
    return Difference(mean, interval, _smallest_alpha(arm, control))


def _of_means(arm: Means, control: Means, alpha: float) -> Difference:
    mean, variance = arm.mean - control.mean, arm.variance + control.variance
    if not math.isfinite(variance) or min(arm.n, control.n) < 2:
        return Difference(mean, Interval(-math.inf, math.inf), 1.0)
    if variance == 0.0:  # every value is the same in both arms
        return Difference(mean, Interval(mean, mean), 1.0 if mean == 0.0 else 0.0)
    # As many as if both arms had the size that gives this variance.
    size = (arm.variance * arm.n + control.variance * control.n) / variance
    information = size * arm.rho2
    radius = mixture_radius(variance, information, alpha)
    log_ratio = mean**2 / variance / 2 * information / (information + 1.0)
    log_ratio -= 0.5 * math.log1p(information)
    return Difference(mean, Interval(mean - radius, mean + radius), math.exp(-max(0.0, log_ratio)))


def _gap(arm: Evidence, control: Evidence, alpha: float) -> Interval:
    one, other = arm.interval(alpha / 2), control.interval(alpha / 2)
    return Interval(one.low - other.high, one.high - other.low)


def _smallest_alpha(arm: Evidence, control: Evidence) -> float:
    """The smallest at which the interval does not hold 0."""
    if not arm.n or not control.n or _gap(arm, control, 1.0).holds(0.0):
        return 1.0
    sure, unsure = 0.0, -700.0  # exponents; math.exp(-700) is the last above 0
    if not _gap(arm, control, math.exp(unsure)).holds(0.0):
        return 0.0
    for _ in range(40):
        middle = (sure + unsure) / 2
        if _gap(arm, control, math.exp(middle)).holds(0.0):
            unsure = middle
        else:
            sure = middle
    return math.exp(sure)
