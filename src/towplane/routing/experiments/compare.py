"""A split's arms compared: what each metric is in each arm, and a verdict in words.

A request counts for the arm of its first attempt, whatever answered it in the end: an arm whose
target failed bears that failure (`Answered`). Its errors are those that the client saw. Where the
split is by tenant, tenants are what is independent, and all metrics are compared as means with the
variance of tenants. The laws: sums do not depend on the order of requests, but for scores, which
are taken in the order in which they came; a metric that nobody measured has no verdict; several
arms share alpha equally.
"""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec

from towplane.routing.experiments.differences import Difference, difference_of
from towplane.routing.experiments.sequences import (
    Bounded,
    Evidence,
    Means,
    Rates,
    Sums,
    means_of,
    rho_squared,
)
from towplane.routing.spec import Split

__all__ = ["METRICS", "Answered", "ArmMetric", "Comparison", "Metric", "Tally", "Verdict"]

Verdict = Literal["better", "worse", "differs", "no difference", "not enough"]

_SCORE_UNITS = 10**9  # scores are kept as whole billionths of their range
_TIGHTEST = 10
"""Intervals are tightest at so many times the samples that a verdict wants."""


class Answered(msgspec.Struct, frozen=True):
    """One request and what became of it; None: unknown, or nobody's merit."""

    arm: str
    tenant: str
    is_failed: bool | None = None
    """None: its client left, or asked wrongly."""
    ttft_us: int | None = None
    total_us: int | None = None
    input: int | None = None
    output: int | None = None
    cost_nanousd: int | None = None
    score: float | None = None


class Metric(msgspec.Struct, frozen=True):
    """Something that arms are compared by."""

    name: str
    field: str
    scale: float
    """What a whole unit of the field is in the metric's own."""
    unit: str
    better: Literal["lower", "higher", ""]
    """Empty: neither end is the good one."""


METRICS = (
    Metric("errors", "is_failed", 1.0, "", "lower"),
    Metric("ttft", "ttft_us", 1e-6, "s", "lower"),
    Metric("total", "total_us", 1e-6, "s", "lower"),
    Metric("input", "input", 1.0, "tokens", ""),
    Metric("output", "output", 1.0, "tokens", ""),
    Metric("cost", "cost_nanousd", 1e-9, "USD", "lower"),
    Metric("score", "score", 1.0, "", "higher"),
)


class ArmMetric(msgspec.Struct, kw_only=True):
    """One metric of one arm."""

    metric: str
    unit: str = ""
    n: int
    """Requests with a value; by tenant: tenants."""
    mean: float | None
    """None: there is no value."""
    low: float | None = None
    high: float | None = None
    """Where the true mean is, at all times at once; None: anywhere."""
    difference: float | None = None
    """To the control; None for the control itself."""
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    """Always-valid; below alpha there is a difference."""
    verdict: Verdict | None = None
    say: str = ""
    """The verdict in words."""


class Comparison(msgspec.Struct, kw_only=True):
    """All arms by all metrics."""

    control: str
    decides: str
    """The metric that the verdict is about."""
    alpha: float
    samples: int
    by: str
    arms: dict[str, list[ArmMetric]]
    requests: dict[str, int]
    say: list[str]
    """The verdict of each other arm, in words."""


class Tally:
    """Requests, counted by arm. Feed it in the order of time, then `compare`."""

    def __init__(self, split: Split) -> None:
        self._split = split
        self.control = split.control or next(iter(split.arms))
        others = max(1, len(split.arms) - 1)
        self._alpha = split.alpha / others
        self._rho2 = rho_squared(self._alpha, _TIGHTEST * split.samples)
        self._requests = dict.fromkeys(split.arms, 0)
        self._sums = {(arm, m.name): Sums() for arm in split.arms for m in METRICS}
        self._clusters: dict[tuple[str, str], dict[str, Sums]] = {key: {} for key in self._sums}
        score = split.score
        self._scores = {
            arm: Bounded(score.least, score.most, self._alpha / 2) for arm in split.arms
        }

    def add(self, answered: Answered) -> None:
        """One more request; one of an arm that is no more counts for nothing."""
        arm = answered.arm
        if arm not in self._requests:
            return
        self._requests[arm] += 1
        for metric in METRICS:
            value = getattr(answered, metric.field)
            if value is None:
                continue
            if metric.name == "score":
                self._scores[arm].add(value)
                value = self._whole(value)
            self._sums[arm, metric.name].add(int(value))
            if self._split.by == "tenant":
                clusters = self._clusters[arm, metric.name]
                clusters.setdefault(answered.tenant, Sums()).add(int(value))

    def compare(self) -> Comparison:
        """As things stand."""
        arms = {arm: [self._compare(arm, metric) for metric in METRICS] for arm in self._split.arms}
        return Comparison(
            control=self.control,
            decides=self._split.decide,
            alpha=self._split.alpha,
            samples=self._split.samples,
            by=self._split.by,
            arms=arms,
            requests=dict(self._requests),
            say=[
                one.say
                for arm, found in arms.items()
                if arm != self.control
                for one in found
                if one.metric == self._split.decide
            ],
        )

    def _compare(self, arm: str, metric: Metric) -> ArmMetric:
        evidence, scale, shift = self._evidence(arm, metric)
        interval = evidence.interval(self._alpha)
        found = ArmMetric(
            metric=metric.name,
            unit=metric.unit,
            n=evidence.n,
            mean=_known(evidence.mean * scale + shift),
            low=_known(interval.low * scale + shift),
            high=_known(interval.high * scale + shift),
        )
        if arm == self.control:
            return found
        control, _, _ = self._evidence(self.control, metric)
        least = min(evidence.n, control.n)
        if not least:
            found.verdict = "not enough"
            found.say = f"{arm}: nothing is known of {metric.name}"
            return found
        difference = difference_of(evidence, control, self._alpha)
        found.difference = _known(difference.mean * scale)
        found.difference_low = _known(difference.interval.low * scale)
        found.difference_high = _known(difference.interval.high * scale)
        found.p = difference.p
        found.verdict = self._judge(metric, difference, least)
        found.say = self._say(arm, metric, found, least)
        return found

    def _judge(self, metric: Metric, difference: Difference, least: int) -> Verdict:
        if least < self._split.samples:
            return "not enough"
        if not difference.is_sure:
            return "no difference"
        better = self._split.score.better if metric.name == "score" else metric.better
        if not better:
            return "differs"
        return "better" if (difference.mean > 0) == (better == "higher") else "worse"

    def _say(self, arm: str, metric: Metric, found: ArmMetric, least: int) -> str:
        what = f"{arm}, {metric.name}"
        if found.verdict == "not enough":
            each = "tenants" if self._split.by == "tenant" else "requests"
            return f"{what}: not enough yet, {least} of {self._split.samples} {each} in each arm"
        low, high = found.difference_low, found.difference_high
        if low is None or high is None:
            return f"{what}: not enough yet"
        if found.verdict == "no difference":
            most = max(abs(low), abs(high))
            return f"{what}: no difference larger than {_number(most, metric)} seen yet"
        edges = sorted((abs(low), abs(high)))
        span = f"{_number(edges[0], metric)} to {_number(edges[1], metric)}"
        way = "higher" if (found.difference or 0.0) > 0 else "lower"
        word = f"{arm} is {found.verdict}" if found.verdict != "differs" else f"{arm} differs"
        return f"{what}: {word}, {span} {way} than {self.control}"

    def _evidence(self, arm: str, metric: Metric) -> tuple[Evidence, float, float]:
        """What is known, its unit in the metric's own, and where it begins."""
        key = arm, metric.name
        sums = self._sums[key]
        if self._split.by == "tenant":
            evidence: Means = means_of(sums, self._rho2, self._clusters[key].values())
            if metric.name == "score":
                score = self._split.score
                return evidence, (score.most - score.least) / _SCORE_UNITS, score.least
            return evidence, metric.scale, 0.0
        if metric.name == "errors":
            return Rates(sums.total, sums.n), 1.0, 0.0
        if metric.name == "score":
            return self._scores[arm], 1.0, 0.0
        return means_of(sums, self._rho2), metric.scale, 0.0

    def _whole(self, score: float) -> int:
        ends = self._split.score
        return round((score - ends.least) / (ends.most - ends.least) * _SCORE_UNITS)


def tally(split: Split, rows: Iterable[Answered]) -> Comparison:
    """All of them at once."""
    found = Tally(split)
    for row in rows:
        found.add(row)
    return found.compare()


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float, metric: Metric) -> str:
    if metric.name == "errors":
        return f"{value * 100:.2g} percentage points"
    return f"{value:.3g} {metric.unit}".rstrip()
