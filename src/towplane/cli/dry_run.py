"""The dry mode: what would be sent for a model, to each of its targets, and nothing is sent.

The request is made by what workers make it with; credentials are samples, so no secret is read.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from msgspec import Struct

from towplane.document.plane import Plane
from towplane.gateway.dial import Dialer
from towplane.gateway.messages import TargetInfo
from towplane.gateway.pool import TargetPool
from towplane.gateway.receive import receive
from towplane.gateway.snapshot import provider_targets
from towplane.gateway.target_state import ProviderState, TargetState
from towplane.gateway.turn import Turn
from towplane.parts.errors import BadRequest, NotFound
from towplane.providers.adapter import Credential
from towplane.providers.ask import OPERATIONS, OperationName
from towplane.providers.credentials import Source, open_credentials
from towplane.routing.breaker import Breaker
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.routing.spec import RouteSpec, TargetSpec

__all__ = ["WouldSend", "dry_run", "sample_body"]

T = TypeVar("T")

_STARS = "****"
_LONGEST = 120
"""Longer texts in a body are cut where it is shown."""

_SAMPLES: dict[OperationName, dict[str, object]] = {
    "chat": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64},
    "completions": {"prompt": "Hello", "max_tokens": 64},
    "embeddings": {"input": "Hello"},
    "responses": {"input": "Hello", "max_output_tokens": 64},
    "messages": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 64},
    "count_tokens": {"messages": [{"role": "user", "content": "Hello"}]},
}


class WouldSend(Struct, kw_only=True):
    """One request that would be sent, or why none would be."""

    target: str
    credential: str | None = None
    how: str = ""
    """The way to the credential."""
    through: str = ""
    """Where the connection goes: the endpoint, the proxy, the pinned address."""
    request: str = ""
    """Method and URL."""
    headers: list[tuple[str, str]] = []
    """With stars for secrets."""
    body: object = None
    dropped: list[str] = []
    refused: str = ""
    """Why such a request is not sent there."""


def sample_body(operation: OperationName, model: str) -> dict[str, object]:
    """A small request of this operation."""
    return {"model": model, **_SAMPLES[operation]}


async def dry_run(
    plane: Plane, model: str, operation: OperationName, body: dict[str, object]
) -> list[WouldSend]:
    """For each managed target of the model's route and of its fallback chain, in order."""
    if model not in plane.routing:
        raise NotFound(
            f"no route is called {model}", next_step="`towplane routing list` shows what there is"
        )
    pools = {
        name: open_credentials(name, spec, lambda _: "") for name, spec in plane.providers.items()
    }
    samples = {
        name: tuple(Credential(one.name, one.sample.headers, one.sample.aws) for one in pool)
        for name, pool in pools.items()
    }
    infos = {info.name: info for info in provider_targets(plane, samples)}
    names = dict.fromkeys(_targets(plane, model, plane.routing[model]))
    may_drop = plane.routing[model].drop_unsupported
    return [
        _would_send(infos[name], pools[infos[name].provider], plane, operation, body, may_drop)
        for name in names
        if name in infos
    ]


def _targets(plane: Plane, model: str, route: RouteSpec) -> Iterator[str]:
    for step in (*route.targets, *route.fallback):
        name = step if isinstance(step, str) else getattr(step, "route", None)
        if name is not None:
            yield from _targets(plane, name, plane.routing[name])
        elif isinstance(step, TargetSpec) and step.provider is not None:
            yield f"{step.provider}/{step.model or model}"


def _would_send(
    info: TargetInfo,
    pool: list[Source],
    plane: Plane,
    operation: OperationName,
    body: dict[str, object],
    may_drop: bool,
) -> WouldSend:
    loop = asyncio.get_running_loop()
    dialer = Dialer(info.host, info.port, info.tls, info.egress)
    connections = TargetPool(dialer, loop=loop, turn=Turn(loop), now=time.monotonic)
    target = TargetState(info, connections, Breaker(BreakerSpec()), ProviderState())
    found = WouldSend(target=info.name, through=dialer.say)
    credential = info.credentials[0] if info.credentials else None
    if pool:
        found.credential, found.how = pool[0].name, pool[0].how
    ask = receive(OPERATIONS[operation], [msgspec.json.encode(body)], {})
    try:
        call = target.call_for(ask, may_drop)
    except BadRequest as error:
        found.refused = f"{error.say} {error.next_step}".strip()
        return found
    head = target.head_for(call.rendered, credential, time.time).decode("latin-1")
    line, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _ = line.split(" ", 2)
    url = f"{'https' if info.tls else 'http'}://{target.host}"
    found.request = f"{method} {path if '://' in path else url + path}"
    found.headers = [_mask(*one.split(": ", 1)) for one in lines]
    if info.egress.proxy is not None and plane.providers[info.provider].egress.proxy_authorization:
        found.headers.append(("proxy-authorization", f"Basic {_STARS}"))
    found.body = _cut(msgspec.json.decode(call.rendered.body))
    found.dropped = list(call.dropped)
    return found


def _mask(name: str, value: str) -> tuple[str, str]:
    """A signature of stars means nothing; what it covers does."""
    start, signature, _ = value.partition("Signature=")
    return name, f"{start}{signature}{_STARS}" if signature else value


def _cut(value: T) -> T | str | list[object] | dict[str, object]:
    match value:
        case str() if len(value) > _LONGEST:
            return f"{value[:_LONGEST]}… ({len(value)} characters)"
        case list():
            return [_cut(one) for one in value]
        case dict():
            return {name: _cut(one) for name, one in value.items()}
    return value
