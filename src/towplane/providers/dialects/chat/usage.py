"""Usage on the wire of OpenAI's chat API, and what it is in normal form; both ways, in one place.

OpenAI counts cached and written tokens inside the prompt's and reasoning inside the completion's.
Not all who speak its wire do: where the total is larger than prompt and completion together, the
rest was thought (xAI says so in `reasoning_tokens`, Gemini's endpoint in no field at all).
"""

import msgspec

from towplane.parts import usage as normal

__all__ = ["Usage", "render_usage", "service_word"]

_SERVICES: dict[str, normal.ServiceClass] = {
    "flex": "flex",
    "priority": "priority",
    "scale": "provisioned",  # OpenAI: bought ahead, by the minute
    "fast": "fast",
    "batch": "batch",
    "performance": "priority",  # Groq
}
"""`service_tier` of an answer; every other word is the standard class."""
_WORDS = {"flex": "flex", "priority": "priority", "provisioned": "scale", "fast": "fast"}


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class Usage(msgspec.Struct):
    """Usage as the wire has it."""

    prompt_tokens: int
    completion_tokens: int | None = 0
    total_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    """DeepSeek's name for cached tokens."""
    cached_tokens: int | None = None
    """Moonshot's and Together's."""
    cache_creation_input_tokens: int | None = None
    """LiteLLM's name for tokens written to a cache."""

    def normal(self, service: str | None = None) -> normal.Usage:
        """In normal form; `service` is the answer's `service_tier`."""
        if (
            self.prompt_tokens_details is None
            and self.completion_tokens_details is None
            and not service
            and self.total_tokens == self.prompt_tokens + (self.completion_tokens or 0)
            and not (self.prompt_cache_hit_tokens or self.cached_tokens)
            and not self.cache_creation_input_tokens
        ):
            return normal.Usage(self.prompt_tokens, self.completion_tokens or 0)  # most engines
        of_input = self.prompt_tokens_details or _NO_INPUT
        of_output = self.completion_tokens_details or _NO_OUTPUT
        cached = of_input.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens or 0
        written = of_input.cache_write_tokens or self.cache_creation_input_tokens or 0
        output, reasoning = self.completion_tokens or 0, of_output.reasoning_tokens or 0
        beside = (self.total_tokens or 0) - self.prompt_tokens - output
        if beside > 0 and (
            beside == reasoning or not (reasoning or beside in (cached, written, cached + written))
        ):
            output += beside
            reasoning = beside
        detail = normal.Detail(
            cache_write=written,
            reasoning=reasoning,
            audio_input=of_input.audio_tokens or 0,
            image_input=of_input.image_tokens or 0,
            audio_output=of_output.audio_tokens or 0,
            image_output=of_output.image_tokens or 0,
            service=_SERVICES.get(service or "", "standard"),
        )
        return normal.Usage(
            self.prompt_tokens, output, cached, None if detail == _NO_DETAIL else detail
        )


class _Out(msgspec.Struct, omit_defaults=True):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: "_OutOfInput"
    completion_tokens_details: "_OutOfOutput"


class _OutOfInput(msgspec.Struct):
    cached_tokens: int
    audio_tokens: int
    cache_write_tokens: int | msgspec.UnsetType = msgspec.UNSET
    image_tokens: int | msgspec.UnsetType = msgspec.UNSET


class _OutOfOutput(msgspec.Struct):
    reasoning_tokens: int
    audio_tokens: int
    image_tokens: int | msgspec.UnsetType = msgspec.UNSET


_NO_INPUT, _NO_OUTPUT, _NO_DETAIL = _InputDetails(), _OutputDetails(), normal.Detail()


def render_usage(usage: normal.Usage) -> bytes:
    """The object of `usage`; counts that only some providers make stand there if they are not 0."""
    detail = usage.detail or _NO_DETAIL
    return msgspec.json.encode(
        _Out(
            usage.input,
            usage.output,
            usage.input + usage.output,
            _OutOfInput(
                usage.cached,
                detail.audio_input,
                detail.cache_write + detail.cache_write_1h or msgspec.UNSET,
                detail.image_input or msgspec.UNSET,
            ),
            _OutOfOutput(
                detail.reasoning, detail.audio_output, detail.image_output or msgspec.UNSET
            ),
        )
    )


def service_word(usage: normal.Usage | None) -> str:
    """OpenAI's word for the class in which it was answered; empty for the standard one."""
    if usage is None or usage.detail is None:
        return ""
    return _WORDS.get(usage.detail.service, "")
