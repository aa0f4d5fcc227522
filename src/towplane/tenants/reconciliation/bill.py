"""One line of a bill in normal form, whoever wrote it. Knows no file.

The laws: tokens of a kind are counted once, so uncached input, reads and writes of a cache and
output are apart; what is not understood is a line too, with its own words; money in another
currency is not money here.
"""

from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NamedTuple

__all__ = ["TOKEN_KINDS", "BillLine", "Kind", "amount_of", "nanousd_of", "tokens_of"]

Kind = Literal["input", "cache_read", "cache_write", "output", "capacity", "other"]
"""`capacity` is paid by the hour; `other` is neither tokens nor capacity, or not understood."""

TOKEN_KINDS: tuple[Kind, ...] = ("input", "cache_read", "cache_write", "output")


class BillLine(NamedTuple):
    """Some usage of one day."""

    day: str
    """UTC."""
    model: str
    """As the bill calls it; empty: it does not say."""
    kind: Kind
    tokens: int | None
    """None: it is not counted in tokens, or the unit is not understood."""
    nanousd: int | None
    """None: the amount is not in dollars."""
    words: str
    """The line's own description."""
    region: str = ""
    is_usage: bool = True
    """False: a credit, a tax, a discount: money without usage."""


def amount_of(value: Any) -> Decimal | None:
    """A number of a bill, exactly; None: there is none."""
    if value is None or value == "":
        return None
    try:
        found = Decimal(str(value).replace(",", ""))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def nanousd_of(dollars: Decimal | None) -> int | None:
    """Whole nano-dollars, to the nearest."""
    return None if dollars is None else int((dollars * 10**9).to_integral_value())


def tokens_of(quantity: Decimal | None, per_unit: int | None) -> int | None:
    """Whole tokens; bills round their quantities, so to the nearest."""
    if quantity is None or per_unit is None:
        return None
    return int((quantity * per_unit).to_integral_value())
