"""How providers and their models have done, in words: a line each. Pure; it knows no page."""

from typing import NamedTuple
from urllib.parse import quote

from towplane.api.provider_views import ProviderView
from towplane.api.views import TargetView
from towplane.console import words
from towplane.monitoring.health import Health

__all__ = ["Figures", "HealthLine", "figures_of", "line_of_provider", "line_of_target"]


class Figures(NamedTuple):
    """The indicators of a window; a dash: not measured."""

    attempts: str
    success: str
    limited: str
    ttft_p50: str
    ttft_p95: str
    seconds_p50: str
    seconds_p95: str
    failures: str


class HealthLine(NamedTuple):
    """One provider, or one of its models."""

    name: str
    url: str
    place: str
    """Its kind and where it is, or the routes that use it."""
    state: str
    reason: str
    figures: Figures


def figures_of(health: Health | None) -> Figures:
    """The indicators in words."""
    if health is None or health.window_s is None:
        return _UNKNOWN
    failures = [f"{count:,} {name.replace('_', ' ')}" for name, count in health.failures.items()]
    return Figures(
        attempts=words.count(health.attempts),
        success=words.share(health.success),
        limited=words.share(health.limited),
        ttft_p50=words.quantile(health.ttft_p50),
        ttft_p95=words.quantile(health.ttft_p95),
        seconds_p50=words.quantile(health.seconds_p50),
        seconds_p95=words.quantile(health.seconds_p95),
        failures=", ".join(failures) or ("nothing" if health.attempts else words.ABSENT),
    )


def line_of_provider(one: ProviderView) -> HealthLine:
    """All its models together."""
    return HealthLine(
        name=one.name,
        url=f"/providers/{quote(one.name, safe='')}",
        place=", ".join(filter(None, (one.kind, one.location))),
        state=one.state,
        reason=one.reason,
        figures=figures_of(one.health),
    )


def line_of_target(one: TargetView) -> HealthLine:
    """One model there."""
    return HealthLine(
        name=one.name,
        url=f"/providers/{quote(one.provider, safe='')}",
        place=", ".join(one.routes),
        state=one.state,
        reason=one.reason,
        figures=figures_of(one.health),
    )


_UNKNOWN = Figures(
    attempts=words.ABSENT,
    success=words.ABSENT,
    limited=words.ABSENT,
    ttft_p50=words.ABSENT,
    ttft_p95=words.ABSENT,
    seconds_p50=words.ABSENT,
    seconds_p95=words.ABSENT,
    failures=words.ABSENT,
)
