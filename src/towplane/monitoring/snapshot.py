"""A snapshot: merged samples at one moment, reduced to what the last minute is computed from.

It knows no clock and no page; `monitoring.now` compares two of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from towplane.monitoring.catalogue import CATALOGUE, rebucket
from towplane.monitoring.series import Sample

__all__ = ["Counted", "Histogram", "Snapshot", "TargetCounted", "snap"]


class Histogram:
    """Counts per bucket, summed over series whose edges may differ."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, family: str) -> None:
        self.edges = CATALOGUE[family].edges
        self.counts = [0] * (len(self.edges) + 1)
        self.total = 0.0

    def add(self, sample: Sample) -> None:
        """Sum a series in; edges that only it has are kept from then on."""
        theirs = sample.edges or CATALOGUE[sample.family].edges
        counts = sample.buckets or [0] * (len(theirs) + 1)
        union = tuple(sorted({*self.edges, *theirs}))
        mine = rebucket(self.counts, self.edges, union)
        yours = rebucket(counts, theirs, union)
        self.counts = [a + b for a, b in zip(mine, yours, strict=True)]
        self.edges = union
        self.total += sample.total

    def since(self, before: "Histogram") -> list[int]:
        """Counts that came after `before`, per bucket of this one."""
        old = rebucket(before.counts, before.edges, self.edges)
        return [max(0, now - then) for now, then in zip(self.counts, old, strict=True)]


_OWN = frozenset(("probe", "mirror"))
"""Causes of attempts that no client's request had: they amplify nothing."""


@dataclass(slots=True)
class Counted:
    """Counters of one model, or of the whole plane, since the plane started."""

    requests: float = 0.0
    refused: float = 0.0
    cancelled: float = 0.0
    failed: float = 0.0
    met: float = 0.0
    missed: float = 0.0
    attempts: float = 0.0
    input: float = 0.0
    output: float = 0.0
    in_flight: float | None = None
    ttft: Histogram = field(default_factory=lambda: Histogram("towplane_ttft_seconds"))
    itl: Histogram = field(default_factory=lambda: Histogram("towplane_itl_seconds"))


@dataclass(slots=True)
class TargetCounted:
    """Counters of one target since the plane started."""

    outcomes: dict[str, float] = field(default_factory=dict)
    """Attempts by outcome."""
    ttft: Histogram = field(default_factory=lambda: Histogram("towplane_target_ttft_seconds"))
    seconds: Histogram = field(default_factory=lambda: Histogram("towplane_target_seconds"))


@dataclass(slots=True)
class Snapshot:
    """What had been counted at a moment."""

    at: float
    """Of a clock that does not jump."""
    wall: float
    """Seconds since the epoch."""
    plane: Counted = field(default_factory=Counted)
    models: dict[str, Counted] = field(default_factory=dict)
    targets: dict[str, TargetCounted] = field(default_factory=dict)
    queued: float | None = None


def snap(at: float, wall: float, samples: Iterable[Sample]) -> Snapshot:
    """Reduce merged samples to a snapshot; families that Now does not need are passed over."""
    taken = Snapshot(at, wall)
    for sample in samples:
        if sample.family == "towplane_queued_requests":
            taken.queued = (taken.queued or 0.0) + sample.value
        elif sample.family in _READERS:
            read = _READERS[sample.family]
            read(taken.plane, sample)
            read(taken.models.setdefault(sample.labels[0], Counted()), sample)
        if sample.family in _TARGET_READERS:
            place, look = _TARGET_READERS[sample.family]
            look(taken.targets.setdefault(sample.labels[place], TargetCounted()), sample)
    return taken


def _requests(into: Counted, sample: Sample) -> None:
    _, outcome, slo = sample.labels
    into.requests += sample.value
    if outcome == "refused":
        into.refused += sample.value
    elif outcome == "cancelled":
        into.cancelled += sample.value
    elif outcome == "failed":
        into.failed += sample.value
    if slo == "met":
        into.met += sample.value
    elif slo == "missed":
        into.missed += sample.value


def _attempts(into: Counted, sample: Sample) -> None:
    if sample.labels[2] not in _OWN:
        into.attempts += sample.value


def _tokens(into: Counted, sample: Sample) -> None:
    if sample.labels[1] == "input":
        into.input += sample.value
    elif sample.labels[1] == "output":
        into.output += sample.value


def _in_flight(into: Counted, sample: Sample) -> None:
    into.in_flight = (into.in_flight or 0.0) + sample.value


def _ttft(into: Counted, sample: Sample) -> None:
    into.ttft.add(sample)


def _itl(into: Counted, sample: Sample) -> None:
    into.itl.add(sample)


_READERS = {
    "towplane_requests_total": _requests,
    "towplane_attempts_total": _attempts,
    "towplane_tokens_total": _tokens,
    "towplane_inflight_requests": _in_flight,
    "towplane_ttft_seconds": _ttft,
    "towplane_itl_seconds": _itl,
}


def _outcomes(into: TargetCounted, sample: Sample) -> None:
    outcome = sample.labels[3]
    into.outcomes[outcome] = into.outcomes.get(outcome, 0.0) + sample.value


def _target_ttft(into: TargetCounted, sample: Sample) -> None:
    into.ttft.add(sample)


def _target_seconds(into: TargetCounted, sample: Sample) -> None:
    into.seconds.add(sample)


_TARGET_READERS = {
    "towplane_attempts_total": (1, _outcomes),
    "towplane_target_ttft_seconds": (0, _target_ttft),
    "towplane_target_seconds": (0, _target_seconds),
}
"""By family: which label is the target, and what to do with the sample."""
