"""The section `tenants`: customers of the vendor, their projects, limits and budgets, by name."""

from typing import Literal

from msgspec import field

from towplane.parts.section import Section
from towplane.parts.units import Count, Money, Name, Secret, Share, Url

__all__ = ["Alerts", "Budget", "Limits", "Mode", "Priority", "ProjectSpec", "TenantSpec"]

Priority = Literal["high", "standard", "low"]
"""Who goes first where there is not enough for all."""

Mode = Literal["hard", "soft"]
"""Whether what is reached refuses requests, or only alerts."""


class Limits(Section, frozen=True, kw_only=True):
    """Limits of a tenant, a project or a key; absent: no limit."""

    rpm: Count | None = None
    """Requests per minute."""
    tpm: Count | None = None
    """Tokens per minute, input and output together."""
    concurrency: Count | None = None
    """Requests at the same time."""
    rpd: Count | None = None
    """Requests per day, UTC."""
    tpd: Count | None = None
    """Tokens per day, UTC, input and output together."""
    requests_per_month: Count | None = None
    """Requests from the first of the month, UTC."""
    tokens_per_month: Count | None = None
    """Tokens from the first of the month, UTC."""
    mode: Mode = "hard"
    """`soft`: those of a day and a month only alert. Those of a minute, and `concurrency`, always
    hold."""


class Budget(Section, frozen=True, kw_only=True):
    """Money per window, UTC; absent: no budget."""

    daily_nanousd: Money | None = field(name="daily", default=None)
    """From midnight to midnight."""
    monthly_nanousd: Money | None = field(name="monthly", default=None)
    """From the first of the month."""
    total_nanousd: Money | None = field(name="total", default=None)
    """Over the whole life of the tenant, project or key."""
    mode: Mode = "hard"
    """`soft`: it only alerts."""


class Alerts(Section, frozen=True, kw_only=True):
    """Who is told, and when, before a limit of a day or a month or a budget is reached."""

    at: list[Share] = field(default_factory=lambda: [0.5, 0.8, 0.95, 1.0])
    """The shares of a limit at which somebody is told, once in each window."""
    webhook: Url | None = None
    """Where a signed JSON message is posted; absent: it is only listed."""
    secret: Secret | None = None
    """What the messages are signed with."""
    public_only: bool = False
    """Post to public addresses only: a name that leads into a private network is refused."""


class ProjectSpec(Section, frozen=True, kw_only=True):
    """One project of a tenant: `tenants.NAME.projects.PROJECT`. Its keys share what it may."""

    limits: Limits = Limits()
    """How much at a time; those of the tenant hold as well."""
    budget: Budget = Budget()
    """How much money; that of the tenant holds as well."""
    models: list[str] | None = None
    """Models that keys of this project may ask for; absent: all that the tenant may."""
    priority: Priority | None = None
    """Absent: that of the tenant."""


class TenantSpec(Section, frozen=True, kw_only=True):
    """One tenant: `tenants.NAME`. Others are created by command or API; names are unique."""

    limits: Limits = Limits()
    """How much at a time."""
    budget: Budget = Budget()
    """How much money."""
    models: list[str] | None = None
    """Models this tenant may ask for; `*` stands for any letters; absent: all of the document."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What a tenant with a budget may do with a model whose price is unknown."""
    priority: Priority = "standard"
    """Who goes first where a limit leaves too little for all."""
    projects: dict[Name, ProjectSpec] = {}
    """Its projects; others are created by command or API."""
    alerts: Alerts | None = None
    """Who is told before its limits are reached; absent: `tenant_alerts` holds."""
