"""What the replicas of engines take at once, from what the routes say of them. Pure.

The law: an engine in several routes takes the smallest number that any of them says, and answers
the quickest first token that any of them asks for, as a replica cannot tell routes apart.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from towplane.gateway.messages import ProviderInfo
from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.tenants.spec import Limits

__all__ = ["capacities", "overflow_providers", "paces"]


class Replica(Protocol):
    """A replica of an engine."""

    @property
    def engine(self) -> str: ...
    @property
    def target(self) -> str: ...


def capacities(
    routing: Mapping[str, RouteSpec], replicas: Sequence[Replica]
) -> tuple[ProviderInfo, ...]:
    """Of each replica whose engine takes only so many, how many over all workers."""
    most: dict[str, int] = {}
    for _, target in _engines(routing):
        if target.engine is not None and target.concurrency is not None:
            most[target.engine] = min(target.concurrency, most.get(target.engine, 2**31))
    return tuple(
        ProviderInfo(replica.target, Limits(concurrency=most[replica.engine]), is_engine=True)
        for replica in replicas
        if replica.engine in most
    )


def paces(routing: Mapping[str, RouteSpec]) -> dict[str, float]:
    """Of each engine whose limit is found out: by when its first tokens shall come."""
    found: dict[str, float] = {}
    for route, target in _engines(routing):
        ttft_s = route.slo.ttft_s
        if target.engine is not None and target.adapts and ttft_s is not None:
            found[target.engine] = min(ttft_s, found.get(target.engine, ttft_s))
    return found


def overflow_providers(routing: Mapping[str, RouteSpec], model: str) -> frozenset[str]:
    """The providers whose targets a route asks for overflow."""
    route = routing.get(model)
    found = (target.provider for target in route.targets) if route is not None else ()
    return frozenset(name for name in found if name is not None)


def _engines(routing: Mapping[str, RouteSpec]) -> Iterator[tuple[RouteSpec, TargetSpec]]:
    for route in routing.values():
        for step in (*route.targets, *route.fallback):
            if not isinstance(step, str) and step.engine is not None:
                yield route, step
