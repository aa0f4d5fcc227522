"""What each target costs: the document's prices before those of the price book.

The composition of three rooms: sections of `providers` and `engines`, the price book of `tenants`.
Pure. Knows no worker. The law: what neither says is unknown.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from towplane.document.plane import Plane
from towplane.engines.spec import EnginePrice
from towplane.gateway.messages import PricedFrom
from towplane.parts.usage import ServiceClass
from towplane.providers.endpoints import kind_of
from towplane.providers.spec import (
    ClassSpec,
    OpenAICompatibleSpec,
    PriceSpec,
    Provisioned,
    TierSpec,
)
from towplane.routing.spec import TargetSpec
from towplane.tenants.prices import Rates, Sheet, Step, make_rates, plain_sheet, price_for
from towplane.tenants.pricing.book import NO_BOOK, PriceBook
from towplane.tenants.pricing.entries import PriceEntry, entry_at, merge, moment_of
from towplane.tenants.pricing.questions import Question

__all__ = [
    "Priced",
    "engine_entries",
    "on_demand_entries",
    "priced_targets",
    "provider_entries",
    "question_of",
    "questions_of",
    "to_worker",
    "unpriced_targets",
]

_TELLS_PROVISIONED = frozenset({"vertex"})
"""Kinds whose answers say whether provisioned capacity made them (`trafficType`), so that what it
had no room for has a price. Of the others everything a provisioned deployment answers is its."""


class Priced(NamedTuple):
    """A target of a route and the prices of its model, ascending."""

    target: str
    """`PROVIDER/MODEL`, or the name of an engine."""
    routes: tuple[str, ...]
    entries: tuple[PriceEntry, ...]
    question: Question | None
    """What the price book is asked about it; None: nothing."""


def questions_of(plane: Plane, at: float | None = None) -> list[Question]:
    """What the plane asks the price book: about each model of a provider that some route uses,
    without those that have a price in the document at a moment, if one is given."""
    asked = (
        question_of(plane, provider, model)
        for provider, model, _ in _used(plane)
        if at is None or entry_at(provider_entries(plane, provider, model), at) is None
    )
    return [question for question in asked if question is not None]


def question_of(plane: Plane, provider: str, model: str) -> Question | None:
    """What the price book is asked about a model; None: it cannot know the provider."""
    spec = plane.providers.get(provider)
    if spec is None:
        return None
    if not isinstance(spec, OpenAICompatibleSpec):
        return Question(kind_of(spec), "", model)
    if not spec.endpoint.startswith("https://"):  # a server of the vendor's own network
        return None
    return Question(kind_of(spec), spec.endpoint, model)


def provider_entries(
    plane: Plane, provider: str, model: str, book: PriceBook = NO_BOOK
) -> tuple[PriceEntry, ...]:
    """The prices of a provider's model in time."""
    entries = on_demand_entries(plane, provider, model, book)
    spec = plane.providers.get(provider)
    if spec is None or kind_of(spec) in _TELLS_PROVISIONED:
        return entries
    for capacity in spec.provisioned:
        if model in capacity.models:
            entries = _provision(entries, capacity)
    return entries


def on_demand_entries(
    plane: Plane, provider: str, model: str, book: PriceBook = NO_BOOK
) -> tuple[PriceEntry, ...]:
    """The same without regard to capacity that is paid for by the hour."""
    spec = plane.providers.get(provider)
    if spec is None:
        return ()
    document = [_entry(price) for price in spec.prices.get(model, [])]
    return merge(document, book.find(question_of(plane, provider, model)).entries)


def engine_entries(prices: Iterable[EnginePrice]) -> tuple[PriceEntry, ...]:
    """The prices of an engine in time."""
    return merge([_engine_entry(price) for price in prices], ())


def priced_targets(plane: Plane, book: PriceBook = NO_BOOK) -> list[Priced]:
    """Every target of every route with its prices: models of providers, then engines."""
    found = [
        Priced(
            f"{provider}/{model}",
            routes,
            provider_entries(plane, provider, model, book),
            question_of(plane, provider, model),
        )
        for provider, model, routes in _used(plane)
    ]
    for name, engine in plane.engines.items():
        routes = tuple(
            model for model in plane.routing if any(s.engine == name for s in _steps(plane, model))
        )
        if routes:
            found.append(Priced(name, routes, engine_entries(engine.prices), None))
    return found


def unpriced_targets(plane: Plane, book: PriceBook, at: float) -> list[Priced]:
    """The targets of routes whose price is unknown at a moment."""
    found = []
    for priced in priced_targets(plane, book):
        entry = entry_at(priced.entries, at)
        if entry is None or entry.sheet is None:
            found.append(priced)
    return found


def to_worker(entries: Iterable[PriceEntry]) -> tuple[PricedFrom, ...]:
    """Prices as a worker gets them: three numbers, and the whole sheet where they are not all."""
    return tuple(_to_worker(entry) for entry in entries)


def _to_worker(entry: PriceEntry) -> PricedFrom:
    sheet = entry.sheet
    if sheet is None:
        return PricedFrom(entry.since, None)
    price = price_for(sheet, 0)
    if price is not None and sheet == plain_sheet(price):
        return PricedFrom(entry.since, price)
    return PricedFrom(entry.since, price, sheet)


def _used(plane: Plane) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Provider, model and routes of every target at a provider."""
    routes: dict[tuple[str, str], list[str]] = {}
    for route in plane.routing:
        for step in _steps(plane, route):
            if step.provider is not None:
                users = routes.setdefault((step.provider, step.model or route), [])
                if route not in users:
                    users.append(route)
    for (provider, model), users in routes.items():
        yield provider, model, tuple(users)


def _steps(plane: Plane, route: str) -> list[TargetSpec]:
    """The targets that a route names itself; those of a route it falls back to are that one's."""
    spec = plane.routing[route]
    return [*spec.targets, *(step for step in spec.fallback if isinstance(step, TargetSpec))]


def _provision(entries: Sequence[PriceEntry], capacity: Provisioned) -> tuple[PriceEntry, ...]:
    """The same prices, but nothing to pay by the token while the capacity is paid for."""
    since = moment_of(capacity.since)
    until = inf if capacity.until is None else moment_of(capacity.until)
    first, after = entry_at(entries, since), entry_at(entries, until)
    within = [entry for entry in entries if since < entry.since < until]
    paid = [
        PriceEntry(
            max(since, entry.since) if entry is not None else since,
            Sheet({}, _search_of(entry), is_provisioned=True),
            "document",
            capacity.source,
            "paid for by the hour",
        )
        for entry in (first, *within)
    ]
    ended = [] if until == inf else [_resumed(after, until)]
    return (
        *(entry for entry in entries if entry.since < since),
        *paid,
        *ended,
        *(entry for entry in entries if entry.since > until),
    )


def _search_of(entry: PriceEntry | None) -> int | None:
    return entry.sheet.search if entry is not None and entry.sheet is not None else None


def _resumed(entry: PriceEntry | None, at: float) -> PriceEntry:
    if entry is None:
        return PriceEntry(at, None, "document", note="the provisioned capacity has ended")
    return entry._replace(since=at)


def _entry(spec: PriceSpec) -> PriceEntry:
    base = make_rates(
        spec.input,
        spec.output,
        cached_input=spec.cached_input,
        cache_write=spec.cache_write,
        cache_write_1h=spec.cache_write_1h,
        audio_input=spec.audio_input,
        image_input=spec.image_input,
        audio_output=spec.audio_output,
        image_output=spec.image_output,
    )
    tiers = sorted(spec.tiers, key=lambda tier: tier.above)
    classes: dict[ServiceClass, tuple[Step, ...]] = {
        "standard": (Step(-1, base), *(Step(tier.above, _tier_rates(tier)) for tier in tiers))
    }
    for name, other in spec.classes.items():
        steps = [Step(-1, _class_rates(other))]
        if tiers:  # what a long request of this class costs, nobody has said
            steps.append(Step(tiers[0].above, Rates()))
        classes[name] = tuple(steps)
    sheet = Sheet(classes, spec.search)
    return PriceEntry(moment_of(spec.since), sheet, "document", spec.source)


def _tier_rates(tier: TierSpec) -> Rates:
    return make_rates(
        tier.input,
        tier.output,
        cached_input=tier.cached_input,
        cache_write=tier.cache_write,
        cache_write_1h=tier.cache_write_1h,
    )


def _class_rates(spec: ClassSpec) -> Rates:
    return make_rates(spec.input, spec.output, cached_input=spec.cached_input)


def _engine_entry(spec: EnginePrice) -> PriceEntry:
    rates = make_rates(spec.input, spec.output, cached_input=spec.cached_input)
    sheet = Sheet({"standard": (Step(-1, rates),)})
    return PriceEntry(moment_of(spec.since), sheet, "document", spec.source)
