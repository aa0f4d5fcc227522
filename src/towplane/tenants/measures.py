"""What can be limited: each measure, what it counts, and over which window. One table.

Pure. Knows neither workers nor the ledger. The law: every measure of `spec.Limits` and
`spec.Budget` is in the table once, in the order in which units are taken.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from towplane.tenants.spec import Budget, Limits, Mode
from towplane.tenants.windows import Used, Windows

__all__ = ["MEASURES", "MONEY", "REQUESTS", "RUNS", "TOKENS", "Limit", "Measure", "MeasureInfo",
           "limits_of", "mode_of", "used_of"]  # fmt: skip

Measure = Literal[
    "rpm",
    "tpm",
    "concurrency",
    "rpd",
    "tpd",
    "requests_per_month",
    "tokens_per_month",
    "daily",
    "monthly",
    "total",
]

REQUESTS, RUNS, TOKENS, MONEY = range(4)
"""What a request takes: a request, a place among those that run, tokens, money. Small numbers, so
that amounts can be looked up by place in a tuple."""


class MeasureInfo(NamedTuple):
    """One measure."""

    unit: int
    window: Literal["", "day", "month", "total"]
    """Over which window of the ledger it counts; empty: over a minute, or what runs now."""
    limit: Callable[[Limits, Budget], int | None]
    words: str
    """What it limits, for people."""
    reason: str
    """Of a refusal: `x-towplane-reason`."""


MEASURES: dict[Measure, MeasureInfo] = {
    "rpm": MeasureInfo(
        REQUESTS, "", lambda at, _: at.rpm, "requests per minute", "requests-per-minute"
    ),
    "tpm": MeasureInfo(TOKENS, "", lambda at, _: at.tpm, "tokens per minute", "tokens-per-minute"),
    "concurrency": MeasureInfo(
        RUNS, "", lambda at, _: at.concurrency, "requests at the same time", "concurrency"
    ),
    "rpd": MeasureInfo(
        REQUESTS, "day", lambda at, _: at.rpd, "requests per day", "requests-per-day"
    ),
    "tpd": MeasureInfo(TOKENS, "day", lambda at, _: at.tpd, "tokens per day", "tokens-per-day"),
    "requests_per_month": MeasureInfo(
        REQUESTS,
        "month",
        lambda at, _: at.requests_per_month,
        "requests per month",
        "requests-per-month",
    ),
    "tokens_per_month": MeasureInfo(
        TOKENS, "month", lambda at, _: at.tokens_per_month, "tokens per month", "tokens-per-month"
    ),
    "daily": MeasureInfo(
        MONEY, "day", lambda _, budget: budget.daily_nanousd, "daily budget", "budget-daily"
    ),
    "monthly": MeasureInfo(
        MONEY, "month", lambda _, budget: budget.monthly_nanousd, "monthly budget", "budget-monthly"
    ),
    "total": MeasureInfo(
        MONEY, "total", lambda _, budget: budget.total_nanousd, "total budget", "budget-total"
    ),
}


class Limit(NamedTuple):
    """One limit of an account in one window."""

    measure: Measure
    window: str
    """`2026-11-23`, `2026-11`, `total`, or empty."""
    amount: int


def limits_of(
    limits: Limits, budget: Budget, windows: Windows, *, soft: bool = False
) -> Iterator[Limit]:
    """The limits of an account at a moment that refuse; with `soft`, those that only alert too."""
    for measure, info in MEASURES.items():
        amount = info.limit(limits, budget)
        if amount is not None and (soft or mode_of(measure, limits, budget) == "hard"):
            yield Limit(measure, getattr(windows, info.window) if info.window else "", amount)


def mode_of(measure: Measure, limits: Limits, budget: Budget) -> Mode:
    """Whether a limit refuses. What counts by the minute always does."""
    info = MEASURES[measure]
    if not info.window:
        return "hard"
    return budget.mode if info.unit == MONEY else limits.mode


def used_of(measure: Measure, used: Used) -> int:
    """What of a window's usage a measure counts."""
    unit = MEASURES[measure].unit
    return used.nanousd if unit == MONEY else used.tokens if unit == TOKENS else used.requests
