"""The section `tenants`: customers of the vendor, their limits and budgets, by name."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import Count, Money


class Limits(Section, frozen=True, kw_only=True):
    """Limits of a tenant or a key; absent: no limit."""

    rpm: Count | None = None
    """Requests per minute."""
    tpm: Count | None = None
    """Tokens per minute, input and output together."""
    concurrency: Count | None = None
    """Requests at the same time."""


class Budget(Section, frozen=True, kw_only=True):
    """Money per window, UTC; absent: no budget."""

    daily_nanousd: Money | None = field(name="daily", default=None)
    """From midnight to midnight."""
    monthly_nanousd: Money | None = field(name="monthly", default=None)
    """From the first of the month."""
    total_nanousd: Money | None = field(name="total", default=None)
    """Over the whole life of the tenant or key."""


class TenantSpec(Section, frozen=True, kw_only=True):
    """One tenant: `tenants.NAME`. Others are created by command or API; names are unique."""

    limits: Limits = Limits()
    """How much at a time."""
    budget: Budget = Budget()
    """How much money."""
    models: list[str] | None = None
    """Models this tenant may ask for; absent: all of the document."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What a tenant with a budget may do with a model whose price is unknown."""
