"""Capacity that is paid for by the hour, shared out over those who used it.

Pure. The price of an hour goes to those who used the capacity in that hour, by the weight of their
tokens. What is left idle is shown apart: hours in which nobody used it, and, where its throughput
is known, the part of an hour that nobody asked for. The laws: shares and idle part add up to what
was paid, to the nano-dollar (largest remainder); where only the day of a use is known, the day is
shared out as one.

A token weighs what it would cost on demand, cached input nothing. That is how Azure counts: an
output token of gpt-4.1 as 4 input tokens, as in its price, and cached tokens deducted wholly
(MicrosoftDocs/azure-ai-docs, provisioned-throughput-onboarding.md, read 2026-11). Where a price is
unknown, output weighs 4 times as much as input for all that share the capacity.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple

import msgspec

__all__ = [
    "Capacity",
    "CapacityDay",
    "CapacityShare",
    "CapacityUse",
    "days_between",
    "share_exactly",
    "share_out",
]

_HOURS = 24
_USUAL = (1, 4)
"""Weights of input and output where no price says them."""


class Capacity(NamedTuple):
    """What is paid for."""

    name: str
    """The provider's name, and a number if it has several."""
    models: tuple[str, ...]
    """The provider's names of what it serves."""
    hourly_nanousd: int
    since: str
    """First day, UTC."""
    until: str | None = None
    """The day on which it ends, not included any more; None: it goes on."""
    units: int = 1
    tpm: int | None = None
    """Input tokens a minute that all of it can take, output counted at its weight; None: not
    known."""


class CapacityUse(NamedTuple):
    """What one tenant used of a capacity in an hour, by the model that it asked for."""

    day: str
    hour: int | None
    """None: some time of the day."""
    tenant: str
    model: str
    upstream_model: str
    input: int
    cached: int
    output: int


class CapacityDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one capacity."""

    capacity: str
    day: str
    cost_nanousd: int
    used_nanousd: int
    """Shared out over its users."""
    idle_nanousd: int
    """Paid for and used by nobody."""
    is_by_hour: bool
    """False: only the day of its uses is known."""


class CapacityShare(msgspec.Struct, frozen=True, kw_only=True):
    """The part of one tenant with one model on one day."""

    capacity: str
    day: str
    tenant: str
    model: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    cost_nanousd: int


def share_out(
    capacity: Capacity,
    uses: Iterable[CapacityUse],
    days: Iterable[str],
    prices: Mapping[str, tuple[int, int]],
) -> tuple[list[CapacityDay], list[CapacityShare]]:
    """The days of a capacity, and what each user has to bear of them.

    `prices` holds the on-demand prices of input and output by upstream model, where they are known.
    """
    by_day: dict[str, list[CapacityUse]] = defaultdict(list)
    for use in uses:
        by_day[use.day].append(use)
    weights = _weights(capacity, prices)
    found_days, shares = [], []
    for day in days:
        if day < capacity.since or (capacity.until is not None and day >= capacity.until):
            continue
        found, costs = _share_day(capacity, day, by_day.get(day, []), weights)
        found_days.append(found)
        shares += _shares_of(capacity.name, by_day.get(day, []), costs)
    return found_days, shares


def days_between(since: str, until: str) -> list[str]:
    """Every day from the first to the last, both included."""
    first, last = date.fromisoformat(since), date.fromisoformat(until)
    return [(first + timedelta(n)).isoformat() for n in range((last - first).days + 1)]


def share_exactly(amount: int, weights: Sequence[int]) -> list[int]:
    """`amount` in whole parts by weight that add up to it; the largest remainders are rounded up,
    of equal ones the first."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    order = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for place in order[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def _weights(
    capacity: Capacity, prices: Mapping[str, tuple[int, int]]
) -> dict[str, tuple[int, int]]:
    """By upstream model, the weights of an input and an output token."""
    known = [prices.get(model) for model in capacity.models]
    if any(price is None or min(price) <= 0 for price in known):
        return dict.fromkeys(capacity.models, _USUAL)
    return {model: prices[model] for model in capacity.models}


def _share_day(
    capacity: Capacity, day: str, uses: list[CapacityUse], weights: dict[str, tuple[int, int]]
) -> tuple[CapacityDay, list[int]]:
    """The day, and the cost of each of its uses."""
    costs = [0] * len(uses)
    is_by_hour = all(use.hour is not None for use in uses)
    used = 0
    for hour in range(_HOURS) if is_by_hour else (None,):
        places = [place for place, use in enumerate(uses) if use.hour == hour or not is_by_hour]
        span = [_weight(uses[place], weights) for place in places]
        hours = 1 if is_by_hour else _HOURS
        asked = _asked(capacity, [uses[place] for place in places], weights, hours)
        amount = int(capacity.hourly_nanousd * hours * asked) if sum(span) else 0
        used += amount
        for place, cost in zip(places, share_exactly(amount, span), strict=True):
            costs[place] = cost
    paid = capacity.hourly_nanousd * _HOURS
    return (
        CapacityDay(
            capacity=capacity.name,
            day=day,
            cost_nanousd=paid,
            used_nanousd=used,
            idle_nanousd=paid - used,
            is_by_hour=is_by_hour,
        ),
        costs,
    )


def _weight(use: CapacityUse, weights: dict[str, tuple[int, int]]) -> int:
    per_input, per_output = weights.get(use.upstream_model, _USUAL)
    return max(0, use.input - use.cached) * per_input + use.output * per_output


def _asked(
    capacity: Capacity, uses: list[CapacityUse], weights: dict[str, tuple[int, int]], hours: int
) -> Fraction:
    """Which part of so many hours was asked for; all of it where its throughput is not known."""
    if capacity.tpm is None or not capacity.tpm:
        return Fraction(1)
    tokens = sum(
        Fraction(_weight(use, weights), weights.get(use.upstream_model, _USUAL)[0]) for use in uses
    )
    return min(Fraction(1), Fraction(tokens) / (capacity.tpm * 60 * hours))


def _shares_of(capacity: str, uses: list[CapacityUse], costs: list[int]) -> list[CapacityShare]:
    """The hours of each user's day added up, by name."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for use, cost in zip(uses, costs, strict=True):
        total = sums.setdefault((use.day, use.tenant, use.model), [0, 0, 0, 0])
        for place, amount in enumerate((use.input, use.cached, use.output, cost)):
            total[place] += amount
    return [
        CapacityShare(
            capacity=capacity,
            day=day,
            tenant=tenant,
            model=model,
            input_tokens=total[0],
            cached_input_tokens=total[1],
            output_tokens=total[2],
            cost_nanousd=total[3],
        )
        for (day, tenant, model), total in sorted(sums.items())
    ]
