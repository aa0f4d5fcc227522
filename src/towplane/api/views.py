"""The read model: the plane as one value, drawn alike by the admin API, the CLI and the console.

`PlaneView` is what a running plane implements; everything above it only reads these structs. It
knows no HTTP and no page. Laws: what is unknown is None, never 0; moments are UTC and leave as ISO
8601; no secret is in any of them but `NewKey`, which is shown once.
"""

from datetime import date, datetime
from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType, field

from towplane.api.experiments import ArmsView, KeptScore, PostedScore
from towplane.api.explanations import Question, RequestExplanation, RouteExplanation
from towplane.api.scores import RouteScores
from towplane.monitoring.health import Health
from towplane.monitoring.now import ModelNow, Now
from towplane.monitoring.series import Sample
from towplane.tenants.alerts.message import Alert
from towplane.tenants.export.write import Format
from towplane.tenants.ledger import UsageBy, UsageRow
from towplane.tenants.measures import Measure
from towplane.tenants.spec import Budget, Limits, Mode, Priority

__all__ = [
    "Alert",
    "AuditRow",
    "ChangedKey",
    "ChangedProject",
    "ChangedTenant",
    "CredentialView",
    "DiscoveryView",
    "DocumentError",
    "DocumentView",
    "Download",
    "EngineView",
    "ExportQuery",
    "Health",
    "KeyRow",
    "LedgerView",
    "ModelNow",
    "NewKey",
    "Now",
    "PlaneStatus",
    "PlaneView",
    "PriceView",
    "PricesView",
    "ProjectRow",
    "ProviderLimitsView",
    "ProviderView",
    "ProvisionedView",
    "QuotaRow",
    "RatesView",
    "RouteView",
    "Slos",
    "TargetState",
    "TargetView",
    "TenancyView",
    "TenantDetail",
    "TenantRow",
    "UnpricedView",
    "UsageBy",
    "UsageQuery",
    "UsageRow",
    "WantedKey",
    "WantedProject",
    "WantedTenant",
    "WorkerView",
]

TargetState = Literal["ready", "starting", "draining", "open", "down"]


class DocumentError(Struct, kw_only=True):
    """One thing that is wrong with a document."""

    say: str
    line: int | None = None
    column: int | None = None
    next_step: str = ""


class DocumentView(Struct, kw_only=True):
    """The document in force, and what became of the newest one."""

    path: str
    digest: str
    loaded_at: datetime
    """When the one in force took effect."""
    is_valid: bool = True
    """False: the newest document was refused; the older one stays in force."""
    refused_at: datetime | None = None
    errors: list[DocumentError] = []
    """Of the refused one."""
    applied: int = 1
    """Documents that took effect since the start."""
    refused: int = 0


class WorkerView(Struct, kw_only=True):
    """One gateway worker."""

    number: int
    pid: int | None
    state: Literal["serving", "starting", "draining", "down"]
    restarts: int = 0
    in_flight: int | None = None
    connections: int | None = None
    since: datetime | None = None


class EngineView(Struct, kw_only=True):
    """One replica of an engine."""

    engine: str
    replica: int
    target: str
    kind: str
    """Which engine: `llama.cpp`."""
    state: str
    """The state of the replica's life, in the supervisor's word."""
    reason: str = ""
    pid: int | None = None
    port: int | None = None
    version: str | None = None
    weights: str = ""
    licence: str | None = None
    """Licence of the weights; None: nobody said."""
    restarts: int = 0
    since: datetime | None = None


class TargetView(Struct, kw_only=True):
    """One place that can answer."""

    name: str
    kind: Literal["engine", "provider"]
    state: TargetState
    reason: str = ""
    """Why it is in this state, in words, where it is not ready."""
    routes: list[str] = []
    in_flight: int | None = None
    attempts: int | None = None
    failures: int | None = None
    provider: str = ""
    """The provider that it belongs to; empty: none."""
    model: str = ""
    """What the provider calls the model."""
    address: str = ""
    """Of several behind its provider, the one that it is, `HOST:PORT`; empty: there is only one."""
    parked_s: float | None = None
    """Seconds for which it asked to be left alone; None: it did not."""
    requests_left: int | None = None
    """What the provider last said is left of its limits, the least that a worker heard; None: it
    does not say."""
    tokens_left: int | None = None
    health: Health | None = None
    """How it has done of late; None: nothing has been measured yet."""


class Slos(Struct, kw_only=True):
    """What a good answer of a route is; None: no such threshold."""

    ttft_s: float | None = None
    itl_s: float | None = None
    total_s: float | None = None


class RouteView(Struct, kw_only=True):
    """One model that clients may ask for."""

    model: str
    choose: str
    targets: list[str]
    """`PROVIDER/MODEL`, or the name of an engine, which stands for all its replicas."""
    fallback: list[str] = []
    slo: Slos = field(default_factory=Slos)


class LedgerView(Struct, kw_only=True):
    """How far the ledger is behind the journal; None: not known yet."""

    lag_events: int | None = None
    folded: int = 0
    last_fold: datetime | None = None
    bad_lines: int = 0


class CredentialView(Struct, kw_only=True):
    """One credential of a provider; its secret is nowhere."""

    name: str
    """`PROVIDER#1`, in the order of the document."""
    how: str
    """The way to it: `key env:NAME`, `managed identity`, `instance role, role ARN`."""
    state: Literal["ready", "parked", "missing"]
    """`parked`: the provider refused it in at least one worker; `missing`: it cannot be had."""
    reason: str = ""
    parked_s: float | None = None
    """Seconds until it is tried again."""
    expires_at: datetime | None = None
    """None: it lasts until its secret changes, or nobody says."""
    refresh_at: datetime | None = None
    """When it is got again."""


class ProviderLimitsView(Struct, kw_only=True):
    """What the document says that a provider allows; None: nothing."""

    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None


class ProvisionedView(Struct, kw_only=True):
    """Capacity of a provider that is paid for by the hour."""

    models: list[str]
    hourly_nanousd: int
    units: int
    since: date
    """First day, UTC."""
    until: date | None = None
    """The day on which it ends; None: it goes on."""
    tpm: int | None = None
    """Input tokens a minute that all of it can take; None: not known."""
    source: str = ""


class DiscoveryView(Struct, kw_only=True):
    """Where the addresses behind a provider come from, and how that goes."""

    source: str
    """In words: `DNS vllm.default.svc`, `Kubernetes service vllm`."""
    addresses: int
    """Those that it names; others that only drain are not counted."""
    heard_at: datetime | None = None
    """When its last good answer came; None: none has."""
    trouble: str = ""
    """Why there has been no good answer since; what was known stays for `discover.keep`."""


class ProviderView(Struct, kw_only=True):
    """One managed API or server."""

    name: str
    kind: str
    endpoint: str
    location: str | None = None
    """Its region or location; None: its kind has none, or nobody says."""
    via: str = ""
    """The proxy and the pinned address, in words; empty: directly."""
    state: Literal["ready", "degraded", "down", "unused"]
    """`degraded`: some of its credentials or targets cannot be used; `down`: none can."""
    reason: str = ""
    targets: list[str] = []
    """`PROVIDER/MODEL` of every route that uses it; behind many addresses
    `PROVIDER/MODEL@HOST:PORT` of each."""
    discovery: DiscoveryView | None = None
    """None: it has one address, which the document says."""
    limits: ProviderLimitsView = field(default_factory=ProviderLimitsView)
    credentials: list[CredentialView] = []
    """Empty: it asks for none."""
    provisioned: list[ProvisionedView] = []
    health: Health | None = None
    """How all its targets together have done of late; None: nothing has been measured yet."""


class UnpricedView(Struct, kw_only=True):
    """A target whose price nobody knows."""

    target: str
    """`PROVIDER/MODEL`, or the name of an engine."""
    routes: list[str]
    is_managed: bool
    """A managed API, which sends a bill."""


class RatesView(Struct, kw_only=True):
    """Nano-dollars per million tokens of one service class; None: unknown."""

    service: str
    above: int | None = None
    """Holds for requests with more than so many tokens of input; None: from the first one."""
    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    audio_output: int | None = None
    image_output: int | None = None


class PriceView(Struct, kw_only=True):
    """What one target costs now, and who says so."""

    target: str
    routes: list[str]
    origin: Literal["document", "book"] | None = None
    """None: nobody knows its price."""
    why_unknown: str = ""
    since: date | None = None
    """The day from which it holds; None: its source does not say."""
    source: str = ""
    """Where the figure was read."""
    note: str = ""
    is_provisioned: bool = False
    """It is paid for by the hour, not by the token."""
    search_nanousd: int | None = None
    """One call of a tool of the provider's own; None: unknown."""
    rates: list[RatesView] = []


class PricesView(Struct, kw_only=True):
    """Which prices are unknown, and what the price book is worth."""

    unpriced: list[UnpricedView] = []
    book: str = ""
    """Name and version of the price book; empty: there is none, or nothing is asked of it."""
    newest: date | None = None
    """The last day on which a price in it changed; None: not known."""
    complaint: str = ""
    """What is wrong with the book; empty: nothing."""


class PlaneStatus(Struct, kw_only=True):
    """The plane as it stands."""

    plane: str
    tier: Literal["cloud", "kubernetes", "onprem"]
    version: str
    started_at: datetime
    serving: str
    """Base URL of the serving port."""
    admin: str
    """Base URL of the admin port."""
    document: DocumentView
    pid: int | None = None
    workers: list[WorkerView] = []
    engines: list[EngineView] = []
    providers: list[ProviderView] = []
    targets: list[TargetView] = []
    routes: list[RouteView] = []
    ledger: LedgerView = field(default_factory=LedgerView)
    prices: PricesView = field(default_factory=PricesView)


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


class PlaneView(Protocol):
    """A running plane, as its doors see it; `towplane up` runs one."""

    @property
    def tenancy(self) -> TenancyView:
        """Its tenants, keys and usage."""
        ...

    def status(self) -> PlaneStatus:
        """The plane as it stands; cheap, from memory."""
        ...

    async def samples(self) -> list[Sample]:
        """What the workers have counted, merged over the living and the dead."""
        ...

    def prices(self) -> list[PriceView]:
        """What each target of a route costs now; from memory."""
        ...

    async def explain(self, model: str, question: Question) -> RouteExplanation:
        """How the route of a model is decided now; NotFound where there is none."""
        ...

    async def scores(self, model: str) -> RouteScores:
        """What a model's prompts scored lately; NotFound where they are not scored."""
        ...

    async def arms(self, model: str, since: datetime | None) -> ArmsView:
        """The arms of a route, compared; NotFound where it has none."""
        ...

    async def post_score(self, model: str, posted: PostedScore) -> KeptScore:
        """Keep what the vendor thinks of an answer; NotFound, BadRequest."""
        ...

    async def explain_request(self, request: str) -> RequestExplanation:
        """Where a past request went; NotFound where nobody knows it."""
        ...
