"""What the read model says of tenants, and what may be asked of it: rows, wishes, changes, queries.

The laws are those of `api.views`; `TenancyView` is what a running plane implements of it.
"""

from datetime import date, datetime
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from towplane.tenants.alerts.message import Alert
from towplane.tenants.export.write import Format
from towplane.tenants.ledger import UsageBy, UsageRow
from towplane.tenants.measures import Measure
from towplane.tenants.spec import Budget, Limits, Mode, Priority

__all__ = [
    "AuditRow",
    "ChangedKey",
    "ChangedProject",
    "ChangedTenant",
    "Download",
    "ExportQuery",
    "KeyRow",
    "NewKey",
    "ProjectRow",
    "QuotaRow",
    "TenancyView",
    "TenantDetail",
    "TenantRow",
    "UsageQuery",
    "WantedKey",
    "WantedProject",
    "WantedTenant",
]


class TenantRow(Struct, kw_only=True):
    """One tenant."""

    name: str
    source: Literal["document", "created"]
    limits: Limits
    budget: Budget
    models: list[str] | None = None
    """None: all of the document."""
    unpriced: Literal["refuse", "allow"] = "refuse"
    """What a tenant with a budget may do with a model whose price is unknown."""
    priority: Priority = "standard"
    projects: list[str] = []
    created_at: datetime | None = None
    """None for one that the document declares."""
    active_keys: int | None = None


class ProjectRow(Struct, kw_only=True):
    """One project of a tenant."""

    tenant: str
    name: str
    source: Literal["document", "created"]
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    """None: all that its tenant may ask for."""
    priority: Priority | None = None
    """None: that of its tenant."""
    created_at: datetime | None = None


class QuotaRow(Struct, kw_only=True):
    """A limit of a day, a month or for good, and what is used of it now."""

    kind: Literal["tenant", "project", "key"]
    name: str
    """The tenant, the project as `TENANT/PROJECT`, or the key's public id."""
    measure: Measure
    unit: Literal["requests", "tokens", "nanousd"]
    window: str
    """`2026-11-23`, `2026-11` or `total`, UTC."""
    limit: int
    used: int
    """As far as the ledger is; of money, what has a known price."""
    mode: Mode
    """`hard`: what is above it is refused; `soft`: it only alerts."""


class AuditRow(Struct, kw_only=True):
    """One change of a tenant, a project, a key or past costs; no secret is in it."""

    number: int
    at: datetime
    actor: str
    """Who: `cli:USER`, `api`, `console`, `plane`."""
    action: str
    subject: str
    """The tenant, the project as `TENANT/PROJECT`, the key's public id, or `repricing/NUMBER`."""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


class KeyRow(Struct, kw_only=True):
    """One key; its secret is nowhere."""

    id: str
    tenant: str
    state: Literal["active", "revoked", "expired"]
    name: str = ""
    label: str = ""
    project: str = ""
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    """None: all that its tenant may ask for."""
    priority: Priority | None = None
    """None: that of its project, or of its tenant."""
    created_at: datetime | None = None
    overlap_until: datetime | None = None
    """Until when a secret works that a rotation replaced; None: none does."""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class TenantDetail(Struct, kw_only=True):
    """One tenant and all that belongs to it."""

    tenant: TenantRow
    projects: list[ProjectRow]
    keys: list[KeyRow]
    quotas: list[QuotaRow]
    """Its own, those of its projects and of its living keys."""
    alerts: list[Alert]
    """The last hundred, newest first."""
    changes: list[AuditRow]
    """Of it, its projects and its keys: the last hundred, newest first."""


class WantedTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tenant to create."""

    name: str
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    unpriced: Literal["refuse", "allow"] = "refuse"
    priority: Priority = "standard"


class WantedProject(Struct, kw_only=True, forbid_unknown_fields=True):
    """A project to create."""

    name: str
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    priority: Priority | None = None


class WantedKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to create."""

    name: str = ""
    label: str = ""
    project: str = ""
    limits: Limits = Limits()
    budget: Budget = Budget()
    models: list[str] | None = None
    priority: Priority | None = None
    expires_at: datetime | None = None


class ChangedTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a tenant shall be another; what is left out stays, what is there replaces."""

    limits: Limits | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    unpriced: Literal["refuse", "allow"] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET


class ChangedProject(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a project shall be another."""

    limits: Limits | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET


class ChangedKey(Struct, kw_only=True, forbid_unknown_fields=True):
    """What of a key shall be another; its tenant and its project are for good."""

    name: str | UnsetType = UNSET
    label: str | UnsetType = UNSET
    limits: Limits | UnsetType = UNSET
    budget: Budget | UnsetType = UNSET
    models: list[str] | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET
    expires_at: datetime | UnsetType | None = UNSET


class NewKey(Struct, kw_only=True):
    """A key just made: the only time that its secret is seen."""

    id: str
    tenant: str
    token: str

    def __repr__(self) -> str:
        return f"NewKey({self.id}, {self.tenant})"


class UsageQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which usage: grouped by what, of whom, from and to which day (UTC, both included)."""

    by: UsageBy = "tenant"
    tenant: str | None = None
    project: str | None = None
    """`TENANT/PROJECT`, or the project's name alone."""
    key: str | None = None
    label: str | None = None
    model: str | None = None
    target: str | None = None
    service: str | None = None
    credential: str | None = None
    since: date | None = None
    until: date | None = None


class ExportQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which usage is exported, and how."""

    since: date
    """First day, UTC."""
    until: date
    """Last day, included."""
    format: Format = "csv"
    by: str = "tenant,project,key,model,day"
    """What a row stands for, with commas; the tenant always."""
    tenant: str | None = None


class Download(Struct):
    """A file that is answered as it is."""

    file: Any
    """Open for reading bytes; whoever answers it closes it."""
    media_type: str
    name: str


class TenancyView(Protocol):
    """Tenants, keys and usage of a running plane; `api.tenancy.Tenancy` answers from the database.

    What cannot be done raises a `PlaneError`: NotFound, Conflict, BadRequest.
    """

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Rows of the ledger; spend first, then name; days ascend."""
        ...

    async def tenants(self) -> list[TenantRow]:
        """Every tenant, by name."""
        ...

    async def create_tenant(self, wanted: WantedTenant) -> TenantRow:
        """A tenant that is not in the document."""
        ...

    def acting_as(self, actor: str) -> "TenancyView":
        """The same; changes made by it are in the audit under this name."""
        ...

    async def tenant(self, name: str) -> TenantDetail:
        """One tenant and all that belongs to it."""
        ...

    async def create_project(self, tenant: str, wanted: WantedProject) -> ProjectRow:
        """A project that is not in the document."""
        ...

    async def change_tenant(self, name: str, changed: ChangedTenant) -> TenantRow:
        """A tenant that was created is another from now on."""
        ...

    async def change_project(self, tenant: str, name: str, changed: ChangedProject) -> ProjectRow:
        """A project that was created is another from now on."""
        ...

    async def change_key(self, key: str, changed: ChangedKey) -> KeyRow:
        """A key is another from now on; its secret stays."""
        ...

    async def export(self, query: ExportQuery) -> Download:
        """Usage as rows of an invoice."""
        ...

    async def quotas(self, tenant: str | None = None) -> list[QuotaRow]:
        """Limits over windows and what is used of them; of all tenants only their own."""
        ...

    async def alerts(self, tenant: str | None = None) -> list[Alert]:
        """Limits that came near: the last hundred, newest first."""
        ...

    async def changes(self, most: int = 100) -> list[AuditRow]:
        """The last changes of accounts, newest first."""
        ...

    async def keys(self, tenant: str | None = None) -> list[KeyRow]:
        """Keys of a tenant, or of all, dead ones included, oldest first."""
        ...

    async def create_key(self, tenant: str, wanted: WantedKey) -> NewKey:
        """A new key, in force at once."""
        ...

    async def rotate_key(self, key: str, *, overlap_s: float) -> NewKey:
        """A new secret for the key; the one before works until the overlap is over."""
        ...

    async def revoke_key(self, key: str) -> KeyRow:
        """The key opens nothing any more, at once."""
        ...
