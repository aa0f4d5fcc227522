"""What the fake provider does with one request: a value, written by a test.

A script is found, in this order: in the queue of the model, in the header `x-fake-script`, in the
field `fake` of the request's body (one script, or a list of which the n-th request with the same
`user` takes the n-th, the last one for good), in the provider's table by model; else it is `GOOD`.
"""

from typing import Literal

import msgspec

__all__ = ["GOOD", "Failure", "Script"]


class Failure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something goes wrong with the connection or the stream."""

    how: Literal[
        "reset",  # a TCP reset
        "close",  # an orderly close
        "stall",  # silence until the client goes
        "half_chunk_reset",  # half of an HTTP chunk, then a reset
        "half_chunk_close",
        "error_event",  # `data: {"error": ...}` inside the 200, then the end
    ]
    when: Literal["before_head", "after_head", "token"] = "token"
    token: int = 0
    """Of `when: token`: so many output tokens have been sent before it happens."""


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer. The defaults are a well-behaved provider."""

    status: int = 200
    error_code: str | None = None
    """Of a status above 399: OpenAI's `error.code` instead of the usual one."""
    error_body: str | None = None
    """Of a status above 399: this text instead of OpenAI's error object."""
    headers: dict[str, str] = {}
    """More headers of the answer: `Retry-After`, `retry-after-ms`, ..."""
    text: str | None = None
    """The answer, instead of `tokens` words."""
    tokens: int = 8
    """Output tokens, if the request's own maximum allows them."""
    cached: int = 0
    """Input tokens that are said to come from the cache."""
    head_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    """From the head to the first token."""
    pace_s: float = 0.0
    """Between tokens."""
    end_delay_s: float = 0.0
    """Between the last event of a stream and the end of its framing."""
    failure: Failure | None = None
    end: Literal["good", "no_done", "no_finish", "neither", "abort"] = "good"
    """Which of `finish_reason` and `[DONE]` the stream ends with."""
    usage: Literal["right", "missing", "null", "last_choice", "unasked"] = "right"
    first_frame: Literal["role_empty", "role_null", "none"] = "role_empty"
    channel: Literal["content", "reasoning", "tool"] = "content"

    framing: Literal["chunked", "length", "until_close", "http10"] = "chunked"
    """Of streams; plain answers have a length unless told `chunked` by `plain_chunked`."""
    plain_chunked: bool = False
    pack: Literal["event", "joined", "halved", "bytes"] = "event"
    """How events lie in HTTP chunks: one each, four together, cut in two, a byte each."""
    write_bytes: int = 0
    """Each write to the socket holds so many bytes; 0: whole pieces."""
    crlf: bool = False
    """SSE lines end with CRLF."""
    pings: bool = False
    """An SSE comment before each token."""
    chunk_extension: str = ""
    trailers: dict[str, str] = {}
    interim: list[int] = []
    """Statuses of interim answers (100, 103) before the real one."""
    head_padding_bytes: int = 0
    gzip: bool = False
    """Compress a plain answer although nobody asked for it."""
    keep_alive: bool = True

    raw: list[str] | None = None
    """The whole answer as bytes (Latin-1), in pieces that are written apart; nothing else is
    sent, and the connection is closed afterwards unless `raw_stay`."""
    raw_stay: bool = False


GOOD = Script()
