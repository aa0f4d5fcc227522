"""What targets cost, drawn as the structs of `api.views`. Pure: values in, values out."""

from datetime import UTC, datetime

import msgspec

from towplane.api.provider_views import PriceView, RatesView
from towplane.document.plane import Plane
from towplane.gateway.price_lists import Priced, priced_targets
from towplane.tenants.pricing.book import PriceBook
from towplane.tenants.pricing.entries import FOREVER, PriceEntry, entry_at

__all__ = ["price_views", "why_unknown"]


def price_views(plane: Plane, book: PriceBook, at: float) -> list[PriceView]:
    """The price of every target of a route at a moment, known or not."""
    return [_price(priced, at) for priced in priced_targets(plane, book)]


def why_unknown(priced: Priced, at: float) -> str:
    """Why nobody can say what a target costs."""
    entry = entry_at(priced.entries, at)
    if entry is not None and entry.note:
        return entry.note
    if priced.entries:
        return "its first price begins later"
    if priced.question is None:
        return "the document says none"
    return "neither the document nor the price book says one"


def _price(priced: Priced, at: float) -> PriceView:
    entry = entry_at(priced.entries, at)
    view = PriceView(target=priced.target, routes=list(priced.routes))
    if entry is None or entry.sheet is None:
        view.why_unknown = why_unknown(priced, at)
        return view
    view.origin, view.source, view.note = entry.origin, entry.source, entry.note
    if entry.since != FOREVER:
        view.since = datetime.fromtimestamp(entry.since, UTC).date()
    view.is_provisioned = entry.sheet.is_provisioned
    view.search_nanousd = entry.sheet.search
    view.rates = [] if view.is_provisioned else _rates(entry)
    return view


def _rates(entry: PriceEntry) -> list[RatesView]:
    assert entry.sheet is not None
    return [
        RatesView(
            service=name,
            above=step.above if step.above >= 0 else None,
            **msgspec.structs.asdict(step.rates),
        )
        for name, steps in entry.sheet.classes.items()
        for step in steps
    ]
