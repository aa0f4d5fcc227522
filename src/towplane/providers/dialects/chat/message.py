"""What is written of an answer: the types of a message and of its parts.

Lists of a stream carry an `index` in each entry, those of a body none.
"""

import msgspec

__all__ = [
    "Annotation",
    "Call",
    "Extra",
    "Function",
    "Google",
    "Message",
    "Redacted",
    "Source",
    "Thinking",
    "ToldLogProbs",
    "UrlCitation",
    "WholeChoice",
]


class Thinking(msgspec.Struct):
    """A thought with its signature."""

    index: int | msgspec.UnsetType
    type: str
    thinking: str
    signature: str


class Redacted(msgspec.Struct):
    """A thought that only the provider can read."""

    index: int | msgspec.UnsetType
    type: str
    data: str


class Source(msgspec.Struct):
    """Of a citation in Anthropic's form, what OpenAI's has room for."""

    url: str = ""
    title: str | None = None


class UrlCitation(msgspec.Struct):
    """Which text a source is of, and where the source is."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(msgspec.Struct):
    """A source, in OpenAI's form."""

    index: int | msgspec.UnsetType
    type: str
    url_citation: UrlCitation


class Google(msgspec.Struct):
    """What Google adds to a call."""

    thought_signature: str


class Extra(msgspec.Struct):
    """`extra_content`."""

    google: Google


class Function(msgspec.Struct):
    """A call's name and arguments."""

    name: str
    arguments: str


class Call(msgspec.Struct):
    """A call; its `index` stands in streams alone."""

    index: int | msgspec.UnsetType
    id: str
    type: str
    function: Function
    extra_content: Extra | msgspec.UnsetType


class ToldLogProbs(msgspec.Struct):
    """Log probabilities."""

    content: list[msgspec.Raw]
    refusal: None = None


class Message(msgspec.Struct):
    """A message in one piece."""

    role: str
    content: str | None
    refusal: str | None
    reasoning_content: str | msgspec.UnsetType
    thinking_blocks: list[Thinking | Redacted] | msgspec.UnsetType
    annotations: list[Annotation] | msgspec.UnsetType
    citations: list[msgspec.Raw] | msgspec.UnsetType
    tool_calls: list[Call] | msgspec.UnsetType


class WholeChoice(msgspec.Struct):
    """A choice in one piece."""

    index: int
    message: Message
    logprobs: ToldLogProbs | None
    finish_reason: str
    stop_reason: str | msgspec.UnsetType
    native_finish_reason: str | msgspec.UnsetType
