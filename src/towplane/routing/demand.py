"""What a policy may know of one request: counts and hashes, never its text.

The gateway makes one from the parsed prompt (`gateway.demand`), the simulator from a trace. Hashes
are 64 bits wide, the same in every worker and on every machine, and salted by the tenant, so that
two tenants with the same words are told apart. What no policy of the route looks at stays empty.
"""

from collections.abc import Sequence
from typing import Literal

from towplane.routing.kv_index import Cached

__all__ = ["EACH", "NOTHING", "Demand", "Want"]

Want = Literal["prefix", "blocks", "session", "size", "score", "draw"]
"""What of a demand costs something to find out."""

EACH = range(1, 1 << 30)
"""Of blocks that are a stretch each."""


class Demand:
    """One request, as far as choosing a target goes; a value, though of a plain class, which the
    compiled line makes in a tenth of the time of a tuple with names."""

    __slots__ = ("adapter", "blocks", "cached", "draw", "ends", "output", "prefix", "priority",
                 "score", "session", "stretches", "tenant", "tokens")  # fmt: skip

    def __init__(
        self,
        tokens: int = 0,
        output: int = 0,
        tenant: str = "",
        session: int = 0,
        prefix: int = 0,
        blocks: tuple[int, ...] = (),
        adapter: str = "",
        score: float = 0.0,
        priority: int = 1,
        draw: int = 0,
        cached: Cached | None = None,
        ends: Sequence[int] = EACH,
        stretches: float = 0.0,
    ) -> None:
        self.tokens = tokens
        """Input tokens, estimated."""
        self.output = output
        """Output tokens reserved."""
        self.tenant = tenant
        self.session = session
        """Hash of what ties requests to each other (a header, the user); 0: nothing does."""
        self.prefix = prefix
        """Hash of the first part of the prompt; 0: it has none."""
        self.blocks = blocks
        """Chained hashes of the prompt's successive blocks (`routing.keys`): equal leading ones
        mean an equal prefix."""
        self.adapter = adapter
        """The LoRA adapter that it asks for."""
        self.score = score
        """How much the request gains from a strong target (`routing.complexity`); NaN: unknown."""
        self.priority = priority
        """Its rank (`tenants.priorities`); 0 goes first."""
        self.draw = draw
        """A number that looks random, the same for all attempts of a request."""
        self.cached = cached
        """What engines say that they keep of the prompt; None: none says it, or nobody could
        look."""
        self.ends = ends
        """Where each of the blocks ends, in stretches of equal length; there may be more than
        blocks."""
        self.stretches = stretches or (ends[len(blocks) - 1] + 0.5 if blocks else 0.5)
        """How long the prompt is, in such; the last one is half full, where nobody measured it."""


NOTHING = Demand()
"""Of a route whose policy looks at nothing."""
