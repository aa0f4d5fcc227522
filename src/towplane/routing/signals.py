"""What a target's engine says of itself, as policies see it: old news, told by the plane process.

A page of metrics is a second old when it is read and older when it is used, and every worker reads
the same one: whoever trusts it alone sends everything to the engine that was idle a second ago. So
a load counts its own attempts as well (`Load.pressure`), and news that is too old is unknown.
"""

import msgspec
from msgspec.structs import replace

__all__ = ["Signals"]


class Signals(msgspec.Struct, array_like=True, frozen=True):
    """One look at an engine; None: it does not say."""

    running: int | None = None
    """Requests that it computes."""
    waiting: int | None = None
    """Requests that wait inside."""
    kv_used: float | None = None
    """How full its KV cache is, 0 to 1."""
    hit_rate: float | None = None
    """Share of prompt tokens that it found in its prefix cache."""
    heartbeat: float | None = None
    """A number that moves when work is done."""
    adapters: frozenset[str] | None = None
    """LoRA adapters of requests that run."""
    adapters_waiting: frozenset[str] | None = None
    """LoRA adapters of requests that wait."""
    adapters_most: int | None = None
    """How many adapters may run at once."""
    read_at: float = 0.0
    """When, by the clock of whoever holds it."""
    fresh_s: float = 5.0
    """How long it may be believed."""

    def since(self, read_at: float) -> "Signals":
        """The same, dated by somebody's own clock."""
        return replace(self, read_at=read_at)

    def is_fresh(self, now: float) -> bool:
        """Whether it may still be believed."""
        return now - self.read_at <= self.fresh_s
