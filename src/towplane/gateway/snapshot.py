"""From the document to what workers decide by. Pure: secrets and replicas are passed in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from towplane.document.plane import GatewaySpec, Plane
from towplane.gateway.egress import egress_of
from towplane.gateway.messages import (
    Listen,
    Placed,
    ProviderInfo,
    RouteInfo,
    Snapshot,
    TargetInfo,
)
from towplane.gateway.price_lists import engine_entries, provider_entries, to_worker
from towplane.providers.adapter import Credential
from towplane.providers.endpoints import endpoint_of, kind_of
from towplane.providers.spec import ProviderLimits
from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.tenants.force import in_force
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.pricing.book import NO_BOOK, PriceBook
from towplane.tenants.spec import Limits

__all__ = ["EngineReplica", "make_snapshot", "provider_targets"]


class EngineReplica(Protocol):
    """A replica as the controller reports it."""

    @property
    def engine(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def host(self) -> str | None: ...
    @property
    def port(self) -> int | None: ...
    @property
    def api_key(self) -> str | None: ...


def make_snapshot(
    plane: Plane,
    *,
    version: int,
    pepper: bytes,
    tenants: Iterable[TenantRecord],
    keys: Iterable[KeyRecord],
    credentials: Mapping[str, tuple[Credential, ...]],
    replicas: Sequence[EngineReplica],
    book: PriceBook = NO_BOOK,
    reveal: Callable[[str], str] | None = None,
) -> Snapshot:
    """`credentials` holds the pool of each provider that has one, by the provider's name; `reveal`
    gives the secret of a reference."""
    gateway = plane.gateway
    managed = provider_targets(plane, credentials, book, reveal=reveal)
    targets = {t.name: t for t in (*managed, *_engines(plane, replicas))}
    tenants, keys = in_force(tenants, keys, plane.routing)
    return Snapshot(
        version=version,
        plane=plane.plane,
        listen=_listen(gateway),
        limits=gateway.limits,
        drain_s=gateway.drain_s,
        pepper=pepper,
        tenants=tenants,
        keys=keys,
        targets=tuple(targets.values()),
        routes=tuple(_route(plane, model, spec, replicas) for model, spec in plane.routing.items()),
        access_log=plane.monitoring.access_log,
        providers=tuple(
            ProviderInfo(name, Limits(rpm=spec.rpm, tpm=spec.tpm, concurrency=spec.concurrency))
            for name, provider in plane.providers.items()
            if (spec := provider.limits) != ProviderLimits()
        ),
    )


def provider_targets(
    plane: Plane,
    credentials: Mapping[str, tuple[Credential, ...]],
    book: PriceBook = NO_BOOK,
    *,
    reveal: Callable[[str], str] | None = None,
) -> list[TargetInfo]:
    """Every model of a provider that some route uses."""
    wanted = {
        (spec.provider, spec.model or model): None
        for model, route in plane.routing.items()
        for spec in (*route.targets, *(f for f in route.fallback if isinstance(f, TargetSpec)))
        if spec.provider is not None
    }
    targets = []
    for name, model in wanted:
        provider = plane.providers[name]
        endpoint = endpoint_of(provider)
        targets.append(
            TargetInfo(
                name=f"{name}/{model}",
                kind="provider",
                host=endpoint.host,
                port=endpoint.port,
                path=endpoint.path,
                model=model,
                tls=endpoint.is_tls,
                adapter=kind_of(provider),
                provider=name,
                options=endpoint.options,
                credentials=credentials.get(name, ()),
                egress=egress_of(provider, reveal),
                prices=to_worker(provider_entries(plane, name, model, book)),
            )
        )
    return targets


def _engines(plane: Plane, replicas: Sequence[EngineReplica]) -> list[TargetInfo]:
    return [
        TargetInfo(
            name=replica.target,
            kind="engine",
            host=replica.host or "127.0.0.1",
            port=replica.port or 0,
            path="/v1",
            model=replica.model,
            credentials=_engine_key(replica),
            prices=to_worker(engine_entries(plane.engines[replica.engine].prices)),
            state=replica.state if replica.port or replica.state != "ready" else "starting",
            reason=replica.reason,
        )
        for replica in replicas
        if replica.engine in plane.engines
    ]


def _route(
    plane: Plane, model: str, spec: RouteSpec, replicas: Sequence[EngineReplica]
) -> RouteInfo:
    return RouteInfo(
        model=model,
        groups=tuple(_groups(plane, model, spec, replicas)),
        spec=spec,
    )


def _groups(
    plane: Plane, model: str, spec: RouteSpec, replicas: Sequence[EngineReplica]
) -> list[tuple[Placed, ...]]:
    """The route's own targets, then its fallback chain, depth first; the document has no cycle."""
    groups = [_places(model, spec.targets, replicas)]
    for step in spec.fallback:
        if isinstance(step, TargetSpec):
            groups.append(_places(model, [step], replicas))
        else:
            groups += _groups(plane, step, plane.routing[step], replicas)
    return groups


def _places(
    model: str, specs: Sequence[TargetSpec], replicas: Sequence[EngineReplica]
) -> tuple[Placed, ...]:
    """An engine stands for all its replicas."""
    places: list[Placed] = []
    for spec in specs:
        if spec.provider is not None:
            names = [f"{spec.provider}/{spec.model or model}"]
        else:
            names = [replica.target for replica in replicas if replica.engine == spec.engine]
        places += [Placed(name, spec.weight, spec.role or "", spec.arm or "") for name in names]
    return tuple(places)


def _engine_key(replica: EngineReplica) -> tuple[Credential, ...]:
    if not replica.api_key:
        return ()
    return (Credential(replica.target, (("authorization", f"Bearer {replica.api_key}"),)),)


def _listen(gateway: GatewaySpec) -> Listen:
    return Listen() if gateway.tls is None else Listen(gateway.tls.certificate, gateway.tls.key)
