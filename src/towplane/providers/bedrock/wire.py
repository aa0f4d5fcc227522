"""The wire of Bedrock: the parts of Converse's answers that an answer is read from.

Source: botocore 1.44.5 `data/bedrock-runtime/2023-09-30/service-2.json`. Fields that are not read
(trace, metrics, the padding `p`) are not here, and msgspec skips them.
"""

from typing import Any

import msgspec

__all__ = [
    "Answer",
    "BlockDelta",
    "BlockStart",
    "BlockStop",
    "Citation",
    "Content",
    "MessageStop",
    "Metadata",
    "Problem",
    "TokenUsage",
]


class CacheDetail(msgspec.Struct, rename="camel"):
    """Input that was written to a cache of one lifetime."""

    ttl: str
    input_tokens: int


class TokenUsage(msgspec.Struct, rename="camel"):
    """Usage as the wire has it: cached input stands beside `inputTokens`."""

    input_tokens: int
    output_tokens: int = 0
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[CacheDetail] | None = None


class ServiceTier(msgspec.Struct, rename="camel"):
    """The price class that answered."""

    type: str = ""


class Performance(msgspec.Struct, rename="camel"):
    """The latency class that answered."""

    latency: str = ""


class Metadata(msgspec.Struct, rename="camel"):
    """The last event of a stream."""

    usage: TokenUsage | None = None
    service_tier: ServiceTier | None = None
    performance_config: Performance | None = None


class SourceText(msgspec.Struct, rename="camel"):
    """A passage that is cited."""

    text: str = ""


class Span(msgspec.Struct, rename="camel"):
    """Where a passage stands; each kind of location has some of these."""

    document_index: int = 0
    search_result_index: int = 0
    start: int = 0
    end: int = 0
    url: str = ""
    domain: str = ""


class Citation(msgspec.Struct, rename="camel"):
    """A source of the text."""

    title: str | None = None
    source: str | None = None
    source_content: list[SourceText] = []
    location: dict[str, Span] = {}
    """One entry, named after its kind."""


class ReasoningText(msgspec.Struct, rename="camel"):
    """A thought of a whole answer."""

    text: str = ""
    signature: str | None = None


class Reasoning(msgspec.Struct, rename="camel"):
    """A thought: whole in an answer, a piece of it in a stream."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None
    reasoning_text: ReasoningText | None = None


class ToolInput(msgspec.Struct, rename="camel"):
    """A piece of a call's arguments."""

    input: str = ""


class Delta(msgspec.Struct, rename="camel"):
    """What a block grows by: one of these; images and tools' results are not read."""

    text: str | None = None
    tool_use: ToolInput | None = None
    reasoning_content: Reasoning | None = None
    citation: Citation | None = None


class BlockDelta(msgspec.Struct, rename="camel"):
    """`contentBlockDelta`."""

    delta: Delta
    content_block_index: int = 0


class ToolStart(msgspec.Struct, rename="camel"):
    """A call begins."""

    tool_use_id: str
    name: str
    type: str | None = None
    """`server_tool_use`: Bedrock runs it itself."""


class Start(msgspec.Struct, rename="camel"):
    """What kind of block begins; only calls are read."""

    tool_use: ToolStart | None = None


class BlockStart(msgspec.Struct, rename="camel"):
    """`contentBlockStart`; real streams send none for text."""

    start: Start
    content_block_index: int = 0


class BlockStop(msgspec.Struct, rename="camel"):
    """`contentBlockStop`."""

    content_block_index: int = 0


class MessageStop(msgspec.Struct, rename="camel"):
    """`messageStop`; `metadata` follows."""

    stop_reason: str
    additional_model_response_fields: Any = None


class ToolUse(msgspec.Struct, rename="camel"):
    """A call in a whole answer."""

    tool_use_id: str
    name: str
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str | None = None


class CitedContent(msgspec.Struct, rename="camel"):
    """Text with its sources."""

    content: list[SourceText] = []
    citations: list[Citation] = []


class Content(msgspec.Struct, rename="camel"):
    """A block of a whole answer: one of these."""

    text: str | None = None
    tool_use: ToolUse | None = None
    reasoning_content: Reasoning | None = None
    citations_content: CitedContent | None = None


class Message(msgspec.Struct, rename="camel"):
    """What the model said."""

    content: list[Content] = []


class Output(msgspec.Struct, rename="camel"):
    """The envelope of the message."""

    message: Message


class Answer(msgspec.Struct, rename="camel"):
    """A whole answer of Converse."""

    output: Output
    stop_reason: str
    usage: TokenUsage | None = None
    additional_model_response_fields: Any = None
    service_tier: ServiceTier | None = None
    performance_config: Performance | None = None


class ErrorObject(msgspec.Struct, rename="camel"):
    """OpenAI's form of an error, and the one of an operation that does not exist."""

    message: str | None = None
    type: str | None = None
    aws_type: str | None = msgspec.field(default=None, name="__type")


class Problem(msgspec.Struct, rename="camel"):
    """The body of an error and the payload of an exception, in any of their forms."""

    message: str | None = None
    aws_message: str | None = msgspec.field(default=None, name="Message")
    type_: str | None = msgspec.field(default=None, name="__type")
    original_status_code: int | None = None
    original_message: str | None = None
    error: ErrorObject | str | None = None
    output: ErrorObject | None = msgspec.field(default=None, name="Output")
