"""The events of the journal: what a worker writes before an answer ends, one JSON line each.

An attempt is `Opened` before the upstream sees it, noted as `Progress` while it streams (at 1, 2,
4, 8, … output tokens) and `Settled` once. An attempt that was opened and never settled is what a
crash leaves behind; recovery settles it as estimated.
"""

from typing import Literal

import msgspec

UsageKind = Literal["measured", "estimated", "absent"]
Cause = Literal["first", "retry", "fallback", "reconnect"]
Outcome = Literal[
    "ok",  # the upstream finished its answer
    "cancelled",  # the client went away
    "refused",  # the upstream's 4xx: the caller's fault, passed on
    "rate_limited",  # 429
    "overloaded",  # 503, 529
    "server_error",  # other 5xx
    "unavailable",  # no connection, reset
    "protocol",  # broken HTTP, SSE or JSON; a stream without its end
    "timeout",
    "crashed",  # found open at recovery
]


class Opened(msgspec.Struct, tag="open", tag_field="e", omit_defaults=True):
    """An attempt begins. Everything recovery needs to settle it alone stands here."""

    id: str
    """Attempt id: the request id, a dot, the attempt's number from 1. Ids of one worker ascend."""
    request: str
    at: float
    """Wall clock, seconds since the epoch."""
    tenant: str
    key: str
    """The key's public id."""
    model: str
    """What the client asked for."""
    target: str
    upstream_model: str
    cause: Cause
    input_estimate: int
    """Input tokens, estimated from the body."""
    output_limit: int
    """Output tokens reserved."""
    reserved_nanousd: int | None = None
    """Money reserved for the request; None: no price known, or nothing to reserve against."""
    price: tuple[int, int, int] | None = None
    """Nano-dollars per million tokens: input, cached input, output; None: unknown."""


class Progress(msgspec.Struct, tag="more", tag_field="e"):
    """Output tokens relayed so far."""

    id: str
    output: int


class Settled(msgspec.Struct, tag="end", tag_field="e", omit_defaults=True):
    """An attempt is over."""

    id: str
    at: float
    outcome: Outcome
    usage: UsageKind
    final: bool = False
    """This attempt decided what the client saw."""
    status: int | None = None
    """The upstream's HTTP status, if there was one."""
    input: int | None = None
    cached_input: int | None = None
    output: int | None = None
    cost_nanousd: int | None = None
    """None: unknown (no price, or usage absent)."""
    ttft_ms: float | None = None
    duration_ms: float = 0.0


Event = Opened | Progress | Settled
