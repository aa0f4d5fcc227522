"""The page Providers: which managed APIs answer, how well, with which credentials, at what price?

`providers_sheet` is pure: read model in, texts out. Laws: a price that nobody knows reads
`unknown`, never 0; what a provider does not say of its limits reads as a dash.
"""

from collections.abc import Sequence
from datetime import datetime
from shlex import quote
from typing import Literal, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from towplane.api.health import HealthBy, HealthRow, health_rows, with_health
from towplane.api.provider_views import (
    CredentialView,
    PriceView,
    ProviderView,
    ProvisionedView,
    RatesView,
)
from towplane.api.views import PlaneStatus, TargetView
from towplane.console import words
from towplane.console.frame import Frame
from towplane.console.health import HealthLine, figures_of, line_of_provider, line_of_target
from towplane.console.look import View, read_view
from towplane.console.sheet import WINDOWS
from towplane.parts.errors import NotFound

__all__ = ["ProviderLook", "ProvidersSheet", "provider_pages", "providers_sheet"]

_EXTRAS = ("cache_write", "cache_write_1h", "audio_input", "image_input", "audio_output",
           "image_output")  # fmt: skip


class ProviderLook(View, frozen=True, kw_only=True):
    """The view's whole state, as the URL holds it."""

    by: HealthBy = "provider"
    window: Literal[60, 300, 900] = 300
    live: Literal["on", "off"] = "on"


class CredentialLine(NamedTuple):
    """One credential; its secret is nowhere."""

    name: str
    how: str
    state: str
    reason: str
    again: str
    """When a parked one is tried again."""
    ends: str
    renewed: str


class LimitLine(NamedTuple):
    """What one provider allows, by the document."""

    name: str
    rpm: str
    tpm: str
    concurrency: str


class LeftLine(NamedTuple):
    """What is left at one model, by the provider."""

    name: str
    in_flight: str
    requests_left: str
    tokens_left: str
    parked: str


class CapacityLine(NamedTuple):
    """Capacity that is paid for by the hour."""

    provider: str
    models: str
    hourly: str
    units: str
    tpm: str
    since: str
    until: str
    source: str


class PriceLine(NamedTuple):
    """One class and length of a target's price; dollars per million tokens."""

    target: str
    service: str
    above: str
    input: str
    cached: str
    output: str
    also: str
    since: str
    origin: str
    source: str
    unknown: str
    """Why nobody knows it; empty: it is known."""


class ProvidersSheet(NamedTuple):
    """Everything on the page."""

    look: ProviderLook
    path: str
    at: datetime
    only: ProviderView | None
    """One provider, where the page is about it alone."""
    window: str
    health: list[HealthLine]
    credentials: list[CredentialLine]
    limits: list[LimitLine]
    left: list[LeftLine]
    capacities: list[CapacityLine]
    prices: list[PriceLine]
    models: list[str]
    """That a dry run can be asked for, as a shell takes them."""


def providers_sheet(
    look: ProviderLook,
    status: PlaneStatus,
    rows: Sequence[HealthRow],
    prices: Sequence[PriceView],
    at: datetime,
    only: str | None = None,
) -> ProvidersSheet:
    """The page at a moment, of all providers or of one."""
    shown = [
        one
        for one in status.providers
        if only in (None, one.name) and look.shows(one.name, one.kind, one.location or "")
    ]
    names = {one.name for one in shown}
    targets = [one for one in status.targets if one.provider in names]
    window_s = next((p.health.window_s for p in shown if p.health and p.health.window_s), None)
    return ProvidersSheet(
        look=look,
        path="/providers" if only is None else f"/providers/{only}",
        at=at,
        only=shown[0] if only is not None and shown else None,
        window="not measured yet" if window_s is None else f"last {words.span(window_s)}",
        health=_health(look.by, shown, targets, rows),
        credentials=[_credential(one, at) for each in shown for one in each.credentials],
        limits=[_limit(one) for one in shown],
        left=[_left(one) for one in targets],
        capacities=[_capacity(one.name, each) for one in shown for each in one.provisioned],
        prices=[
            line for one in prices if one.target.partition("/")[0] in names for line in _prices(one)
        ],
        models=sorted({quote(model) for target in targets for model in target.routes}),
    )


def provider_pages(frame: Frame) -> Sequence[BaseRoute]:
    """All of them at `/providers`, one at `/providers/NAME`, and their live streams."""
    desk = frame.desk

    async def make(request: Request) -> ProvidersSheet:
        look = read_view(ProviderLook, request.query_params)
        status = with_health(desk.view.status(), desk.pulse, look.window)
        only = request.path_params.get("provider")
        if only is not None and only not in [one.name for one in status.providers]:
            raise NotFound(f"there is no provider `{only[:80]}`")
        rows = health_rows(status, desk.pulse, look.by, look.window)
        return providers_sheet(look, status, rows, desk.view.prices(), frame.at(), only)

    async def page(request: Request) -> Response:
        return frame.page("providers.html", sheet=await make(request), windows=WINDOWS)

    async def events(request: Request) -> Response:
        await make(request)

        async def render() -> str:
            return frame.render("providers_sheet.html", sheet=await make(request))

        return frame.live(render)

    return [
        frame.route("/providers", page),
        frame.route("/providers/{provider}", page),
        Route("/live/providers", events),
        Route("/live/providers/{provider}", events),
    ]


def _health(
    by: HealthBy,
    shown: Sequence[ProviderView],
    targets: Sequence[TargetView],
    rows: Sequence[HealthRow],
) -> list[HealthLine]:
    if by == "provider":
        return [line_of_provider(one) for one in shown]
    if by == "target":
        return [line_of_target(one) for one in targets]
    known = {one.name for one in targets}
    return [
        HealthLine(row.name, "", ", ".join(row.targets), "", "", figures_of(row.health))
        for row in rows
        if known.intersection(row.targets)
    ]


def _credential(one: CredentialView, at: datetime) -> CredentialLine:
    return CredentialLine(
        name=one.name,
        how=one.how,
        state=one.state,
        reason=one.reason,
        again=words.duration(one.parked_s),
        ends=words.until(one.expires_at, at),
        renewed=words.until(one.refresh_at, at),
    )


def _limit(one: ProviderView) -> LimitLine:
    return LimitLine(
        name=one.name,
        rpm=words.count(one.limits.rpm),
        tpm=words.count(one.limits.tpm),
        concurrency=words.count(one.limits.concurrency),
    )


def _left(one: TargetView) -> LeftLine:
    return LeftLine(
        name=one.name,
        in_flight=words.count(one.in_flight),
        requests_left=words.count(one.requests_left),
        tokens_left=words.count(one.tokens_left),
        parked="" if one.parked_s is None else f"left alone for {words.duration(one.parked_s)}",
    )


def _capacity(provider: str, one: ProvisionedView) -> CapacityLine:
    return CapacityLine(
        provider=provider,
        models=", ".join(one.models),
        hourly=words.money(one.hourly_nanousd),
        units=words.count(one.units),
        tpm=words.count(one.tpm),
        since=one.since.isoformat(),
        until="open" if one.until is None else one.until.isoformat(),
        source=one.source,
    )


def _prices(one: PriceView) -> list[PriceLine]:
    since = words.ABSENT if one.since is None else one.since.isoformat()
    origin = {"document": "the document", "book": "the price book", None: "nobody"}[one.origin]
    source = one.source or one.note
    dash = words.ABSENT
    blank = PriceLine(one.target, "", "", dash, dash, dash, "", since, origin, source, "")
    if one.origin is None:
        return [blank._replace(unknown=one.why_unknown or "nobody says one")]
    if one.is_provisioned:
        return [blank._replace(service="by the hour")]
    return [
        blank._replace(
            service=rates.service,
            above="" if rates.above is None else f"over {rates.above:,} tokens of input",
            input=words.money(rates.input),
            cached=words.money(rates.cached_input),
            output=words.money(rates.output),
            also=_also(rates, one.search_nanousd),
        )
        for rates in one.rates
    ]


def _also(rates: RatesView, search_nanousd: int | None) -> str:
    """What does not cost as its direction does."""
    said = []
    for name in _EXTRAS:
        rate = getattr(rates, name)
        usual = rates.output if name.endswith("output") else rates.input
        if rate is not None and rate != usual:
            said.append(f"{name.replace('_', ' ')} {words.money(rate)}")
    if search_nanousd is not None:
        said.append(f"a search {words.money(search_nanousd)}")
    return ", ".join(said)
