"""How each target has done of late: success, latency and TTFT as service level indicators.

Pure functions over snapshots; knows no page, no clock and no provider. Law: what was not measured
is None. A request that the caller got wrong, or gave up, is no failure of the target's.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from towplane.monitoring.now import Quantile, quantile
from towplane.monitoring.snapshot import Histogram, Snapshot, TargetCounted

__all__ = ["Health", "look_at_targets", "sum_up"]

_NO_VERDICT = frozenset(("cancelled", "crashed"))
_FAIR = frozenset(("ok", "refused"))
"""The target did what it should: answered, or said what is wrong with the request."""


class Health(Struct, kw_only=True):
    """The indicators of a target, or of several together, over a window. None: not measured."""

    window_s: float | None = None
    attempts: int = 0
    success: float | None = None
    """Share of the attempts with a verdict that went well."""
    limited: float | None = None
    """Share that was told to slow down (429)."""
    ttft_p50: Quantile | None = None
    ttft_p95: Quantile | None = None
    seconds_p50: Quantile | None = None
    seconds_p95: Quantile | None = None
    failures: dict[str, int] = {}
    """What went wrong, by outcome."""


def look_at_targets(snapshots: Sequence[Snapshot], *, window_s: float = 300.0) -> dict[str, Health]:
    """Each target over the window before the newest snapshot, as near as the snapshots lie."""
    if not snapshots:
        return {}
    first, last = _ends(snapshots, window_s)
    return {
        name: _health([(first.targets.get(name) or TargetCounted(), now)], last.at - first.at)
        for name, now in sorted(last.targets.items())
    }


def sum_up(
    snapshots: Sequence[Snapshot], groups: Mapping[str, Sequence[str]], *, window_s: float = 300.0
) -> dict[str, Health]:
    """Groups of targets, such as the targets of a provider, each as one."""
    if not snapshots:
        return {}
    first, last = _ends(snapshots, window_s)
    return {
        group: _health(
            [
                (first.targets.get(name) or TargetCounted(), last.targets[name])
                for name in names
                if name in last.targets
            ],
            last.at - first.at,
        )
        for group, names in groups.items()
    }


def _ends(snapshots: Sequence[Snapshot], window_s: float) -> tuple[Snapshot, Snapshot]:
    last = snapshots[-1]
    return min(snapshots, key=lambda one: abs(last.at - window_s - one.at)), last


def _health(pairs: Sequence[tuple[TargetCounted, TargetCounted]], span_s: float) -> Health:
    outcomes: dict[str, int] = {}
    ttft, seconds = _Gap("towplane_target_ttft_seconds"), _Gap("towplane_target_seconds")
    for before, now in pairs:
        for outcome, count in now.outcomes.items():
            more = int(count - before.outcomes.get(outcome, 0.0))
            if more > 0:
                outcomes[outcome] = outcomes.get(outcome, 0) + more
        ttft.add(before.ttft, now.ttft)
        seconds.add(before.seconds, now.seconds)
    judged = sum(count for name, count in outcomes.items() if name not in _NO_VERDICT)
    health = Health(window_s=span_s or None, attempts=sum(outcomes.values()))
    if judged:
        health.success = sum(outcomes.get(name, 0) for name in _FAIR) / judged
        health.limited = outcomes.get("rate_limited", 0) / judged
    health.ttft_p50, health.ttft_p95 = ttft.quantile(0.5), ttft.quantile(0.95)
    health.seconds_p50, health.seconds_p95 = seconds.quantile(0.5), seconds.quantile(0.95)
    wrong = outcomes.keys() - _FAIR - _NO_VERDICT
    health.failures = {name: outcomes[name] for name in sorted(wrong)}
    return health


class _Gap:
    """What several histograms counted between two moments, together."""

    def __init__(self, family: str) -> None:
        self._edges = Histogram(family).edges
        self._counts = [0] * (len(self._edges) + 1)

    def add(self, before: Histogram, now: Histogram) -> None:
        if now.edges == self._edges:  # targets have no thresholds of their own
            for place, count in enumerate(now.since(before)):
                self._counts[place] += count

    def quantile(self, share: float) -> Quantile | None:
        return quantile(share, self._edges, self._counts)
