"""What an attempt costs, as a worker has it at hand: prices in force, the dearest of a route.

Three numbers say it for most requests; the whole sheet is looked at only for long inputs, special
parts and service classes. Knows no client and no limit.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from towplane.gateway.messages import PricedFrom, TargetInfo
from towplane.parts.usage import Detail, Usage
from towplane.providers.ask import Ask
from towplane.tenants.cost import cost_nanousd
from towplane.tenants.prices import Sheet, cost_of, dearest, plain_sheet, price_for

__all__ = ["DatedPrice", "Dearest", "cost_in_detail", "find_price"]

_CLASS_FIELDS = ("service_tier", "speed")
"""Fields with which a request asks for another service class: OpenAI's, Anthropic's."""
_ESTIMATE_MAY_BE_OFF = 2
"""An input may turn out so many times as long as estimated, when the steps it can reach count."""
_FREE = (0, 0, 0)


class DatedPrice:
    """A price, None for an unknown one, and the wall clock from and until which it holds."""

    __slots__ = ("plain_to", "price", "sheet", "since", "until")

    def __init__(
        self,
        price: tuple[int, int, int] | None,
        since: float,
        until: float,
        sheet: Sheet | None = None,
        plain_to: float = math.inf,
    ) -> None:
        self.price = price
        self.since = since
        self.until = until
        self.sheet = sheet
        """None: the three numbers say all there is."""
        self.plain_to = plain_to
        """The longest input for which the three numbers say what an attempt without detail
        costs."""

    def for_input(self, tokens: int) -> tuple[int, int, int] | None:
        """The three numbers for an input of this length."""
        if tokens <= self.plain_to or self.sheet is None:
            return self.price
        return price_for(self.sheet, tokens)


class Priced(Protocol):
    """A target, as far as it has a price."""

    @property
    def info(self) -> TargetInfo: ...

    def price_at(self, wall: float) -> DatedPrice: ...


class Dearest:
    """The most that requests of one route may cost."""

    __slots__ = ("_dated", "_sheets", "_targets")

    def __init__(self, targets: Iterable[Priced]) -> None:
        self._targets = list(targets)
        self._dated = DatedPrice(None, math.inf, -math.inf)
        self._sheets: list[tuple[Sheet, bool]] = []
        """Prices in force that three numbers do not say, and whether any class may answer."""

    def price_at(self, wall: float, ask: Ask) -> tuple[int, int, int] | None:
        """The highest price in each dimension that this request may come to cost, whichever target
        answers and whatever its input turns out to be made of; None if one target's is unknown."""
        dated = self._dated
        if not dated.since <= wall < dated.until:
            dated = self._dated = self._find(wall)
        if not self._sheets or dated.price is None:
            return dated.price
        reach = _ESTIMATE_MAY_BE_OFF * ask.input_estimate
        asks_class = any(field in ask.fields for field in _CLASS_FIELDS)
        if reach <= dated.plain_to and not asks_class:
            return dated.price
        found = (
            dearest(sheet, reach, any_class=asks_class or any_class)
            for sheet, any_class in self._sheets
        )
        return _highest([dated.price, *(price for price in found if price is not None)])

    def _find(self, wall: float) -> DatedPrice:
        """What a short request in the usual class may cost."""
        dated = [target.price_at(wall) for target in self._targets]
        self._sheets = [
            (one.sheet, "service" in target.info.options)
            for target, one in zip(self._targets, dated, strict=True)
            if one.sheet is not None
        ]
        prices = [one.price for one in dated if one.sheet is None]
        prices += [dearest(sheet, 0, any_class=any_class) for sheet, any_class in self._sheets]
        known = [price for price in prices if price is not None]
        return DatedPrice(
            _highest(known or [_FREE]) if len(known) == len(prices) else None,
            max((one.since for one in dated), default=-math.inf),
            min((one.until for one in dated), default=math.inf),
            plain_to=min((_first_step(sheet) for sheet, _ in self._sheets), default=math.inf),
        )


def find_price(prices: Sequence[PricedFrom], wall: float) -> DatedPrice:
    """The price in force at a moment."""
    dated = DatedPrice(None, -math.inf, math.inf)
    for entry in prices:
        if entry.since > wall:
            dated.until = entry.since
            break
        plain_to = math.inf
        if entry.sheet is not None:
            is_free = entry.price is None or entry.sheet.is_provisioned
            plain_to = -1 if is_free else _first_step(entry.sheet)
        dated = DatedPrice(entry.price, entry.since, math.inf, entry.sheet, plain_to)
    return dated


def cost_in_detail(dated: DatedPrice, usage: Usage) -> tuple[int | None, Detail | None]:
    """The cost of an attempt that three numbers do not say, and its detail, in which what an
    hourly price pays for is marked so."""
    sheet, detail = dated.sheet, usage.detail
    if usage.input <= dated.plain_to and dated.price is not None and _costs_nothing_more(detail):
        return cost_nanousd(dated.price, usage.input, usage.cached, usage.output), detail
    if sheet is None:
        if dated.price is None:
            return None, detail
        sheet = plain_sheet(dated.price)
    if sheet.is_provisioned:
        detail = _marked(detail)
    return cost_of(sheet, usage), detail


def _costs_nothing_more(detail: Detail | None) -> bool:
    """Most details only tell how much was thought, which is output as any other."""
    return detail is None or (
        detail.service == "standard"
        and not (
            detail.cache_write or detail.cache_write_1h or detail.audio_input
            or detail.image_input or detail.audio_output or detail.image_output or detail.searches
        )
    )  # fmt: skip


def _marked(detail: Detail | None) -> Detail:
    return msgspec.structs.replace(detail or Detail(), service="provisioned")


def _highest(prices: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    per_input, per_cached, per_output = (max(numbers) for numbers in zip(*prices, strict=True))
    return per_input, per_cached, per_output


def _first_step(sheet: Sheet) -> float:
    """The longest input whose price no step changes, in any class."""
    steps = (step.above for steps in sheet.classes.values() for step in steps)
    return min((above for above in steps if above >= 0), default=math.inf)
