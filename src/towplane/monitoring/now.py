"""Now: what the counters say about the last minute.

Pure functions over snapshots. It knows no page, no clock and no plane. Law: a figure that nothing
was measured for is None; a rate over a window in which nothing happened is a measured 0.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from msgspec import Struct

from towplane.monitoring.snapshot import Counted, Histogram, Snapshot

__all__ = ["ModelNow", "Now", "Quantile", "look", "quantile"]


class Quantile(Struct, frozen=True):
    """A quantile of a histogram; beyond its last edge only a bound is known."""

    value_s: float
    is_bound: bool = False
    """True: it is above `value_s`, and nobody knows how far."""


class ModelNow(Struct, kw_only=True):
    """The last minute of one model, or of all together. None: not measured."""

    requests_per_s: float | None = None
    attempts_per_s: float | None = None
    amplification: float | None = None
    """Attempts ÷ requests that the plane did not refuse."""
    refused_per_s: float | None = None
    input_tokens_per_s: float | None = None
    output_tokens_per_s: float | None = None
    ttft_p50: Quantile | None = None
    ttft_p95: Quantile | None = None
    itl_p50: Quantile | None = None
    itl_p95: Quantile | None = None
    goodput: float | None = None
    """Share of the requests held against an SLO that met all of it."""
    error_share: float | None = None
    """Share that no target could answer, of the requests neither refused nor cancelled."""
    in_flight: int | None = None


class Now(ModelNow, kw_only=True):
    """The last minute of the plane."""

    at: datetime
    """When the newest snapshot was taken."""
    window_s: float | None = None
    """Seconds that the rates span; None: fewer than two snapshots yet."""
    queued: int | None = None
    models: dict[str, ModelNow] = {}


def look(snapshots: Sequence[Snapshot], *, window_s: float = 60.0) -> Now | None:
    """The window before the newest snapshot, as near as the snapshots lie; None without any."""
    if not snapshots:
        return None
    last = snapshots[-1]
    first = min(snapshots, key=lambda snapshot: abs(last.at - window_s - snapshot.at))
    span_s = last.at - first.at
    now = Now(at=datetime.fromtimestamp(last.wall, UTC), window_s=span_s or None)
    now.queued = None if last.queued is None else int(last.queued)
    _fill(now, first.plane, last.plane, span_s)
    for model in sorted(last.models):
        each = ModelNow()
        _fill(each, first.models.get(model) or Counted(), last.models[model], span_s)
        now.models[model] = each
    return now


def quantile(share: float, edges: Sequence[float], counts: Sequence[int]) -> Quantile | None:
    """The quantile of a histogram, linear inside a bucket, as PromQL's histogram_quantile.

    None for an empty histogram; a bound for what lies above the last edge.
    """
    whole = sum(counts)
    if whole == 0:
        return None
    rank, below = share * whole, 0
    for index, edge in enumerate(edges):
        if counts[index] and below + counts[index] >= rank:
            floor = edges[index - 1] if index else 0.0
            return Quantile(floor + (edge - floor) * max(0.0, rank - below) / counts[index])
        below += counts[index]
    return Quantile(edges[-1], is_bound=True)


def _fill(now: ModelNow, first: Counted, last: Counted, span_s: float) -> None:
    now.in_flight = None if last.in_flight is None else int(last.in_flight)
    if span_s <= 0:
        return
    requests = last.requests - first.requests
    refused = last.refused - first.refused
    cancelled = last.cancelled - first.cancelled
    attempts = last.attempts - first.attempts
    now.requests_per_s = requests / span_s
    now.attempts_per_s = attempts / span_s
    now.refused_per_s = refused / span_s
    now.input_tokens_per_s = (last.input - first.input) / span_s
    now.output_tokens_per_s = (last.output - first.output) / span_s
    now.amplification = _share(attempts, requests - refused)
    now.error_share = _share(last.failed - first.failed, requests - refused - cancelled)
    met, missed = last.met - first.met, last.missed - first.missed
    now.goodput = _share(met, met + missed)
    now.ttft_p50, now.ttft_p95 = _halves(first.ttft, last.ttft)
    now.itl_p50, now.itl_p95 = _halves(first.itl, last.itl)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _halves(first: Histogram, last: Histogram) -> tuple[Quantile | None, Quantile | None]:
    counts = last.since(first)
    return quantile(0.5, last.edges, counts), quantile(0.95, last.edges, counts)
