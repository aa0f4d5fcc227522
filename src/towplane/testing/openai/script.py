"""What the emulator of OpenAI does with one request: a value, written by a test.

A script is found, in this order: in the queue of the model, in the header `x-emulator-script`, in
the emulator's table by model; else it is `GOOD`. Requests have no room for one: the original
refuses unknown fields, and so does the emulator.

Without a script the request decides: reasoning is thought where it is asked for, a JSON Schema is
answered with JSON that fits it, and in the last text of the user `[tool]` calls the first tool,
`[tools]` all of them at once, `[refuse]` refuses, `[long]` writes until the limit. On Azure
`[filter]` is filtered in the prompt and `[filter-answer]` in the middle of the answer.
"""

from typing import Literal

import msgspec

__all__ = ["GOOD", "Script", "Trouble"]


class Trouble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something goes wrong in the middle of an answer."""

    how: Literal["error", "reset", "close", "stall", "garbage"]
    """`error`: inside the 200, in the way of the API and of the vendor; `garbage`: no JSON."""
    after_tokens: int = 0
    """So many output tokens were sent before it; 0: the role or the first events only."""
    code: str = "server_error"
    message: str = "The server had an error while processing your request."


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer. The defaults are a well-behaved API."""

    status: int = 200
    error_code: str | None = None
    """Of a status above 399: instead of the usual one."""
    error_message: str | None = None
    error_body: str | None = None
    """This text instead of JSON, as an edge sends it."""
    headers: dict[str, str] = {}
    """More headers, or others: `retry-after-ms`, `x-should-retry`, …"""

    text: str | None = None
    """The answer, instead of so many words."""
    tokens: int = 8
    """Words of the answer, if the request's limit allows them."""
    thinking: int = 3
    """Words of thought, where the request asks for reasoning."""
    tells_thoughts: bool = False
    """Chat has its thoughts in `reasoning_content`, as servers that are not OpenAI have it."""
    cached: int = 0
    """Input tokens read from the cache."""
    written: int = 0
    """Input tokens written to the cache."""
    service_tier: str = "default"
    usage: Literal["right", "missing"] = "right"
    end: Literal["good", "none"] = "good"
    """`none`: the stream ends without its last event, orderly as HTTP goes."""

    head_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    pace_s: float = 0.0
    """Between tokens."""
    unknown_events: bool = False
    """Events, items and fields of kinds that nobody knows yet."""
    obfuscation: bool = False
    """A field of random length beside each delta, as the original sends it."""
    trouble: Trouble | None = None
    cut_after_bytes: int | None = None
    """So many bytes of the body, then a reset."""


GOOD = Script()
