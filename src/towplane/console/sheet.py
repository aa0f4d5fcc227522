"""The page "Now" as a value: every figure in words, before any HTML.

Pure: read model in, texts out. What is absent says why in words. It knows no template.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from towplane.api.pulse import Point
from towplane.api.readiness import readiness
from towplane.api.views import EngineView, PlaneStatus, TargetView, WorkerView
from towplane.console import words
from towplane.console.charts import Sparkline, sparkline
from towplane.console.health import HealthLine, line_of_provider
from towplane.console.look import View
from towplane.console.verdict import Concern, verdict
from towplane.monitoring.now import ModelNow, Now
from towplane.tenants.ledger import UsageRow

__all__ = ["Card", "Look", "ModelLine", "Sheet", "SpendLine", "sheet"]

WINDOWS = {60: "1 min", 300: "5 min", 900: "15 min"}
CHART_SLOTS = 90


class Look(View, frozen=True, kw_only=True):
    """The view's whole state, as the URL holds it."""

    window: Literal[60, 300, 900] = 60
    live: Literal["on", "off"] = "on"


class Card(NamedTuple):
    """One headline figure."""

    id: str
    """Of its source."""
    title: str
    value: str
    unit: str
    more: list[tuple[str, str, str]]
    """Smaller figures below: name, value, source."""
    why: str
    """Why it is absent, in words."""
    chart: Sparkline | None
    chart_says: str


class ModelLine(NamedTuple):
    """One route, with its last minute."""

    model: str
    choose: str
    is_ready: bool
    reason: str
    requests: str
    tokens: str
    ttft: str
    itl: str
    goodput: str
    in_flight: str


class SpendLine(NamedTuple):
    """What one tenant spent."""

    tenant: str
    spend: str
    unpriced: int
    requests: str
    input: str
    output: str
    not_measured: str


class Sheet(NamedTuple):
    """Everything on the page."""

    look: Look
    at: datetime
    status: PlaneStatus
    concerns: list[Concern]
    measured: str
    cards: list[Card]
    models: list[ModelLine]
    targets: list[TargetView]
    providers: list[HealthLine]
    engines: list[EngineView]
    workers: list[WorkerView]
    spend: list[SpendLine] | None
    """None: the ledger could not be read."""


def sheet(
    look: Look,
    status: PlaneStatus,
    now: Now | None,
    trend: Sequence[Point],
    spend: list[UsageRow] | None,
    at: datetime,
) -> Sheet:
    """The page at a moment."""
    return Sheet(
        look=look,
        at=at,
        status=status,
        concerns=verdict(status, now, at),
        measured=_measured(now),
        cards=_cards(status, now, trend),
        models=_models(look, status, now),
        targets=[t for t in status.targets if look.shows(t.name, t.state, *t.routes)],
        providers=[
            line_of_provider(p)
            for p in status.providers
            if look.shows(p.name, p.kind, p.state, p.location or "")
        ],
        engines=[e for e in status.engines if look.shows(e.target, e.kind, e.state)],
        workers=status.workers,
        spend=None if spend is None else _spend(look, spend),
    )


def _measured(now: Now | None) -> str:
    if now is None or now.window_s is None:
        return "measuring: the first figures come within seconds"
    return f"over the last {words.span(now.window_s)}"


def _cards(status: PlaneStatus, now: Now | None, trend: Sequence[Point]) -> list[Card]:
    now = now or Now(at=status.started_at)
    is_measuring = now.window_s is None
    quiet = "measuring" if is_measuring else "no request in this time"
    streams = "measuring" if is_measuring else "no streamed token in this time"
    has_slo = any(r.slo.ttft_s or r.slo.itl_s or r.slo.total_s for r in status.routes)
    no_goodput = quiet if has_slo else "no route has an SLO in the document"
    return [
        _card(
            "requests", "Requests", words.rate(now.requests_per_s), "/s",
            [("in flight", words.count(now.in_flight), "in-flight"),
             ("refused", f"{words.rate(now.refused_per_s)}/s", "refusals")],
            quiet, [p.requests_per_s for p in trend], words.rate,
        ),
        _card(
            "amplification", "Amplification", words.times(now.amplification), "",
            [("attempts", f"{words.rate(now.attempts_per_s)}/s", "attempts")],
            quiet, [p.amplification for p in trend], words.times,
        ),
        _card(
            "tokens", "Output tokens", words.rate(now.output_tokens_per_s), "/s",
            [("input", f"{words.rate(now.input_tokens_per_s)}/s", "input-tokens")],
            quiet, [p.output_tokens_per_s for p in trend], words.rate,
        ),
        _card(
            "ttft", "TTFT p95", words.quantile(now.ttft_p95), "",
            [("p50", words.quantile(now.ttft_p50), "ttft")],
            streams, [p.ttft_p95_s for p in trend], words.duration,
        ),
        _card(
            "itl", "ITL p95", words.quantile(now.itl_p95), "",
            [("p50", words.quantile(now.itl_p50), "itl")],
            streams, [p.itl_p95_s for p in trend], words.duration,
        ),
        _card(
            "goodput", "Goodput", words.share(now.goodput), "",
            [("errors", words.share(now.error_share), "errors")],
            no_goodput, [p.goodput for p in trend], words.share,
        ),
    ]  # fmt: skip


def _card(
    source: str,
    title: str,
    value: str,
    unit: str,
    more: list[tuple[str, str, str]],
    why: str,
    values: list[float | None],
    say: words.Say,
) -> Card:
    is_absent = value == words.ABSENT
    chart = sparkline(values, CHART_SLOTS)
    says = f"{title}, last 15 min: {say(chart.least)} to {say(chart.most)}" if chart else ""
    return Card(
        source, title, value, "" if is_absent else unit, more, why if is_absent else "", chart, says
    )


def _models(look: Look, status: PlaneStatus, now: Now | None) -> list[ModelLine]:
    ready = readiness(status).routes
    lines = []
    for route in status.routes:
        if not look.shows(route.model, *route.targets):
            continue
        each = (now.models.get(route.model) if now else None) or ModelNow()
        lines.append(
            ModelLine(
                model=route.model,
                choose=route.choose,
                is_ready=ready[route.model].ready,
                reason=ready[route.model].reason,
                requests=words.rate(each.requests_per_s),
                tokens=words.rate(each.output_tokens_per_s),
                ttft=words.quantile(each.ttft_p95),
                itl=words.quantile(each.itl_p95),
                goodput=words.share(each.goodput),
                in_flight=words.count(each.in_flight),
            )
        )
    return lines


def _spend(look: Look, rows: list[UsageRow]) -> list[SpendLine]:
    return [
        SpendLine(
            tenant=row.name,
            spend=_money(row),
            unpriced=row.unpriced,
            requests=words.count(row.requests),
            input=words.count(row.input_tokens),
            output=words.count(row.output_tokens),
            not_measured=_not_measured(row),
        )
        for row in rows
        if look.shows(row.name)
    ]


def _money(row: UsageRow) -> str:
    if row.cost_nanousd is None:
        return "unpriced" if row.unpriced else "unknown"
    return words.money(row.cost_nanousd)


def _not_measured(row: UsageRow) -> str:
    said = [
        f"{number:,} {word}"
        for number, word in ((row.estimated, "estimated"), (row.absent, "absent"))
        if number
    ]
    return ", ".join(said)
