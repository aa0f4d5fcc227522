"""Usage on the wire of Responses, and what it is in normal form; both ways, in one place.

Cached and written tokens lie inside the input, reasoning inside the output, as in the normal form.
"""

import msgspec

from towplane.parts import usage as normal

__all__ = ["ToolUsage", "Usage", "render_usage", "service_word"]

_SERVICES: dict[str, normal.ServiceClass] = {
    # openai 3.54.0 `types/responses/service_tier.py`; an answer says what was done, never `auto`
    "flex": "flex",
    "priority": "priority",
    "scale": "provisioned",  # bought ahead, by the minute
    "fast": "priority",  # "will show service_tier=priority"
    "ultrafast": "fast",
    "batch": "batch",
}
"""`service_tier` of an answer; every other word is the standard class."""
_WORDS: dict[str, str] = {
    "flex": "flex",
    "priority": "priority",
    "provisioned": "scale",
    "fast": "ultrafast",
}


class _Writes(msgspec.Struct):
    ttl_30m_tokens: int | None = None
    ttl_12h_tokens: int | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: _Writes | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _WebSearches(msgspec.Struct):
    num_requests: int | None = None


class ToolUsage(msgspec.Struct):
    """What the provider's own tools did that is billed by call."""

    web_search: _WebSearches | None = None


class Usage(msgspec.Struct):
    """Usage as the wire has it."""

    input_tokens: int
    output_tokens: int | None = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def normal(self, service: str | None = None, tools: ToolUsage | None = None) -> normal.Usage:
        """In normal form; `service` is the answer's `service_tier`, `tools` its `tool_usage`."""
        of_input = self.input_tokens_details or _NO_INPUT
        of_output = self.output_tokens_details or _NO_OUTPUT
        writes = of_input.cache_write_tokens_details or _NO_WRITES
        long = writes.ttl_12h_tokens or 0
        written = of_input.cache_write_tokens
        if written is None:
            written = long + (writes.ttl_30m_tokens or 0)
        searches = tools.web_search if tools is not None else None
        detail = normal.Detail(
            cache_write=max(written - long, 0),
            cache_write_1h=long,
            reasoning=of_output.reasoning_tokens or 0,
            audio_input=of_input.audio_tokens or 0,
            image_input=of_input.image_tokens or 0,
            audio_output=of_output.audio_tokens or 0,
            image_output=of_output.image_tokens or 0,
            searches=(searches.num_requests or 0) if searches is not None else 0,
            service=_SERVICES.get(service or "", "standard"),
        )
        return normal.Usage(
            self.input_tokens,
            self.output_tokens or 0,
            of_input.cached_tokens or 0,
            None if detail == _NO_DETAIL else detail,
        )


class _Out(msgspec.Struct):
    input_tokens: int
    input_tokens_details: "_OutOfInput"
    output_tokens: int
    output_tokens_details: "_OutOfOutput"
    total_tokens: int


class _OutOfInput(msgspec.Struct):
    cached_tokens: int
    cache_write_tokens: int


class _OutOfOutput(msgspec.Struct):
    reasoning_tokens: int


_NO_INPUT, _NO_OUTPUT, _NO_WRITES = _InputDetails(), _OutputDetails(), _Writes()
_NO_DETAIL = normal.Detail()


def render_usage(usage: normal.Usage | None) -> bytes:
    """The object of `usage`; null where nobody knows."""
    if usage is None:
        return b"null"
    detail = usage.detail or _NO_DETAIL
    return msgspec.json.encode(
        _Out(
            usage.input,
            _OutOfInput(usage.cached, detail.cache_write + detail.cache_write_1h),
            usage.output,
            _OutOfOutput(detail.reasoning),
            usage.input + usage.output,
        )
    )


def service_word(usage: normal.Usage | None) -> str:
    """OpenAI's word for the class in which it was answered."""
    service = usage.detail.service if usage is not None and usage.detail is not None else "standard"
    return _WORDS.get(service, "default")
