"""What a route's policy may know of a request, found out only where the policy looks at it.

Keys are made of the parsed prompt (`providers.prompt`), never of the bytes that a client shaped.
The law: what `wants` does not name is neither read nor computed.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from towplane.providers.ask import Ask
from towplane.providers.prompt import read_prompt, read_session
from towplane.routing.demand import Demand, Want
from towplane.routing.keys import ENDS, block_keys, draw_key, prefix_key, session_key
from towplane.routing.kv_index import Cached
from towplane.routing.spec import RouteSpec

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

__all__ = ["demand_of", "make_demand"]

_NO_HEADERS: dict[bytes, bytes] = {}


def demand_of(x: "Exchange", wants: frozenset[Want]) -> Demand:
    """The demand of this request, as far as it is wanted."""
    assert x.route is not None
    spec = x.route.info.spec
    return make_demand(
        x.ask,
        spec,
        wants,
        x.caller.tenant,
        headers=x.request.fields,
        output=x.output_limit,
        request=x.id,
        score=x.route.score(x.ask, x.hall.now()) if "score" in wants else 0.0,
        cached=x.hall.caches.look_up(x.ask, spec, x.hall.now())
        if spec.prefix.tokenizer is not None and "blocks" in wants
        else None,
    )


def make_demand(
    ask: Ask,
    spec: RouteSpec,
    wants: frozenset[Want],
    tenant: str,
    *,
    headers: Mapping[bytes, bytes] = _NO_HEADERS,
    output: int = 0,
    request: str = "",
    score: float = 0.0,
    cached: Cached | None = None,
) -> Demand:
    """The demand of what a tenant asks for; `headers` by their lower-case names, `request` its
    id."""
    prefix = session = 0
    blocks: tuple[int, ...] = ()
    stretches = 0.0
    adapter = spec.adapter or ""
    if "prefix" in wants or "blocks" in wants:
        prompt = read_prompt(ask)
        if "prefix" in wants:
            hashing = spec.hashing
            count = hashing.characters
            begin = prompt.opening(count) if hashing.of == "user" else prompt.start(count)
            prefix = prefix_key(tenant, adapter, begin)
        if "blocks" in wants:
            whole, size = prompt.whole(), spec.prefix.block
            blocks = block_keys(tenant, adapter, whole, size)
            stretches = len(whole) / size
    if "session" in wants:
        session = _session(ask, spec, tenant, headers)
    draw = draw_key(request) if "draw" in wants else 0
    return Demand(  # by position: a third of the time of keywords; the order is the type's
        ask.input_estimate, output, tenant, session, prefix, blocks, adapter, score, 1, draw,
        cached, ENDS, stretches,
    )  # fmt: skip


def _session(ask: Ask, spec: RouteSpec, tenant: str, headers: Mapping[bytes, bytes]) -> int:
    """Of the header, which somebody set for this; else of what the body has."""
    named = headers.get(_header(spec.affinity.header)) if headers else None
    if named:
        return session_key(tenant, b"header " + named)
    said = read_session(ask.fields)
    return session_key(tenant, said.encode()) if said else 0


@lru_cache(maxsize=256)
def _header(name: str) -> bytes:
    return name.lower().encode()
