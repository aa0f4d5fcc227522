"""The read model: the plane as one value, drawn alike by the admin API, the CLI and the console.

`PlaneView` is what a running plane implements; everything above it only reads these structs. It
knows no HTTP and no page. Law: what is unknown is None, never 0; no secret is in any of them but
`NewKey`, which is shown once.
"""

from typing import Literal, Protocol

from msgspec import Struct, field

from towplane.monitoring.now import Now
from towplane.monitoring.series import Sample

__all__ = [
    "DocumentError",
    "DocumentView",
    "EngineView",
    "KeyRow",
    "LedgerView",
    "NewKey",
    "NewTenant",
    "Now",
    "PlaneStatus",
    "PlaneView",
    "RouteView",
    "Slos",
    "TargetState",
    "TargetView",
    "TenantRow",
    "UsageBy",
    "UsageRow",
    "WorkerView",
]

TargetState = Literal["ready", "starting", "draining", "open", "down"]
UsageBy = Literal["tenant", "key", "model", "target", "day"]


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
    loaded_at: float
    """When the one in force took effect; seconds since the epoch."""
    is_valid: bool = True
    """False: the newest document was refused; the older one stays in force."""
    refused_at: float | None = None
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
    since: float | None = None


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
    since: float | None = None


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
    fallback: list[str] = []
    slo: Slos = field(default_factory=Slos)


class LedgerView(Struct, kw_only=True):
    """How far the ledger is behind the journal; None: not known yet."""

    lag_events: int | None = None
    folded: int = 0
    last_fold: float | None = None
    bad_lines: int = 0


class PlaneStatus(Struct, kw_only=True):
    """The plane as it stands."""

    plane: str
    tier: Literal["cloud", "kubernetes", "onprem"]
    version: str
    started_at: float
    serving: str
    """Base URL of the serving port."""
    admin: str
    """Base URL of the admin port."""
    document: DocumentView
    pid: int | None = None
    workers: list[WorkerView] = []
    engines: list[EngineView] = []
    targets: list[TargetView] = []
    routes: list[RouteView] = []
    ledger: LedgerView = field(default_factory=LedgerView)


class UsageRow(Struct, kw_only=True):
    """Usage of one tenant, key, model, target or day; token counts hold measured and estimated."""

    name: str
    requests: int
    attempts: int
    input: int
    cached_input: int
    output: int
    estimated: int = 0
    """Attempts whose usage is estimated."""
    absent: int = 0
    """Attempts whose usage is unknown."""
    cost_nanousd: int = 0
    """Of the priced attempts."""
    unpriced: int = 0
    """Attempts whose cost is unknown."""


class TenantRow(Struct, kw_only=True):
    """One tenant."""

    name: str
    source: Literal["document", "command"] = "command"
    keys: int = 0
    spent_nanousd: int | None = None
    budget_nanousd: int | None = None


class KeyRow(Struct, kw_only=True):
    """One key; its secret is nowhere."""

    id: str
    tenant: str
    state: Literal["active", "revoked", "expired"] = "active"
    label: str = ""
    created_at: float | None = None
    expires_at: float | None = None
    last_used_at: float | None = None


class NewTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """A tenant to create."""

    name: str


class NewKey(Struct, kw_only=True):
    """A key just made: the only time that its secret is seen."""

    id: str
    tenant: str
    secret: str


class PlaneView(Protocol):
    """A running plane, as its doors see it. `towplane up` implements it."""

    def status(self) -> PlaneStatus:
        """The plane as it stands; cheap, from memory."""
        ...

    async def samples(self) -> list[Sample]:
        """What the workers have counted, merged over the living and the dead."""
        ...

    async def usage(self, by: UsageBy, *, tenant: str | None = None) -> list[UsageRow]: ...

    async def tenants(self) -> list[TenantRow]: ...

    async def create_tenant(self, wanted: NewTenant) -> TenantRow: ...

    async def keys(self, tenant: str) -> list[KeyRow]: ...

    async def create_key(self, tenant: str, *, label: str = "") -> NewKey: ...

    async def rotate_key(self, key: str, *, overlap_s: float) -> NewKey: ...

    async def revoke_key(self, key: str) -> KeyRow: ...
