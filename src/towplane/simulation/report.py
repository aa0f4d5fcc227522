"""What a simulation found out, as a value: the same for the table, for JSON and for pictures.

Latencies are those that a client sees, its own retries included. What nobody measured is None,
never 0. Pure.
"""

from collections.abc import Iterable, Sequence
from statistics import mean, stdev

import msgspec

from towplane.simulation.histogram import Histogram

__all__ = ["Latency", "Moment", "Report", "TargetShare", "TenantShare", "jain", "latency_of",
           "spread"]  # fmt: skip


class Latency(msgspec.Struct, frozen=True):
    """Seconds."""

    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class TargetShare(msgspec.Struct, frozen=True):
    """What one target did."""

    name: str
    attempts: int
    answers: int
    failures: int
    share: float
    """Of all attempts."""
    hit_rate: float | None
    """Input tokens of its answers that were in its cache."""
    busy: float | None = None
    """The share of the time that an engine worked."""
    preemptions: int | None = None
    cost_nanousd: int | None = None
    """Of the tokens of its answers; None: it has no price."""


class TenantShare(msgspec.Struct, frozen=True):
    """What one tenant got."""

    name: str
    asks: int
    answers: int
    good: int
    output: int
    ttft_mean: float | None


class Moment(msgspec.Struct, frozen=True):
    """A stretch of time, per second of it."""

    at: float
    asks: float
    attempts: float
    answers: float
    good: float
    failures: float
    output: float
    ttft_mean: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One policy under one seed."""

    policy: str
    seed: int
    seconds: float
    asks: int
    requests: int
    attempts: int
    answers: int
    good: int
    """Answers within the SLO (all, where the route has none)."""
    failed: int
    refused: int
    gave_up: int
    open: int
    """Neither answered nor lost when the simulation ended."""
    ttft: Latency
    itl: Latency
    total: Latency
    goodput: float
    """Good answers per second."""
    output_per_s: float
    input: int
    cached: int
    hit_rate: float | None
    """Input tokens found in a cache."""
    amplification: float | None
    """Attempts for each thing that a client wanted."""
    fairness: float | None
    """Jain's index over the shares of answers that tenants got of what they asked for; None: fewer
    than two."""
    cost_nanousd: int | None
    """Of the tokens, at the targets' prices; None: no target has one."""
    fleet_nanousd: int | None
    """Of the replicas, by the hour; None: no price is known."""
    causes: dict[str, int]
    troubles: dict[str, int]
    retries_denied: int
    targets: list[TargetShare]
    tenants: list[TenantShare]
    moments: list[Moment]
    events: int
    ended_s: float | None = None
    """When the last answer was whole; None: none was."""
    wall_s: float | None = None
    """How long the simulation took; None where only the results are compared."""


def latency_of(histogram: Histogram) -> Latency:
    """A histogram in figures."""
    quantile = histogram.quantile
    return Latency(histogram.mean(), quantile(0.5), quantile(0.95), quantile(0.99))


def jain(shares: Sequence[float]) -> float | None:
    """Jain's fairness index: 1 if all get alike, 1/n if one gets all (Jain and others, 1984)."""
    if len(shares) < 2:
        return None
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else None


_T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Student's t for 95 %, of 1 to 9 degrees of freedom."""


def spread(values: Iterable[float | None]) -> tuple[float, float] | None:
    """The mean of several seeds and half of its 95 % interval; None: nobody measured. One value has
    no interval, which is written as infinity."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) == 1:
        return known[0], float("inf")
    t = _T95[len(known) - 2] if len(known) <= 10 else 2.0
    return mean(known), t * stdev(known) / len(known) ** 0.5
