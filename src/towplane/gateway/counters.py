"""What a worker counts, as plain integers; `samples` turns them into series of the catalogue."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator

from towplane.gateway.messages import RouteInfo
from towplane.monitoring.catalogue import edges, rebucket
from towplane.monitoring.series import Sample
from towplane.tenants.events import UsageKind


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
    slos = [route.spec.slo for route in routes]
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


class TokenCounts:
    """Tokens of one model whose usage is of one kind."""

    __slots__ = ("cached_input", "input", "output")

    def __init__(self) -> None:
        self.input = self.cached_input = self.output = 0


class ModelCounts:
    """What attempts for one model used. They outlive its route: a count never falls."""

    __slots__ = ("absent", "cost_nanousd", "priced", "tokens", "unpriced")

    def __init__(self) -> None:
        self.tokens: defaultdict[UsageKind, TokenCounts] = defaultdict(TokenCounts)
        self.cost_nanousd = 0
        self.priced = self.unpriced = 0
        """Attempts with usage and with or without a price."""
        self.absent = 0
        """Attempts without usage."""

    def samples(self, model: str) -> Iterator[Sample]:
        """All series of this model; what never happened has none."""
        for kind, tokens in self.tokens.items():
            yield Sample("towplane_tokens_total", (model, "input", kind), float(tokens.input))
            yield Sample("towplane_tokens_total", (model, "output", kind), float(tokens.output))
            if tokens.cached_input:
                labels = (model, "cached_input", kind)
                yield Sample("towplane_tokens_total", labels, float(tokens.cached_input))
        if self.priced:
            yield Sample("towplane_cost_nanousd_total", (model,), float(self.cost_nanousd))
        if self.unpriced:
            yield Sample("towplane_unpriced_attempts_total", (model,), float(self.unpriced))
        if self.absent:
            yield Sample("towplane_usage_absent_total", (model,), float(self.absent))


class Counters:
    """The counts of one worker that are not of one route."""

    __slots__ = ("attempts", "models", "overhead", "refusals", "requests")

    def __init__(self, overhead_edges: tuple[float, ...]) -> None:
        self.requests: Tally = defaultdict(int)
        """By model, outcome, slo."""
        self.attempts: Tally = defaultdict(int)
        """By model, target, cause, outcome."""
        self.refusals: Tally = defaultdict(int)
        """By reason."""
        self.models: defaultdict[str, ModelCounts] = defaultdict(ModelCounts)
        self.overhead = Histogram(overhead_edges)

    def refused(self, reason: str) -> None:
        """A request that the plane did not take."""
        self.refusals[(reason,)] += 1

    def forget_target(self, name: str) -> None:
        """A target is gone for good: addresses come and go, and what is counted must not grow."""
        for labels in [each for each in self.attempts if each[1] == name]:
            del self.attempts[labels]

    def samples(self) -> Iterator[Sample]:
        """All series."""
        for family, tally in (
            ("towplane_requests_total", self.requests),
            ("towplane_attempts_total", self.attempts),
            ("towplane_refusals_total", self.refusals),
        ):
            for labels, value in tally.items():
                yield Sample(family, labels, float(value))
        for model, counts in self.models.items():
            yield from counts.samples(model)
        yield self.overhead.sample("towplane_overhead_seconds", ())
