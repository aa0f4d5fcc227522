"""The read model: the plane as one value, drawn alike by the admin API, the CLI and the console.

`PlaneView` is what a running plane implements; everything above it only reads these structs. It
knows no HTTP and no page. Laws: what is unknown is None, never 0; moments are UTC and leave as ISO
8601; no secret is in any of them but `NewKey`, which is shown once.
"""

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct, field

from towplane.api.experiments import ArmsView, KeptScore, PostedScore
from towplane.api.explanations import Question, RequestExplanation, RouteExplanation
from towplane.api.provider_views import PricesView, PriceView, ProviderView
from towplane.api.scores import RouteScores
from towplane.api.tenant_views import TenancyView
from towplane.monitoring.health import Health
from towplane.monitoring.series import Sample

__all__ = [
    "DocumentError",
    "DocumentView",
    "EngineView",
    "LedgerView",
    "PlaneStatus",
    "PlaneView",
    "RouteView",
    "Slos",
    "TargetState",
    "TargetView",
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
