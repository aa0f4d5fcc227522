"""What a route's policy may know of a request, found out only where the policy looks at it.

Keys are made of the parsed prompt (`providers.prompt`), never of the bytes that a client shaped.
The law: what `wants` does not name is neither read nor computed.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from towplane.providers.ask import Ask
from towplane.providers.prompt import read_prompt, read_session
from towplane.routing.demand import Demand, Want
from towplane.routing.keys import ENDS, block_keys, draw_key, prefix_key, prompt_salt, session_key
from towplane.routing.kv_index import Cached
from towplane.routing.spec import RouteSpec

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

__all__ = ["Reading", "demand_of", "make_demand"]

_NO_HEADERS: dict[bytes, bytes] = {}


class Reading:
    """How requests of one route are read: what its spec and its policy say, looked up once."""

    __slots__ = ("_adapter", "_block", "_blocks", "_characters", "_draw", "_header", "_is_opening",
                 "_prefix", "_salts", "_session", "cached", "score")  # fmt: skip

    def __init__(self, spec: RouteSpec, wants: frozenset[Want]) -> None:
        self.score = "score" in wants
        self.cached = "blocks" in wants and spec.prefix.tokenizer is not None
        """Whether engines may be asked what they keep of a prompt."""
        self._prefix, self._blocks = "prefix" in wants, "blocks" in wants
        self._session, self._draw = "session" in wants, "draw" in wants
        self._adapter = spec.adapter or ""
        self._is_opening, self._characters = spec.hashing.of == "user", spec.hashing.characters
        self._block = spec.prefix.block
        self._header = spec.affinity.header.lower().encode()
        self._salts: dict[str, int] = {}
        """By tenant; there are as many as have asked."""

    def demand(
        self,
        ask: Ask,
        tenant: str,
        headers: Mapping[bytes, bytes],
        output: int,
        request: str,
        score: float,
        cached: Cached | None,
    ) -> Demand:
        """Of what a tenant asks for; `headers` by their lower-case names, `request` its id."""
        prefix = session = 0
        blocks: tuple[int, ...] = ()
        stretches = 0.0
        if self._prefix or self._blocks:
            prompt = read_prompt(ask)
            salt = self._salts.get(tenant)
            if salt is None:
                salt = self._salts[tenant] = prompt_salt(tenant, self._adapter)
            if self._prefix:
                count = self._characters
                begin = prompt.opening(count) if self._is_opening else prompt.start(count)
                prefix = prefix_key(salt, begin)
            if self._blocks:
                whole = prompt.whole()
                blocks = block_keys(salt, whole, self._block)
                stretches = len(whole) / self._block
        if self._session:
            session = self._session_of(ask, tenant, headers)
        draw = draw_key(request) if self._draw else 0
        return Demand(  # by position: a third of the time of keywords; the order is the type's
            ask.input_estimate, output, tenant, session, prefix, blocks, self._adapter, score, 1,
            draw, cached, ENDS, stretches,
        )  # fmt: skip

    def _session_of(self, ask: Ask, tenant: str, headers: Mapping[bytes, bytes]) -> int:
        """Of the header, which somebody set for this; else of what the body has."""
        named = headers.get(self._header)
        if named:
            return session_key(tenant, b"header " + named)
        said = read_session(ask.fields)
        return session_key(tenant, said.encode()) if said else 0


def demand_of(x: "Exchange", reading: Reading) -> Demand:
    """The demand of this request, as far as it is wanted."""
    assert x.route is not None
    score, cached = 0.0, None
    if reading.score:
        score = x.route.score(x.ask, x.hall.now())
    if reading.cached:
        cached = x.hall.caches.look_up(x.ask, x.route.info.spec, x.hall.now())
    return reading.demand(
        x.ask, x.caller.tenant, x.request.fields, x.output_limit, x.id, score, cached
    )


def make_demand(
    ask: Ask,
    spec: RouteSpec,
    wants: frozenset[Want],
    tenant: str,
    *,
    headers: Mapping[bytes, bytes] = _NO_HEADERS,
    output: int = 0,
    score: float = 0.0,
    cached: Cached | None = None,
) -> Demand:
    """The demand of a request that nobody has made yet."""
    return Reading(spec, wants).demand(ask, tenant, headers, output, "", score, cached)
