"""The events of the journal: what a worker writes before an answer ends, one JSON line each.

An attempt is `Opened` before the upstream sees it, noted as `Progress` while it streams (at 1, 2,
4, 8, … output tokens) and `Settled` once. An attempt that was opened and never settled is what a
crash leaves behind; recovery settles it as estimated.

A line is an array, `["open", …]`, in the order of the fields: half as long as an object and a third
quicker to write and to read. So a field is only ever added at the end, with a default. Events hold
no cycle, so the garbage collector need not look at them (`gc=False`).
"""

from typing import Annotated, Literal

import msgspec

from towplane.parts.usage import Detail

Whole = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""What a damaged line must not smuggle into the ledger: a number that SQLite cannot hold."""
Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
PerMtok = Annotated[int, msgspec.Meta(ge=0, le=2**47)]
"""Nano-dollars per million tokens; times `Tokens` it is still a number of SQLite."""
Moment = Annotated[float, msgspec.Meta(ge=0, le=253402300799)]
"""Wall clock, seconds since the epoch, up to the year 9999."""
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=2**43)]

Mark = Annotated[int, msgspec.Meta(ge=0, lt=2**32)]

UsageKind = Literal["measured", "estimated", "absent"]
Cause = Literal["first", "retry", "fallback", "reconnect", "hedge", "probe", "mirror"]
Outcome = Literal[
    "ok",  # the upstream finished its answer
    "cancelled",  # the client went away, or another attempt was first
    "refused",  # the upstream's 4xx: the caller's fault, passed on
    "denied",  # the upstream's 401 or 403: the plane's credentials are wrong
    "rate_limited",  # 429
    "overloaded",  # 503, 529
    "server_error",  # other 5xx
    "unavailable",  # no connection, reset
    "protocol",  # broken HTTP, SSE or JSON; a stream without its end
    "timeout",
    "crashed",  # found open at recovery
]


class Marked(msgspec.Struct, array_like=True, gc=False):
    """What is kept of a request's prompt (`routing.marks`)."""

    blocks: Tokens
    marks: Annotated[bytes, msgspec.Meta(max_length=1024)]
    """Base64 in the journal."""
    opening: Mark = 0
    session: Mark = 0


class Opened(msgspec.Struct, tag="open", array_like=True, gc=False):
    """An attempt begins. Everything recovery needs to settle it alone stands here."""

    id: str
    """Attempt id: the request id, a dot, the attempt's number from 1. Ids of one worker ascend."""
    at: Moment
    tenant: str
    key: str
    """The key's public id."""
    model: str
    """What the client asked for."""
    target: str
    upstream_model: str
    cause: Cause
    input_estimate: Tokens
    """Input tokens, estimated from the body."""
    output_limit: Tokens
    """Output tokens reserved."""
    reserved_nanousd: Whole | None = None
    """Money reserved for the request; None: no price known, or nothing to reserve against."""
    price: tuple[PerMtok, PerMtok, PerMtok] | None = None
    """Nano-dollars per million tokens: input, cached input, output; None: unknown."""
    marked: Marked | None = None
    """Of the first attempt of a request, where its route keeps what prompts have in common."""


class Progress(msgspec.Struct, tag="more", array_like=True, gc=False):
    """Output tokens relayed so far."""

    id: str
    output: Tokens


class Settled(msgspec.Struct, tag="end", array_like=True, gc=False):
    """An attempt is over."""

    id: str
    at: Moment
    outcome: Outcome
    usage: UsageKind
    final: bool = False
    """This attempt decided what the client saw."""
    status: Whole | None = None
    """The upstream's HTTP status, if there was one."""
    input: Tokens | None = None
    cached_input: Tokens | None = None
    output: Tokens | None = None
    cost_nanousd: Whole | None = None
    """None: unknown (no price, or usage absent)."""
    ttft_ms: Milliseconds | None = None
    duration_ms: Milliseconds = 0.0
    detail: Detail | None = None
    """Parts of the usage that are special, and the service class; None: nothing special."""
    credential: str | None = None
    """The name of the provider's credential that was sent; None: none was."""


Event = Opened | Progress | Settled
