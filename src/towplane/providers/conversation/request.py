"""A request in normal form: values that every dialect is read into and every provider is told.

Knows no dialect and no provider. Order is kept everywhere (messages, parts, tools), and so is every
cache mark at its place: a provider's prompt cache must still hit. JSON that is passed on as it is
(schemas, arguments) stays `msgspec.Raw` or text and is never re-ordered.
"""

from typing import Literal

import msgspec

__all__ = [
    "Audio",
    "Conversation",
    "Document",
    "Foreign",
    "Image",
    "Message",
    "Output",
    "Part",
    "Reasoning",
    "Redacted",
    "Refusal",
    "Role",
    "Text",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolResult",
]

Role = Literal["system", "developer", "user", "assistant"]
"""Results of tools are parts of a user's message."""
CacheMark = Literal["", "5m", "1h"]
"""Everything up to here may be cached for so long; empty: no mark."""


class Text(msgspec.Struct):
    """Words."""

    text: str
    cache: CacheMark = ""
    citations: list[msgspec.Raw] = []
    """Of an earlier answer, in Anthropic's form."""


class Image(msgspec.Struct):
    """A picture: `data` (base64) with its media type, or a `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    """OpenAI's `low`, `high` or `auto`; empty: not said."""
    cache: CacheMark = ""


class Document(msgspec.Struct):
    """A file to read: `data` (base64) with its media type, plain `text`, or a `url`."""

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    name: str = ""
    context: str = ""
    cites: bool = False
    """Whether the answer should cite it."""
    cache: CacheMark = ""


class Audio(msgspec.Struct):
    """A recording: base64 and its format (`wav`, `mp3`)."""

    data: str
    format: str


class ToolCall(msgspec.Struct):
    """The model calls a tool."""

    id: str
    name: str
    arguments: str
    """A JSON object as text, as the model wrote it."""
    signature: str = ""
    """What the provider wants back with it (Gemini's thought signature)."""
    cache: CacheMark = ""


class ToolResult(msgspec.Struct):
    """What a tool said."""

    call_id: str
    parts: list["Text | Image | Document"]
    is_error: bool = False
    cache: CacheMark = ""


class Thinking(msgspec.Struct):
    """What the model thought in an earlier turn; it goes back as it came, signature intact."""

    text: str
    signature: str = ""


class Redacted(msgspec.Struct):
    """Thinking that only the provider can read."""

    data: str


class Refusal(msgspec.Struct):
    """The model declined."""

    text: str


class Foreign(msgspec.Struct):
    """Something of the client's dialect that has no normal form; `param` says where it stood."""

    param: str
    raw: msgspec.Raw


Part = (
    Text
    | Image
    | Document
    | Audio
    | ToolCall
    | ToolResult
    | Thinking
    | Redacted
    | Refusal
    | Foreign
)


class Message(msgspec.Struct):
    """One message of the conversation."""

    role: Role
    parts: list[Part]
    name: str = ""


class Tool(msgspec.Struct):
    """A function that the model may call."""

    name: str
    description: str = ""
    schema: msgspec.Raw = msgspec.Raw(b'{"type":"object","properties":{}}')
    """JSON Schema of its arguments, as the client wrote it."""
    strict: bool | None = None
    cache: CacheMark = ""


class ToolChoice(msgspec.Struct):
    """Which tools must or may be called."""

    mode: Literal["auto", "none", "any", "tool"] = "auto"
    name: str = ""
    """The tool, where the mode is `tool`."""
    parallel: bool | None = None
    """Whether several calls may stand in one answer; None: not said."""


class Output(msgspec.Struct):
    """The form that the answer's text must have."""

    form: Literal["text", "json", "schema"] = "text"
    name: str = ""
    description: str = ""
    schema: msgspec.Raw = msgspec.Raw(b"{}")
    strict: bool | None = None


class Reasoning(msgspec.Struct):
    """How much the model may think, and whether its thoughts are shown."""

    effort: str = ""
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`; empty: not said."""
    budget: int | None = None
    """Tokens, where the client counts them."""
    is_off: bool = False
    summary: str = ""
    """OpenAI's wish for a summary; empty: not said."""


class Conversation(msgspec.Struct):
    """A whole request."""

    messages: list[Message]
    stream: bool = False
    tools: list[Tool] = []
    tool_choice: ToolChoice | None = None
    output: Output | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = []
    seed: int | None = None
    samples: int = 1
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: msgspec.Raw | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    reasoning: Reasoning | None = None
    user: str = ""
    metadata: dict[str, str] = {}
    service: str = ""
    """The service tier that is asked for, in OpenAI's words (`auto`, `default`, `flex`, …)."""
    extra: dict[str, msgspec.Raw] = {}
    """Fields of the client's dialect that have no normal form, by name."""
    params: dict[str, str] = {}
    """How the client's dialect calls a field that it calls otherwise (`max_tokens` is
    `max_output_tokens` in Responses), so that a refusal names what the client wrote."""
