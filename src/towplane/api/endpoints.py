"""`/api/v1`: one table of endpoints, from which the application and its OpenAPI are made.

Each handler turns a `Call` into a value of the read model; it parses no HTTP and renders nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from towplane.api.experiments import ArmsView, KeptScore, PostedScore, Since
from towplane.api.explanations import Question, RequestExplanation, RouteExplanation
from towplane.api.health import HEALTH_S, HealthBy, HealthRow, health_rows, with_health
from towplane.api.provider_views import PriceView, ProviderView
from towplane.api.pulse import Pulse
from towplane.api.scores import RouteScores
from towplane.api.tenant_views import (
    AuditRow,
    ChangedKey,
    ChangedProject,
    ChangedTenant,
    Download,
    ExportQuery,
    KeyRow,
    NewKey,
    ProjectRow,
    QuotaRow,
    TenantDetail,
    TenantRow,
    UsageQuery,
    WantedKey,
    WantedProject,
    WantedTenant,
)
from towplane.api.views import (
    DocumentView,
    EngineView,
    PlaneStatus,
    PlaneView,
    RouteView,
    TargetView,
)
from towplane.monitoring.now import Now
from towplane.parts.errors import NotFound, NotReady
from towplane.tenants.alerts.message import Alert
from towplane.tenants.ledger import UsageRow

__all__ = ["ENDPOINTS", "Call", "Endpoint"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request, decoded: the values have the types that the endpoint declares."""

    view: PlaneView
    pulse: Pulse
    path: dict[str, str]
    query: Any
    body: Any


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    handle: Callable[[Call], Awaitable[Struct]]
    answer: type[Struct]
    query: type[Struct] | None = None
    body: type[Struct] | None = None
    status: int = 200
    fails: tuple[str, ...] = ()
    """Codes of errors that it may answer with, beside those that any endpoint may."""


class EngineList(Struct, kw_only=True):
    """Replicas of all engines."""

    engines: list[EngineView]


class TargetList(Struct, kw_only=True):
    """All places that can answer."""

    targets: list[TargetView]


class ProviderList(Struct, kw_only=True):
    """All managed APIs and servers."""

    providers: list[ProviderView]
    targets: list[TargetView]
    """Their models that routes use."""


class ProviderDetail(Struct, kw_only=True):
    """One managed API or server, its models, and what they cost."""

    provider: ProviderView
    targets: list[TargetView]
    prices: list[PriceView]


class HealthList(Struct, kw_only=True):
    """Success, TTFT and latency, with the question that they answer."""

    by: HealthBy
    rows: list[HealthRow]


class PriceList(Struct, kw_only=True):
    """What the targets of all routes cost now."""

    prices: list[PriceView]


class RouteList(Struct, kw_only=True):
    """All models that clients may ask for."""

    routes: list[RouteView]


class TenantList(Struct, kw_only=True):
    """All tenants."""

    tenants: list[TenantRow]


class QuotaList(Struct, kw_only=True):
    """Limits over windows, and what is used of them."""

    quotas: list[QuotaRow]


class AlertList(Struct, kw_only=True):
    """Limits that came near, newest first."""

    alerts: list[Alert]


class ChangeList(Struct, kw_only=True):
    """What was changed, newest first."""

    changes: list[AuditRow]


class KeyList(Struct, kw_only=True):
    """Keys of one tenant."""

    keys: list[KeyRow]


class Usage(Struct, kw_only=True):
    """Usage from the ledger, with the question that it answers."""

    query: UsageQuery
    rows: list[UsageRow]


class NowQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Over which time."""

    window_s: float = 60.0


class Window(Struct, kw_only=True, forbid_unknown_fields=True):
    """Over which time, at most a quarter of an hour."""

    window_s: float = HEALTH_S


class HealthQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Of what, and over which time."""

    by: HealthBy = "provider"
    window_s: float = HEALTH_S


class OfTenant(Struct, kw_only=True, forbid_unknown_fields=True):
    """Of whom; without a tenant: of all."""

    tenant: str | None = None


class ChangesQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    most: Annotated[int, Meta(ge=1, le=1000)] = 100


class Rotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How to rotate a key."""

    overlap_s: float = 86_400.0
    """How long the secret before still opens the door."""


async def _status(call: Call) -> PlaneStatus:
    return with_health(call.view.status(), call.pulse)


async def _now(call: Call) -> Now:
    now = call.pulse.now(call.query.window_s)
    if now is None:
        raise NotReady("nothing has been measured yet", next_step="ask again in two seconds")
    return now


async def _document(call: Call) -> DocumentView:
    return call.view.status().document


async def _engines(call: Call) -> EngineList:
    return EngineList(engines=call.view.status().engines)


async def _targets(call: Call) -> TargetList:
    return TargetList(targets=with_health(call.view.status(), call.pulse).targets)


async def _providers(call: Call) -> ProviderList:
    status = with_health(call.view.status(), call.pulse, call.query.window_s)
    targets = [target for target in status.targets if target.provider]
    return ProviderList(providers=status.providers, targets=targets)


async def _provider(call: Call) -> ProviderDetail:
    name = call.path["provider"]
    status = with_health(call.view.status(), call.pulse, call.query.window_s)
    for provider in status.providers:
        if provider.name == name:
            return ProviderDetail(
                provider=provider,
                targets=[target for target in status.targets if target.provider == name],
                prices=[one for one in call.view.prices() if one.target in provider.targets],
            )
    known = ", ".join(one.name for one in status.providers) or "none"
    raise NotFound(f"there is no provider `{name[:80]}`", next_step=f"there are: {known}")


async def _health(call: Call) -> HealthList:
    query = call.query
    rows = health_rows(call.view.status(), call.pulse, query.by, query.window_s)
    return HealthList(by=query.by, rows=rows)


async def _prices(call: Call) -> PriceList:
    return PriceList(prices=call.view.prices())


async def _routes(call: Call) -> RouteList:
    return RouteList(routes=call.view.status().routes)


async def _explain(call: Call) -> RouteExplanation:
    return await call.view.explain(call.path["model"], Question())


async def _explain_question(call: Call) -> RouteExplanation:
    return await call.view.explain(call.path["model"], call.body)


async def _scores(call: Call) -> RouteScores:
    return await call.view.scores(call.path["model"])


async def _explain_request(call: Call) -> RequestExplanation:
    return await call.view.explain_request(call.path["request"])


async def _arms(call: Call) -> ArmsView:
    return await call.view.arms(call.path["model"], call.query.since)


async def _set_score(call: Call) -> KeptScore:
    return await call.view.post_score(call.path["model"], call.body)


async def _tenants(call: Call) -> TenantList:
    return TenantList(tenants=await call.view.tenancy.tenants())


async def _tenant(call: Call) -> TenantDetail:
    return await call.view.tenancy.tenant(call.path["tenant"])


async def _create_project(call: Call) -> ProjectRow:
    return await call.view.tenancy.create_project(call.path["tenant"], call.body)


async def _change_tenant(call: Call) -> TenantRow:
    return await call.view.tenancy.change_tenant(call.path["tenant"], call.body)


async def _change_project(call: Call) -> ProjectRow:
    tenant, project = call.path["tenant"], call.path["project"]
    return await call.view.tenancy.change_project(tenant, project, call.body)


async def _change_key(call: Call) -> KeyRow:
    return await call.view.tenancy.change_key(call.path["key"], call.body)


async def _export(call: Call) -> Download:
    return await call.view.tenancy.export(call.query)


async def _quotas(call: Call) -> QuotaList:
    return QuotaList(quotas=await call.view.tenancy.quotas(call.query.tenant))


async def _alerts(call: Call) -> AlertList:
    return AlertList(alerts=await call.view.tenancy.alerts(call.query.tenant))


async def _changes(call: Call) -> ChangeList:
    return ChangeList(changes=await call.view.tenancy.changes(call.query.most))


async def _create_tenant(call: Call) -> TenantRow:
    return await call.view.tenancy.create_tenant(call.body)


async def _keys(call: Call) -> KeyList:
    return KeyList(keys=await call.view.tenancy.keys(call.path["tenant"]))


async def _create_key(call: Call) -> NewKey:
    return await call.view.tenancy.create_key(call.path["tenant"], call.body)


async def _rotate_key(call: Call) -> NewKey:
    return await call.view.tenancy.rotate_key(call.path["key"], overlap_s=call.body.overlap_s)


async def _revoke_key(call: Call) -> KeyRow:
    return await call.view.tenancy.revoke_key(call.path["key"])


async def _usage(call: Call) -> Usage:
    return Usage(query=call.query, rows=await call.view.tenancy.usage(call.query))


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("GET", "/status", "The plane as it stands", _status, PlaneStatus),
    Endpoint(
        "GET",
        "/now",
        "The last minute, from the counters",
        _now,
        Now,
        query=NowQuery,
        fails=("not_ready",),
    ),
    Endpoint("GET", "/document", "The document in force", _document, DocumentView),
    Endpoint("GET", "/engines", "Replicas of the engines", _engines, EngineList),
    Endpoint(
        "GET",
        "/providers",
        "Managed APIs, their credentials, limits and health",
        _providers,
        ProviderList,
        query=Window,
    ),
    Endpoint(
        "GET",
        "/providers/{provider}",
        "One of them, with its models and their prices",
        _provider,
        ProviderDetail,
        query=Window,
        fails=("not_found",),
    ),
    Endpoint(
        "GET",
        "/health",
        "Success, TTFT and latency by provider, region, model or target",
        _health,
        HealthList,
        query=HealthQuery,
    ),
    Endpoint("GET", "/prices", "What targets cost, and who says so", _prices, PriceList),
    Endpoint("GET", "/targets", "Places that can answer", _targets, TargetList),
    Endpoint("GET", "/routing", "Models and their routes", _routes, RouteList),
    Endpoint(
        "GET",
        "/routing/{model}/explain",
        "Where the next request for a model goes, and why",
        _explain,
        RouteExplanation,
        fails=("not_found",),
    ),
    Endpoint(
        "POST",
        "/routing/{model}/explain",
        "Where a given request would go, and why; nothing is sent",
        _explain_question,
        RouteExplanation,
        body=Question,
        fails=("not_found",),
    ),
    Endpoint(
        "GET",
        "/routing/{model}/complexity",
        "What a model's prompts scored lately",
        _scores,
        RouteScores,
        fails=("not_found",),
    ),
    Endpoint(
        "POST",
        "/routing/{model}/scores",
        "Say how good the answer to a request was, for comparing arms",
        _set_score,
        KeptScore,
        body=PostedScore,
        fails=("not_found", "bad_request"),
    ),
    Endpoint(
        "GET",
        "/routing/{model}/arms",
        "The arms of a split, compared; valid whenever it is looked at",
        _arms,
        ArmsView,
        query=Since,
        fails=("not_found",),
    ),
    Endpoint(
        "GET",
        "/routing/requests/{request}",
        "Where a past request went, and why",
        _explain_request,
        RequestExplanation,
        fails=("not_found",),
    ),
    Endpoint("GET", "/tenants", "Tenants", _tenants, TenantList),
    Endpoint(
        "POST",
        "/tenants",
        "Create a tenant",
        _create_tenant,
        TenantRow,
        body=WantedTenant,
        status=201,
        fails=("conflict",),
    ),
    Endpoint(
        "GET",
        "/tenants/{tenant}",
        "One tenant: projects, keys, quotas, alerts, changes",
        _tenant,
        TenantDetail,
        fails=("not_found",),
    ),
    Endpoint(
        "PATCH",
        "/tenants/{tenant}",
        "Change a tenant that was created",
        _change_tenant,
        TenantRow,
        body=ChangedTenant,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "POST",
        "/tenants/{tenant}/projects",
        "Create a project",
        _create_project,
        ProjectRow,
        body=WantedProject,
        status=201,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "PATCH",
        "/tenants/{tenant}/projects/{project}",
        "Change a project that was created",
        _change_project,
        ProjectRow,
        body=ChangedProject,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "GET", "/tenants/{tenant}/keys", "Keys of a tenant", _keys, KeyList, fails=("not_found",)
    ),
    Endpoint(
        "POST",
        "/tenants/{tenant}/keys",
        "Create a key; its token is shown this once",
        _create_key,
        NewKey,
        body=WantedKey,
        status=201,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "POST",
        "/keys/{key}/rotate",
        "A new secret for a key; the one before works until an overlap is over",
        _rotate_key,
        NewKey,
        body=Rotation,
        status=201,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "PATCH",
        "/keys/{key}",
        "Change what a key may, its name or its end",
        _change_key,
        KeyRow,
        body=ChangedKey,
        fails=("not_found", "conflict"),
    ),
    Endpoint(
        "DELETE",
        "/keys/{key}",
        "Revoke a key, at once",
        _revoke_key,
        KeyRow,
        fails=("not_found", "conflict"),
    ),
    Endpoint("GET", "/usage", "Usage and cost from the ledger", _usage, Usage, query=UsageQuery),
    Endpoint(
        "GET",
        "/export",
        "Usage as rows of an invoice: CSV, JSON or Parquet",
        _export,
        Download,
        query=ExportQuery,
        fails=("not_found", "unsupported"),
    ),
    Endpoint(
        "GET",
        "/quotas",
        "Limits of days and months, and what is used of them",
        _quotas,
        QuotaList,
        query=OfTenant,
        fails=("not_found",),
    ),
    Endpoint(
        "GET",
        "/alerts",
        "Limits that came near, and who was told",
        _alerts,
        AlertList,
        query=OfTenant,
        fails=("not_found",),
    ),
    Endpoint(
        "GET",
        "/audit",
        "Who changed tenants, projects, keys and past costs",
        _changes,
        ChangeList,
        query=ChangesQuery,
    ),
)
"""All of `/api/v1`, in the order of the documentation."""
