"""The providers of a plane drawn as the structs of `api.views`. Pure: values in, values out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Literal

from towplane.api.provider_views import (
    CredentialView,
    DiscoveryView,
    ProviderLimitsView,
    ProviderView,
    ProvisionedView,
)
from towplane.api.views import TargetView
from towplane.document.plane import Plane
from towplane.gateway.fleet import Fleet
from towplane.gateway.messages import CredentialReport
from towplane.gateway.snapshot import provider_targets
from towplane.providers.credentials import CredentialState, open_credentials
from towplane.providers.endpoints import endpoint_of, kind_of
from towplane.providers.spec import ProviderSpec, Provisioned
from towplane.routing.discovery.standing import Standing

__all__ = ["discovery_view", "provider_views", "wanted_providers"]

States = Callable[[str], Sequence[CredentialState]]


def provider_views(
    plane: Plane,
    targets: Sequence[TargetView],
    fleet: Fleet,
    states: States,
    discovered: Mapping[str, DiscoveryView],
) -> list[ProviderView]:
    """As they stand in the running plane; `states` are those of the plane process, `discovered`
    holds the providers behind many addresses."""
    reports = [
        report
        for worker in fleet.workers
        if worker.report is not None
        for report in worker.report.credentials
    ]
    found = []
    for name, spec in plane.providers.items():
        own = [target for target in targets if target.name.startswith(f"{name}/")]
        credentials = [
            _credential(state, [report for report in reports if report.name == state.name])
            for state in states(name)
        ]
        found.append(_provider(name, spec, own, credentials, discovered.get(name)))
    return found


def discovery_view(source: str, standing: Standing, wall_of: float) -> DiscoveryView:
    """How the addresses of a provider stand; `wall_of` dates a monotonic time."""
    return DiscoveryView(
        source=source,
        addresses=len(standing.named),
        heard_at=_moment(None if standing.heard_at is None else standing.heard_at + wall_of),
        trouble=standing.trouble,
    )


def wanted_providers(plane: Plane) -> list[ProviderView]:
    """As the document wants them, where no plane runs; no secret is read."""
    found = []
    targets = provider_targets(plane, {})
    for name, spec in plane.providers.items():
        credentials = [
            CredentialView(name=one.name, how=one.how, state="missing", reason="not running")
            for one in open_credentials(name, spec, lambda _: "")
        ]
        view = _provider(name, spec, [], credentials)
        view.state, view.reason = "unused", "not running"
        view.targets = [target.name for target in targets if target.provider == name]
        found.append(view)
    return found


def _provider(
    name: str,
    spec: ProviderSpec,
    targets: Sequence[TargetView],
    credentials: list[CredentialView],
    discovery: DiscoveryView | None = None,
) -> ProviderView:
    state, reason = _judge(targets, credentials, discovery)
    limits = spec.limits
    return ProviderView(
        name=name,
        kind=kind_of(spec),
        endpoint=_url(spec),
        location=_location(spec),
        via=_via(spec),
        state=state,
        reason=reason,
        targets=[target.name for target in targets],
        discovery=discovery,
        limits=ProviderLimitsView(rpm=limits.rpm, tpm=limits.tpm, concurrency=limits.concurrency),
        credentials=credentials,
        provisioned=[_provisioned(one) for one in spec.provisioned],
    )


def _judge(
    targets: Sequence[TargetView],
    credentials: Sequence[CredentialView],
    discovery: DiscoveryView | None,
) -> tuple[Literal["ready", "degraded", "down", "unused"], str]:
    """The worst that can be said of it, and why. An address that starts or drains is no fault."""
    unwell = [f"{one.name} is {one.state}: {one.reason}" for one in credentials if _is_unwell(one)]
    if credentials and len(unwell) == len(credentials):
        return "down", unwell[0]
    if discovery is not None:
        unwell += [f"{discovery.source}: {discovery.trouble}"] if discovery.trouble else []
        if not targets and not discovery.addresses:
            return "down", unwell[-1] if unwell else f"{discovery.source} names no address"
    if not targets:
        return "unused", "no route uses it"
    expected = {"ready", *(("starting", "draining") if discovery is not None else ())}
    broken = [target for target in targets if target.state not in expected]
    unwell += [f"{target.name} is {target.state}: {target.reason}" for target in broken]
    if not any(target.state == "ready" for target in targets):
        return "down", unwell[-1] if unwell else "none of its addresses is ready"
    return ("degraded", unwell[0]) if unwell else ("ready", "")


def _is_unwell(one: CredentialView) -> bool:
    return one.state != "ready"


def _credential(state: CredentialState, reports: Iterable[CredentialReport]) -> CredentialView:
    """The plane process knows what was issued, the workers what was refused."""
    view = CredentialView(
        name=state.name,
        how=state.how,
        state=state.state,
        reason=state.trouble,
        expires_at=_moment(state.expires_at),
        refresh_at=_moment(state.refresh_at),
    )
    parked = [report for report in reports if report.state == "parked"]
    if state.state == "ready" and parked:
        longest = max(parked, key=lambda report: report.parked_s)
        view.state, view.reason = "parked", longest.reason
        view.parked_s = longest.parked_s
    return view


def _url(spec: ProviderSpec) -> str:
    place = endpoint_of(spec)
    host = f"[{place.host}]" if ":" in place.host else place.host
    port = "" if place.port == (443 if place.is_tls else 80) else f":{place.port}"
    return f"{'https' if place.is_tls else 'http'}://{host}{port}{place.path}"


def _location(spec: ProviderSpec) -> str | None:
    """Azure's and OpenAI's endpoints do not say where they are."""
    options = endpoint_of(spec).options
    return options.get("region") or options.get("location")


def _provisioned(spec: Provisioned) -> ProvisionedView:
    return ProvisionedView(
        models=spec.models,
        hourly_nanousd=spec.hourly,
        units=spec.units,
        since=date.fromisoformat(spec.since),
        until=None if spec.until is None else date.fromisoformat(spec.until),
        tpm=spec.tpm,
        source=spec.source,
    )


def _via(spec: ProviderSpec) -> str:
    egress = spec.egress
    words = [
        f"proxy {egress.proxy}" if egress.proxy is not None else "",
        f"at {egress.address}" if egress.address is not None else "",
        "client certificate" if egress.certificate is not None else "",
    ]
    return ", ".join(filter(None, words))


def _moment(at: float | None) -> datetime | None:
    return datetime.fromtimestamp(at, UTC) if at is not None else None
