"""What the emulator of Vertex AI does with one request: a value, written by a test.

A script is found, in this order: in the queue of the model, in the header `x-emulator-script`, in
the emulator's table by model; else it is `GOOD`. Requests have no room for one: the original
refuses unknown fields, and so does the emulator.

Without a script the request decides: a Gemini thinks unless it is told not to, a JSON Schema is
answered with JSON that fits it, and in the last text of the user `[tool]` calls the first tool,
`[tools]` all of them at once, `[long]` writes until `maxOutputTokens`, `[blocked]` is blocked.
"""

from typing import Literal

import msgspec

from towplane.testing.anthropic.script import Script as ClaudeScript
from towplane.testing.anthropic.script import Trouble as ClaudeTrouble
from towplane.testing.openai.script import Script as ChatScript

__all__ = ["GOOD", "Script", "Trouble"]


class Trouble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something goes wrong in the middle of an answer."""

    how: Literal["error", "error_array", "error_event", "reset", "close", "stall", "garbage"]
    """`error`: plain JSON inside the 200, over several lines; in an array; or as an event."""
    after_tokens: int = 0
    """So many output tokens were sent before it."""
    code: int = 503
    status: str = "UNAVAILABLE"
    message: str = "The service is currently unavailable."


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer. The defaults are a well-behaved API."""

    status: int = 200
    """From 400 on: Google's error for it."""
    error_status: str | None = None
    """Instead of the usual word, as `FAILED_PRECONDITION`."""
    error_message: str | None = None
    error_body: str | None = None
    """This text instead of JSON, as an edge sends it."""
    in_array: bool = False
    """The error comes in an array of one."""
    retry_delay: str = ""
    """Of `RetryInfo`, as `34.4s`."""
    quota_id: str = ""
    """Of `QuotaFailure`, as `GenerateRequestsPerDayPerProjectPerModel`."""
    headers: dict[str, str] = {}

    text: str | None = None
    """The answer, instead of so many words."""
    tokens: int = 8
    """Words of the answer, if the request's limit allows them."""
    thinking: int = 3
    """Words of thought, where the model thinks."""
    cached: int = 0
    """Prompt tokens read from the cache."""
    finish: str | None = None
    """`finishReason`, whatever it should be; empty: the answer ends without one."""
    block: str = ""
    """`promptFeedback.blockReason`; there are no candidates then."""
    citations: int = 0
    """Sources of a text of Claude's."""
    picture: bool = False
    """The answer holds a picture, too."""
    traffic: str = "ON_DEMAND"
    usage: Literal["last", "every", "missing", "thoughts_inside"] = "last"
    """In which chunks the counters stand, and where thoughts are counted."""
    chunk_tokens: int = 2
    """Tokens of one chunk: the original sends several."""

    head_delay_s: float = 0.0
    first_token_delay_s: float = 0.0
    pace_s: float = 0.0
    """Between chunks."""
    trouble: Trouble | None = None
    cut_after_bytes: int | None = None
    """So many bytes of the body, then a reset."""
    shred: int | None = None
    """The seed of random cuts: the body is written in pieces of 1 to 40 bytes."""

    def for_claude(self) -> ClaudeScript:
        """The same for the emulator of Anthropic."""
        trouble = self.trouble
        how = {"error": "error", "error_array": "error", "error_event": "error"}
        return ClaudeScript(
            text=self.text,
            tokens=self.tokens,
            thinking=self.thinking,
            cached=self.cached,
            citations=self.citations,
            pace_s=self.pace_s,
            usage="missing" if self.usage == "missing" else "right",
            trouble=ClaudeTrouble(
                how=how.get(trouble.how, trouble.how),  # type: ignore[arg-type]
                after_tokens=trouble.after_tokens,
            )
            if trouble is not None
            else None,
        )

    def for_chat(self) -> ChatScript:
        """The same for the emulator of OpenAI."""
        return ChatScript(
            text=self.text,
            tokens=self.tokens,
            thinking=self.thinking,
            cached=self.cached,
            usage="missing" if self.usage == "missing" else "right",
        )


GOOD = Script()
