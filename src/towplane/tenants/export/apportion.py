"""Amounts in cents that add up: the method of the largest remainder. Pure.

The laws: the cents of all rows are the cents of their exact sum; no row is off by a cent or more;
of two rows the one with the larger remainder never gets less; what costs nothing stays nothing. It
takes two passes and eight bytes a row, however many rows there are.
"""

from array import array
from collections.abc import Sequence

__all__ = ["NANO_PER_CENT", "apportion"]

NANO_PER_CENT = 10_000_000
"""Nano-dollars in a cent."""
_BIN = 1000
"""Remainders are sought first among bins of so many, then within one: 10,000 bins, then 1,000."""


def apportion(costs: Sequence[int], unit: int = NANO_PER_CENT) -> "array[int]":
    """Each cost in whole units, so that they add up to the sum in whole units (half up)."""
    whole = (2 * sum(costs) + unit) // (2 * unit)
    extra = whole - sum(cost // unit for cost in costs)
    least, among = _find_least(costs, unit, extra)
    amounts = array("q")
    for cost in costs:
        amount, remainder = divmod(cost, unit)
        if remainder > least or (remainder == least and among > 0):
            amount += 1
            among -= remainder == least
        amounts.append(amount)
    return amounts


def _find_least(costs: Sequence[int], unit: int, extra: int) -> tuple[int, int]:
    """The smallest remainder that still gets one of `extra` units, and how many such rows do."""
    if extra <= 0:
        return unit, 0
    bins = [0] * (unit // _BIN + 1)
    for cost in costs:
        bins[cost % unit // _BIN] += 1
    place, extra = _descend(bins, extra)
    within = [0] * _BIN
    for cost in costs:
        remainder = cost % unit
        if remainder // _BIN == place:
            within[remainder % _BIN] += 1
    least, extra = _descend(within, extra)
    return place * _BIN + least, extra


def _descend(counts: list[int], wanted: int) -> tuple[int, int]:
    """The place at which `wanted` are reached from the top, and how many of them it must give."""
    for place in range(len(counts) - 1, -1, -1):
        if counts[place] >= wanted:
            return place, wanted
        wanted -= counts[place]
    raise AssertionError("more units than rows")
