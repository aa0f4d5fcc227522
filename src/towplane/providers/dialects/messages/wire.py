"""The wire of Messages, as far as an answer must be understood: its stream's events and its blocks.

Fields that nobody reads are not in these types, and msgspec skips them; an event of an unknown type
is no error but `None`. Pure: bytes in, values out.
"""

import msgspec

from towplane.parts.sse import first_event
from towplane.providers.conversation.answer import Finish
from towplane.providers.dialects.messages.errors import ErrorSaid, read_error
from towplane.providers.dialects.messages.usage import WireUsage

__all__ = [
    "FINISHES",
    "Answer",
    "Block",
    "BlockDelta",
    "BlockStart",
    "BlockStop",
    "CitationsDelta",
    "JsonDelta",
    "MessageDelta",
    "MessageStart",
    "MessageStop",
    "NotJson",
    "SignatureDelta",
    "StreamEvent",
    "TextDelta",
    "ThinkingDelta",
    "decode_answer",
    "decode_event",
    "split_events",
]

FINISHES: dict[str, Finish] = {
    # anthropic 2.12.0 `types/stop_reason.py`; what is not here is `other`
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_full",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}


class NotJson(ValueError):
    """Bytes that should have been JSON."""


class TextDelta(msgspec.Struct, tag="text_delta", gc=False):
    """More text."""

    text: str


class JsonDelta(msgspec.Struct, tag="input_json_delta", gc=False):
    """More of a tool's input; the first one is empty."""

    partial_json: str


class ThinkingDelta(msgspec.Struct, tag="thinking_delta", gc=False):
    """More of a thought."""

    thinking: str


class SignatureDelta(msgspec.Struct, tag="signature_delta", gc=False):
    """The signature of the thought."""

    signature: str


class CitationsDelta(msgspec.Struct, tag="citations_delta", gc=False):
    """A source of the text."""

    citation: msgspec.Raw


class Block(msgspec.Struct):
    """A content block of any type; which fields it has, its type decides."""

    type: str
    text: str = ""
    citations: list[msgspec.Raw] | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw()
    thinking: str = ""
    signature: str = ""
    data: str = ""


class BlockDelta(msgspec.Struct, tag="content_block_delta", gc=False):
    """A block grows."""

    delta: TextDelta | JsonDelta | ThinkingDelta | SignatureDelta | CitationsDelta


class BlockStart(msgspec.Struct, tag="content_block_start"):
    """A block begins."""

    content_block: Block


class BlockStop(msgspec.Struct, tag="content_block_stop"):
    """A block is over."""


class _Begun(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: WireUsage | None = None


class MessageStart(msgspec.Struct, tag="message_start"):
    """The answer begins; its usage has the input."""

    message: _Begun


class _Stop(msgspec.Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None


class MessageDelta(msgspec.Struct, tag="message_delta"):
    """The answer ends; its usage is cumulative."""

    delta: _Stop
    usage: WireUsage | None = None


class MessageStop(msgspec.Struct, tag="message_stop"):
    """Nothing follows."""


class Ping(msgspec.Struct, tag="ping"):
    """The connection lives."""


StreamEvent = BlockDelta | BlockStart | BlockStop | MessageStart | MessageDelta | MessageStop | Ping


class Answer(msgspec.Struct):
    """An answer in one piece."""

    type: str = ""
    id: str = ""
    model: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


_event: "msgspec.json.Decoder[StreamEvent]" = msgspec.json.Decoder(StreamEvent)
_answer = msgspec.json.Decoder(Answer)


def decode_event(data: bytes) -> StreamEvent | ErrorSaid | None:
    """The data of one event; None for an event that we do not know. Raises NotJson."""
    try:
        return _event.decode(data)
    except msgspec.ValidationError:
        return read_error(data)  # None, too, for what has no `error`
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None


def decode_answer(body: bytes) -> Answer:
    """An answer in one piece. Raises NotJson."""
    try:
        return _answer.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise NotJson(str(wrong)) from None


def split_events(block: bytes) -> list[bytes]:
    """The data of each event of whole events; what has no data (comments) is not in it."""
    if b"\r" in block:  # within JSON it is escaped
        block = block.replace(b"\r\n", b"\n")
    found = []
    for raw in block.split(b"\n\n"):
        at = raw.find(b"\ndata:") + 6
        if at < 6:
            if not raw.startswith(b"data:"):
                continue
            at = 5
        data = raw[at:]
        if b"\n" in data:
            data = first_event(raw + b"\n\n")[1]
        found.append(data)
    return found
