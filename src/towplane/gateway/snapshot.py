"""From the document to what workers decide by. Pure: secrets and replicas are passed in."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from towplane.document.plane import GatewaySpec, Plane
from towplane.engines.signals import TABLES
from towplane.gateway.capacities import capacities, paces
from towplane.gateway.egress import egress_of
from towplane.gateway.messages import (
    EventsAt,
    Listen,
    Placed,
    ProviderInfo,
    RouteInfo,
    SignalsAt,
    Snapshot,
    TargetInfo,
)
from towplane.gateway.mirror_accounts import mirror_accounts
from towplane.gateway.price_lists import engine_entries, provider_entries, to_worker
from towplane.providers.adapter import Credential
from towplane.providers.endpoints import endpoint_of, kind_of
from towplane.providers.spec import OpenAICompatibleSpec, ProviderLimits, ProviderSpec
from towplane.routing.complexity.model import Trained
from towplane.routing.complexity.narrowing import trained_file
from towplane.routing.discovery.address import Address, target_name
from towplane.routing.spec import Fallback, Reason, RouteSpec, TargetSpec
from towplane.tenants.force import in_force
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.pricing.book import NO_BOOK, PriceBook
from towplane.tenants.spec import Limits

_NO_SCORERS: Mapping[str, Trained] = {}

__all__ = ["Discovered", "EngineReplica", "make_snapshot", "provider_targets"]

Discovered = Mapping[str, Sequence[Address]]
"""By provider that has many, its addresses."""


class EngineReplica(Protocol):
    """A replica as the controller reports it."""

    @property
    def engine(self) -> str: ...
    @property
    def kind(self) -> str: ...
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
    discovered: Discovered | None = None,
    scorers: Mapping[str, Trained] = _NO_SCORERS,
) -> Snapshot:
    """`credentials` holds the pool of each provider that has one, by the provider's name; `reveal`
    gives the secret of a reference; `scorers` are trained models by their files."""
    gateway = plane.gateway
    managed = provider_targets(plane, credentials, book, reveal=reveal, discovered=discovered)
    targets = {t.name: t for t in (*managed, *_engines(plane, replicas))}
    tenants, keys = in_force(tenants, keys, plane.routing)
    mirrors = [(m, spec.mirror) for m, spec in plane.routing.items() if spec.mirror is not None]
    more_tenants, more_keys = mirror_accounts(mirrors)
    return Snapshot(
        version=version,
        plane=plane.plane,
        listen=_listen(gateway),
        limits=gateway.limits,
        drain_s=gateway.drain_s,
        pepper=pepper,
        tenants=(*tenants, *more_tenants),
        keys=(*keys, *more_keys),
        targets=tuple(targets.values()),
        routes=tuple(
            replace(
                _route(plane, model, spec, replicas, discovered),
                scorer=scorers.get(trained_file(spec)),
            )
            for model, spec in plane.routing.items()
        ),
        access_log=plane.monitoring.access_log,
        providers=(
            *(
                ProviderInfo(name, Limits(rpm=spec.rpm, tpm=spec.tpm, concurrency=spec.concurrency))
                for name, provider in plane.providers.items()
                if (spec := provider.limits) != ProviderLimits()
            ),
            *capacities(plane.routing, replicas),
        ),
    )


def provider_targets(
    plane: Plane,
    credentials: Mapping[str, tuple[Credential, ...]],
    book: PriceBook = NO_BOOK,
    *,
    reveal: Callable[[str], str] | None = None,
    discovered: Discovered | None = None,
) -> list[TargetInfo]:
    """Every model of a provider that some route uses, at each of its addresses; without
    `discovered`, as the document has it."""
    wanted = {
        (spec.provider, spec.model or model): None
        for model, route in plane.routing.items()
        for spec in (
            *route.targets,
            *(f for f in route.fallback if isinstance(f, TargetSpec)),
            *_mirrored(route),
        )
        if spec.provider is not None
    }
    targets = []
    for name, model in wanted:
        provider = plane.providers[name]
        endpoint = endpoint_of(provider)
        target = TargetInfo(
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
            signals=_signals(provider),
            events=_events(provider, endpoint.host),
        )
        addresses = _addresses(name, provider, discovered)
        if addresses is None:
            targets.append(target)
        else:
            targets += [_at(target, provider, each) for each in addresses]
    return targets


def _addresses(
    name: str, provider: ProviderSpec, discovered: Discovered | None
) -> Sequence[Address] | None:
    """Those of a provider that has many; None: it has the one of its endpoint."""
    is_many = isinstance(provider, OpenAICompatibleSpec) and provider.discover is not None
    return None if discovered is None or not is_many else discovered.get(name, ())


def _at(target: TargetInfo, provider: ProviderSpec, address: Address) -> TargetInfo:
    """The same at another address: TLS and the Host header keep the endpoint's name."""
    return replace(
        target,
        name=target_name(target.provider, target.model, address),
        events=_events(provider, address.host),
        egress=replace(target.egress, address=address.place),
        state=address.state,
        reason=address.reason,
    )


def _engines(plane: Plane, replicas: Sequence[EngineReplica]) -> list[TargetInfo]:
    adapting = paces(plane.routing)
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
            adapts_to_s=adapting.get(replica.engine),
            signals=_engine_signals(replica),
            state=replica.state if replica.port or replica.state != "ready" else "starting",
            reason=replica.reason,
        )
        for replica in replicas
        if replica.engine in plane.engines
    ]


def _signals(provider: ProviderSpec) -> SignalsAt | None:
    said = provider.signals if isinstance(provider, OpenAICompatibleSpec) else None
    if said is None:
        return None
    path = said.path or TABLES[said.engine].path
    return SignalsAt(said.engine, path, said.every_s, said.timeout_s)


def _events(provider: ProviderSpec, host: str) -> EventsAt | None:
    said = provider.signals if isinstance(provider, OpenAICompatibleSpec) else None
    if said is None or said.events is None:
        return None
    host = f"[{host}]" if ":" in host else host
    replay = said.replay and said.replay.replace("*", host)
    return EventsAt(said.events.replace("*", host), replay, said.topic, said.blocks)


def _engine_signals(replica: EngineReplica) -> SignalsAt | None:
    table = TABLES.get(replica.kind)
    return SignalsAt(replica.kind, table.path) if table is not None else None


def _route(
    plane: Plane,
    model: str,
    spec: RouteSpec,
    replicas: Sequence[EngineReplica],
    discovered: Discovered | None,
) -> RouteInfo:
    groups = list(_groups(plane, model, spec, replicas, discovered))
    return RouteInfo(
        model=model,
        groups=tuple(places for places, _ in groups),
        on=tuple(on for _, on in groups) if any(on for _, on in groups) else (),
        spec=spec,
        shadow=_shadow(plane, model, spec, replicas, discovered),
    )


def _mirrored(spec: RouteSpec) -> tuple[TargetSpec, ...]:
    """The target that mirrored requests go to, where it is named itself."""
    to = spec.mirror.to if spec.mirror is not None else ""
    return () if isinstance(to, str) else (to,)


def _shadow(
    plane: Plane,
    model: str,
    spec: RouteSpec,
    replicas: Sequence[EngineReplica],
    discovered: Discovered | None,
) -> RouteInfo | None:
    """How mirrored requests go: one attempt, by the other route's policy and patience."""
    if spec.mirror is None:
        return None
    to = spec.mirror.to
    if isinstance(to, str):
        other, name = plane.routing[to], to
        plain = RouteSpec(targets=other.targets, choose=other.choose, timeouts=other.timeouts)
    else:
        other, name = spec, model
        plain = RouteSpec(targets=[to], timeouts=spec.timeouts)
    plain = replace(
        plain, drop_unsupported=other.drop_unsupported, reserve_output=other.reserve_output
    )
    places = _places(plane, name, plain.targets, replicas, discovered)
    return RouteInfo(model=model, groups=(places,), spec=plain)


def _groups(
    plane: Plane,
    model: str,
    spec: RouteSpec,
    replicas: Sequence[EngineReplica],
    discovered: Discovered | None,
    on: tuple[Reason, ...] = (),
) -> Iterator[tuple[tuple[Placed, ...], tuple[Reason, ...]]]:
    """The route's own targets, then its fallback chain, depth first, each with the reasons for
    which alone it is taken; the document has no cycle."""
    yield _places(plane, model, spec.targets, replicas, discovered), on
    for step in spec.fallback:
        reasons = (tuple(step.on) if isinstance(step, Fallback) else ()) or on
        name = step if isinstance(step, str) else getattr(step, "route", None)
        if name is not None:
            yield from _groups(plane, name, plane.routing[name], replicas, discovered, reasons)
        elif isinstance(step, TargetSpec):
            yield _places(plane, model, [step], replicas, discovered), reasons


def _places(
    plane: Plane,
    model: str,
    specs: Sequence[TargetSpec],
    replicas: Sequence[EngineReplica],
    discovered: Discovered | None,
) -> tuple[Placed, ...]:
    """An engine stands for all its replicas, a provider with many addresses for all of these."""
    places: list[Placed] = []
    for spec in specs:
        if spec.engine is not None:
            names = [(replica.target, 1) for replica in replicas if replica.engine == spec.engine]
        else:
            names = _deployments(plane, spec.provider or "", spec.model or model, discovered)
        places += [
            Placed(name, spec.weight * weight, spec.role or "", spec.arm or "")
            for name, weight in names
        ]
    return tuple(places)


def _deployments(
    plane: Plane, provider: str, model: str, discovered: Discovered | None
) -> list[tuple[str, int]]:
    """The targets of a provider's model, each with its weight beside the others."""
    addresses = _addresses(provider, plane.providers[provider], discovered)
    if addresses is None:
        return [(f"{provider}/{model}", 1)]
    return [(target_name(provider, model, each), each.weight) for each in addresses]


def _engine_key(replica: EngineReplica) -> tuple[Credential, ...]:
    if not replica.api_key:
        return ()
    return (Credential(replica.target, (("authorization", f"Bearer {replica.api_key}"),)),)


def _listen(gateway: GatewaySpec) -> Listen:
    return Listen() if gateway.tls is None else Listen(gateway.tls.certificate, gateway.tls.key)
