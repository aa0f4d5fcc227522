"""What tokens cost: the price of a day, and the cost of one attempt in whole nano-dollars.

Pure. Knows no model and no document: a price list is anything with the fields of `PriceSpec`. The
laws: a missing price is None and never 0; a cost is exact integer arithmetic, rounded once.
"""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["DatedPrice", "Price", "cost_nanousd", "price_at"]

_MTOK = 1_000_000


class Price(NamedTuple):
    """Nano-dollars per million tokens; the order is that of `Opened.price`."""

    input: int
    cached_input: int
    output: int


class DatedPrice(Protocol):
    """One entry of a price list, like `providers.spec.PriceSpec`."""

    @property
    def since(self) -> str: ...
    @property
    def input(self) -> int: ...
    @property
    def cached_input(self) -> int | None: ...
    @property
    def output(self) -> int: ...


def price_at(specs: Iterable[DatedPrice], day: str) -> Price | None:
    """The price in force on `day` (ISO 8601, UTC), or None before the first and without a list."""
    latest: DatedPrice | None = None
    for spec in specs:
        if spec.since <= day and (latest is None or spec.since >= latest.since):
            latest = spec
    if latest is None:
        return None
    cached = latest.input if latest.cached_input is None else latest.cached_input
    return Price(latest.input, cached, latest.output)


def cost_nanousd(
    price: tuple[int, int, int], input_tokens: int, cached_input: int, output: int
) -> int:
    """Cost of one attempt, half a nano-dollar rounded up; `cached_input` is inside the input."""
    per_input, per_cached, per_output = price
    if cached_input > input_tokens:  # an upstream's mistake must not make a negative cost
        cached_input = input_tokens
    exact = (
        (input_tokens - cached_input) * per_input + cached_input * per_cached + output * per_output
    )
    return (exact + _MTOK // 2) // _MTOK
