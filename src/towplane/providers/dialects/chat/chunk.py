"""What a server of chat answers, as far as it can be translated: the types of its wire.

Everything may be missing or null, because somewhere it is; what is not here msgspec skips. What a
relay must know of the same wire, which is less, stands in `wire.py`.
"""

import msgspec

__all__ = ["Annotation", "Block", "Call", "Choice", "Chunk", "Delta", "Function", "Piece"]

ABSENT = msgspec.Raw(b"")


class Google(msgspec.Struct):
    """What Google adds to a call."""

    thought_signature: str = ""


class Extra(msgspec.Struct):
    """`extra_content`."""

    google: Google | None = None


class Function(msgspec.Struct, gc=False):
    """A call's name and arguments; some write those as an object."""

    name: str | None = None
    arguments: str | dict[str, msgspec.Raw] | None = None


class Call(msgspec.Struct):
    """A piece of a call."""

    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: Extra | None = None


class Block(msgspec.Struct):
    """Of LiteLLM's `thinking_blocks`."""

    type: str = ""
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class UrlCitation(msgspec.Struct):
    """Where something was found."""

    url: str = ""
    title: str | None = None


class Annotation(msgspec.Struct):
    """A source."""

    url_citation: UrlCitation | None = None


class LogProbs(msgspec.Struct):
    """Log probabilities of this chunk's tokens."""

    content: list[msgspec.Raw] | None = None


class Piece(msgspec.Struct):
    """Of a list of parts (Mistral)."""

    type: str = ""
    text: str | None = None
    thinking: "str | list[Piece] | None" = None


class Delta(msgspec.Struct):
    """What a chunk adds to a message, or a whole message."""

    content: str | list[Piece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    thinking_blocks: list[Block] | None = None
    annotations: list[Annotation] | None = None
    citations: list[msgspec.Raw] | None = None


class Choice(msgspec.Struct):
    """One choice."""

    index: int | None = 0
    delta: Delta | None = None
    message: Delta | None = None
    text: str | None = None
    logprobs: LogProbs | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    """vLLM: the stop sequence, or the id of a token that stopped it."""


class Groq(msgspec.Struct):
    """`x_groq`, where Groq puts usage."""

    usage: msgspec.Raw = ABSENT


class Chunk(msgspec.Struct):
    """One event of a stream, or a whole answer, or an error in place of either."""

    choices: list[Choice] | None = None
    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    usage: msgspec.Raw = ABSENT
    service_tier: str | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None
    message: msgspec.Raw = ABSENT
    x_groq: Groq | None = None
