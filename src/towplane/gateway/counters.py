"""What a worker counts, as plain integers; `samples` turns them into series of the catalogue."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from towplane.gateway.messages import RouteInfo
from towplane.monitoring.catalogue import edges, rebucket
from towplane.monitoring.series import Sample


class Histogram:
    """Counts by bucket; an edge belongs to the bucket that it closes."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value

    def rebucket(self, edges: tuple[float, ...]) -> None:
        """Go on counting with more edges."""
        if edges != self.edges:
            self.counts = rebucket(self.counts, self.edges, edges)
            self.edges = edges

    def sample(self, family: str, labels: tuple[str, ...]) -> Sample:
        """As a series."""
        return Sample(
            family, labels, buckets=self.counts.copy(), total=self.total, edges=self.edges
        )


Tally = defaultdict[tuple[str, ...], int]
"""Counts by a set of labels."""


Edges = dict[str, tuple[float, ...]]
"""The bucket edges of each histogram by model, SLO thresholds included."""

TTFT, ITL, REQUEST = "towplane_ttft_seconds", "towplane_itl_seconds", "towplane_request_seconds"


def edges_for(routes: Iterable[RouteInfo], old: Edges) -> Edges:
    """The edges that these routes need, and those that were in use: edges are never taken away."""
    slos = [route.slo for route in routes]
    thresholds = {
        TTFT: [slo.ttft_s for slo in slos],
        ITL: [slo.itl_s for slo in slos],
        REQUEST: [slo.total_s for slo in slos],
    }
    return {
        family: edges(family, {*(t for t in wanted if t is not None), *old.get(family, ())})
        for family, wanted in thresholds.items()
    }


class RouteCounters:
    """The counts of one model."""

    __slots__ = ("in_flight", "itl", "model", "request", "retries_denied", "ttft")

    def __init__(self, model: str, edges: Edges) -> None:
        self.model = model
        self.ttft = Histogram(edges[TTFT])
        self.itl = Histogram(edges[ITL])
        self.request = Histogram(edges[REQUEST])
        self.in_flight = 0
        self.retries_denied = 0

    def rebucket(self, edges: Edges) -> None:
        """New thresholds came into use."""
        self.ttft.rebucket(edges[TTFT])
        self.itl.rebucket(edges[ITL])
        self.request.rebucket(edges[REQUEST])

    def samples(self) -> Iterator[Sample]:
        """All series of this model."""
        labels = (self.model,)
        yield self.ttft.sample(TTFT, labels)
        yield self.itl.sample(ITL, labels)
        yield self.request.sample(REQUEST, labels)
        yield Sample("towplane_inflight_requests", labels, float(self.in_flight))
        yield Sample("towplane_retries_denied_total", labels, float(self.retries_denied))


class Counters:
    """The counts of one worker that are not of one model."""

    __slots__ = (
        "absent",
        "attempts",
        "cost",
        "overhead",
        "refusals",
        "requests",
        "tokens",
        "unpriced",
    )

    def __init__(self, overhead_edges: tuple[float, ...]) -> None:
        self.requests: Tally = defaultdict(int)
        """By model, outcome, slo."""
        self.attempts: Tally = defaultdict(int)
        """By model, target, cause, outcome."""
        self.tokens: Tally = defaultdict(int)
        """By model, direction, usage."""
        self.refusals: Tally = defaultdict(int)
        """By reason."""
        self.cost: Tally = defaultdict(int)
        """Nano-dollars by model."""
        self.unpriced: Tally = defaultdict(int)
        """Attempts with usage and without a price, by model."""
        self.absent: Tally = defaultdict(int)
        """Attempts without usage, by model."""
        self.overhead = Histogram(overhead_edges)

    def refused(self, reason: str) -> None:
        """A request that the plane did not take."""
        self.refusals[(reason,)] += 1

    def samples(self) -> Iterator[Sample]:
        """All series."""
        for family, tally in (
            ("towplane_requests_total", self.requests),
            ("towplane_attempts_total", self.attempts),
            ("towplane_tokens_total", self.tokens),
            ("towplane_refusals_total", self.refusals),
            ("towplane_cost_nanousd_total", self.cost),
            ("towplane_unpriced_attempts_total", self.unpriced),
            ("towplane_usage_absent_total", self.absent),
        ):
            for labels, value in tally.items():
                yield Sample(family, labels, float(value))
        yield self.overhead.sample("towplane_overhead_seconds", ())
