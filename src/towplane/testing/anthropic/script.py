"""What the emulator of Anthropic does with one request: a value, written by a test.

A script is found, in this order: in the queue of the model, in the header `x-emulator-script`, in
the emulator's table by model; else it is `GOOD`. Requests have no room for one: the original
refuses unknown fields, and so does the emulator.

Without a script the prompt decides: `[tool]` in the last text of the user calls the first tool,
`[tools]` all of them at once, `[think]` thinks although nobody asked, `[refuse]` refuses, `[long]`
writes until `max_tokens`.
"""

from typing import Literal

import msgspec

__all__ = ["GOOD", "Script", "Trouble"]


class Trouble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something goes wrong in the middle of an answer."""

    how: Literal["error", "reset", "close", "stall", "garbage"]
    """`error`: an `error` event inside the 200; `garbage`: an event that is not JSON."""
    after_tokens: int = 0
    """So many output tokens were sent before it."""
    error_type: str = "overloaded_error"
    error_message: str = "Overloaded"


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer. The defaults are a well-behaved API."""

    status: int = 200
    error_type: str | None = None
    """Of a status above 399: instead of the usual one."""
    error_message: str | None = None
    error_code: str | None = None
    """`error.details.error_code`."""
    error_body: str | None = None
    """This text instead of JSON, as an edge sends it."""
    headers: dict[str, str] = {}
    """More headers, or others: `retry-after`, `anthropic-ratelimit-requests-remaining`, …"""

    text: str | None = None
    """The answer, instead of so many words."""
    tokens: int = 8
    """Words of the answer, if `max_tokens` allows them."""
    thinking: int = 3
    """Words of thought, where the request asks for thinking."""
    redacted: bool = False
    """The thought can only be read by the API."""
    calls: tuple[str, ...] = ()
    """Tools to call, by name."""
    citations: int = 0
    """Sources of the text."""
    searches: int = 0
    """Web searches of the API's own, with their blocks."""
    stop_reason: str | None = None

    cached: int = 0
    """Input tokens read from the cache."""
    written: int = 0
    """Input tokens written to the cache for five minutes."""
    written_1h: int = 0
    service_tier: str = "standard"
    speed: str | None = None
    usage: Literal["right", "missing", "repeated"] = "right"
    """`repeated`: `message_delta` says the input again, as it may."""

    head_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    pace_s: float = 0.0
    """Between tokens."""
    pings: bool = False
    """A `ping` before each token, besides the one after `message_start`."""
    unknown_events: bool = False
    """An event and a delta of types that nobody knows yet."""
    trouble: Trouble | None = None
    cut_after_bytes: int | None = None
    """So many bytes of the body, then a reset."""
    shred: int | None = None
    """The seed of random cuts: the body is written in pieces of 1 to 40 bytes."""
    end: Literal["good", "no_stop", "no_delta"] = "good"
    """Which of `message_delta` and `message_stop` are missing at the end."""


GOOD = Script()
