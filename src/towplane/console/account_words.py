"""Limits, budgets and quotas as people read them. Pure; it knows no page."""

from typing import NamedTuple

from towplane.api.tenant_views import QuotaRow
from towplane.console import words
from towplane.tenants.measures import MEASURES, MONEY, Measure, mode_of
from towplane.tenants.spec import Budget, Limits

__all__ = ["QuotaLine", "quota_line", "say_budget", "say_limits", "say_models"]

NEAR = 0.8
"""From this share on a quota is worth a look, as the alerts of most vendors have it."""


class QuotaLine(NamedTuple):
    """One limit and how much of it is used."""

    whose: str
    what: str
    window: str
    used: str
    limit: str
    share: str
    state: str
    """`well`, `near` or `over`."""
    fill: str
    """Width of the bar, of 100."""
    mode: str


def say_limits(limits: Limits) -> str:
    """All limits; `none` where there are none."""
    said = [
        f"{amount:,} {info.words}" + _soft(measure, limits, Budget())
        for measure, info in MEASURES.items()
        if info.unit != MONEY and (amount := info.limit(limits, Budget())) is not None
    ]
    return ", ".join(said) or "none"


def say_budget(budget: Budget) -> str:
    """All budgets; `none` where there are none."""
    said = [
        f"{info.words} {words.money(amount)}" + _soft(measure, Limits(), budget)
        for measure, info in MEASURES.items()
        if info.unit == MONEY and (amount := info.limit(Limits(), budget)) is not None
    ]
    return ", ".join(said) or "none"


def say_models(models: list[str] | None, everything: str) -> str:
    """Which models may be asked for."""
    return everything if models is None else ", ".join(models) or "none"


def quota_line(row: QuotaRow) -> QuotaLine:
    """A quota in words: its state stands beside the bar, not only in its colour."""
    say = words.money if row.unit == "nanousd" else words.count
    share = row.used / row.limit if row.limit else (1.0 if row.used else 0.0)
    return QuotaLine(
        whose=f"{row.kind} {row.name}",
        what=MEASURES[row.measure].words,
        window="for good" if row.window == "total" else row.window,
        used=say(row.used),
        limit=say(row.limit),
        share=f"{100 * share:,.1f} %",
        state="over" if share >= 1 else "near" if share >= NEAR else "well",
        fill=f"{100 * min(1.0, share):.1f}",
        mode="refuses above it" if row.mode == "hard" else "only alerts",
    )


def _soft(measure: Measure, limits: Limits, budget: Budget) -> str:
    return " (only alerts)" if mode_of(measure, limits, budget) == "soft" else ""
