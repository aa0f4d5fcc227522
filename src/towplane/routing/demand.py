"""What a policy may know of one request: counts and hashes, never its text.

The gateway makes one from the parsed prompt (`gateway.demand`), the simulator from a trace. Hashes
are 64 bits wide, the same in every worker and on every machine, and salted by the tenant, so that
two tenants with the same words are told apart. What no policy of the route looks at stays empty.
"""

from typing import Literal, NamedTuple

from towplane.routing.kv_index import Cached

__all__ = ["NOTHING", "Demand", "Want"]

Want = Literal["prefix", "blocks", "session", "size", "score", "draw"]
"""What of a demand costs something to find out."""


class Demand(NamedTuple):
    """One request, as far as choosing a target goes."""

    tokens: int = 0
    """Input tokens, estimated."""
    output: int = 0
    """Output tokens reserved."""
    tenant: str = ""
    session: int = 0
    """Hash of what ties requests to each other (a header, the user); 0: nothing does."""
    prefix: int = 0
    """Hash of the first part of the prompt; 0: it has none."""
    blocks: tuple[int, ...] = ()
    """Chained hashes of the prompt's successive blocks: equal leading ones mean an equal prefix."""
    adapter: str = ""
    """The LoRA adapter that it asks for."""
    score: float = 0.0
    """How much the request gains from a strong target (`routing.complexity`); NaN: unknown."""
    priority: int = 1
    """Its rank (`tenants.priorities`); 0 goes first."""
    draw: int = 0
    """A number that looks random, the same for all attempts of a request."""
    cached: Cached | None = None
    """What engines say that they keep of the prompt; None: none says it, or nobody could look."""


NOTHING = Demand()
"""Of a route whose policy looks at nothing."""
