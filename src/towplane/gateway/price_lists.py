"""What each target costs: the document's prices before those of the price book.

The composition of three rooms: sections of `providers` and `engines`, the price book of `tenants`.
Pure. Knows no worker. The law: what neither says is unknown.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from towplane.document.plane import Plane
from towplane.engines.spec import EnginePrice
from towplane.gateway.messages import PricedFrom
from towplane.gateway.price_sheets import engine_entry_of, entry_of, provision
from towplane.providers.endpoints import kind_of
from towplane.providers.spec import OpenAICompatibleSpec
from towplane.routing.spec import TargetSpec
from towplane.tenants.prices import plain_sheet, price_for
from towplane.tenants.pricing.book import NO_BOOK, PriceBook
from towplane.tenants.pricing.entries import PriceEntry, entry_at, merge, moment_of
from towplane.tenants.pricing.provisioned import Capacity
from towplane.tenants.pricing.questions import Question

__all__ = [
    "Priced",
    "capacities_of",
    "engine_entries",
    "on_demand_entries",
    "on_demand_prices",
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
            entries = provision(entries, capacity)
    return entries


def on_demand_entries(
    plane: Plane, provider: str, model: str, book: PriceBook = NO_BOOK
) -> tuple[PriceEntry, ...]:
    """The same without regard to capacity that is paid for by the hour."""
    spec = plane.providers.get(provider)
    if spec is None:
        return ()
    document = [entry_of(price) for price in spec.prices.get(model, [])]
    return merge(document, book.find(question_of(plane, provider, model)).entries)


def on_demand_prices(
    plane: Plane, provider: str, models: Iterable[str], book: PriceBook, day: str
) -> dict[str, tuple[int, int]]:
    """By model, what a token of input and of output costs on a day, where both are known."""
    found: dict[str, tuple[int, int]] = {}
    for model in models:
        entry = entry_at(on_demand_entries(plane, provider, model, book), moment_of(day))
        price = price_for(entry.sheet, 0) if entry is not None and entry.sheet is not None else None
        if price is not None:
            found[model] = (price.input, price.output)
    return found


def capacities_of(plane: Plane) -> Iterator[tuple[str, Capacity, bool]]:
    """Each provider's capacity that is paid for by the hour, and whether answers tell what it
    served."""
    for name, provider in plane.providers.items():
        for number, spec in enumerate(provider.provisioned):
            capacity = Capacity(
                name if len(provider.provisioned) == 1 else f"{name}/{number}",
                tuple(spec.models),
                spec.hourly,
                spec.since,
                spec.until,
                spec.units,
                spec.tpm,
            )
            yield name, capacity, kind_of(provider) in _TELLS_PROVISIONED


def engine_entries(prices: Iterable[EnginePrice]) -> tuple[PriceEntry, ...]:
    """The prices of an engine in time."""
    return merge([engine_entry_of(price) for price in prices], ())


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
