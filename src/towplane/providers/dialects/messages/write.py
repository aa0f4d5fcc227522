"""Events as Anthropic's Messages: a stream of server-sent events, or a whole message.

A block opens at its first event and closes when another kind begins or the provider says so; block
indexes count from 0. `message_start` waits for the first content, so that the input is in it where
the provider tells early; the rest of the usage comes with `message_delta`, as Anthropic does it.
Messages have one choice: events of others are passed over, and so are log probabilities.

A signature that a provider wants back with a *call* (Gemini's thought signature) has no place in a
`tool_use` block. It goes into an empty thinking block before the call, marked, and `read` puts it
back where it belongs.
"""

import secrets
from collections.abc import Iterable

import msgspec

from towplane.parts.usage import Usage
from towplane.providers.adapter import Writer
from towplane.providers.ask import Ask
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Finish,
    PartEnds,
    RedactedThought,
    RefusalGrows,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
    is_token,
)
from towplane.providers.dialects.messages.blocks import (
    CALL_MARK,
    NOTHING,
    AnswerBlock,
    BlockBuilder,
    RedactedBlock,
    ToolBlock,
)
from towplane.providers.dialects.messages.usage import WireUsage, wire_usage

__all__ = ["MessagesWriter", "make_writer"]

STOP_REASONS: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context_full": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "content_filter": "refusal",  # the only word for an answer that was cut for its content
    "pause": "pause_turn",
    "malformed": "end_turn",
    "other": "end_turn",
}

_encode = msgspec.json.Encoder().encode
_START = b"event: content_block_start\ndata: "
_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":'
_TEXT = _DELTA + b'{"type":"text_delta","text":%b}}\n\n'
_THINKING = _DELTA + b'{"type":"thinking_delta","thinking":%b}}\n\n'
_SIGNATURE = _DELTA + b'{"type":"signature_delta","signature":%b}}\n\n'
_JSON = _DELTA + b'{"type":"input_json_delta","partial_json":%b}}\n\n'
_CITATION = _DELTA + b'{"type":"citations_delta","citation":%b}}\n\n'
_BLOCK = _START + b'{"type":"content_block_start","index":%d,"content_block":%b}\n\n'
_STOP = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_MESSAGE = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n'
_END = b'event: message_delta\ndata: {"type":"message_delta","delta":%b,"usage":%b}\n\n'
_DONE = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_EMPTY_TEXT = b'{"type":"text","text":""}'
_EMPTY_THINKING = b'{"type":"thinking","thinking":"","signature":""}'


class _Message(msgspec.Struct, tag="message"):
    id: str
    role: str
    model: str
    content: list[AnswerBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: WireUsage


class _Stop(msgspec.Struct):
    stop_reason: str
    stop_sequence: str | None


def make_writer(ask: Ask) -> Writer:
    """A writer of one answer to this request."""
    return MessagesWriter(ask.model, ask.input_estimate)


class MessagesWriter(Writer):
    """Writes one answer."""

    __slots__ = ("_calls", "_ended", "_index", "_input_estimate", "_is_begun", "_model", "_open",
                 "_owed", "_own_id", "_started", "_tokens", "_usage")  # fmt: skip

    def __init__(self, model: str, input_estimate: int = 0) -> None:
        self._model = model
        self._input_estimate = input_estimate
        self._started = Started()
        self._own_id = f"msg_{secrets.token_hex(12)}"
        """For an answer whose provider gives it no name (Bedrock Converse)."""
        self._is_begun = False
        """`message_start` is written."""
        self._index = -1
        """Of the block that is open, or was last."""
        self._open = ""
        """What is open: text, thinking, tool; empty: nothing."""
        self._owed = ""
        """A signature without a thought: of the call that comes, or of a part that ends now."""
        self._calls = 0
        self._tokens = 0
        self._usage: Usage | None = None
        self._ended = Ended("other")

    def stream(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            kind = type(event)
            if kind is TextGrows and self._open == "text" and not event.choice:  # type: ignore[union-attr]  # by its type
                self._tokens += 1
                out.append(_TEXT % (self._index, _encode(event.text)))  # type: ignore[union-attr]
            else:
                self._write(event, out)
        return out[0] if len(out) == 1 else b"".join(out)

    def end(self) -> bytes:
        out: list[bytes] = []
        self._begin_message(out)
        self._close(out)
        stop = _Stop(self._stop_reason(), self._ended.stop_sequence or None)
        out.append(_END % (_encode(stop), _encode(self._books())))
        out.append(_DONE)
        return b"".join(out)

    def whole(self, events: Iterable[Event]) -> bytes:
        builder = BlockBuilder()
        for event in events:
            if getattr(event, "choice", 0):
                continue
            self._note(event)
            builder.add(event)
        is_cut = self._ended.reason in ("length", "context_full")
        return _encode(
            _Message(
                self._id(),
                "assistant",
                self._started.model or self._model,
                builder.blocks(is_cut=is_cut),
                self._stop_reason(),
                self._ended.stop_sequence or None,
                self._books(),
            )
        )

    def _write(self, event: Event, out: list[bytes]) -> None:
        """One event that does more than go on with an open text."""
        if getattr(event, "choice", 0):
            return
        self._note(event)
        match event:
            case TextGrows(text=text) | RefusalGrows(text=text):
                self._owed = ""
                self._enter("text", _EMPTY_TEXT, out)
                out.append(_TEXT % (self._index, _encode(text)))
            case ThoughtGrows(text=text):
                self._owed = ""
                self._enter("thinking", _EMPTY_THINKING, out)
                out.append(_THINKING % (self._index, _encode(text)))
            case Signed(signature=signature):
                if self._open == "thinking":
                    out.append(_SIGNATURE % (self._index, _encode(signature)))
                else:
                    self._owed = signature
            case RedactedThought(data=data):
                self._close(out)
                self._enter("redacted", _encode(RedactedBlock(data)), out)
                self._close(out)
            case CallBegins():
                self._begin_call(event, out)
            case CallGrows(arguments=arguments):
                if self._open == "tool":
                    out.append(_JSON % (self._index, _encode(arguments)))
            case Cited(citation=citation):
                self._enter("text", _EMPTY_TEXT, out)
                out.append(_CITATION % (self._index, bytes(citation)))
            case PartEnds():
                if self._owed and not self._open:  # a thought that is not shown
                    self._sign(self._owed, out)
                    self._owed = ""
                self._close(out)

    def _note(self, event: Event) -> None:
        """What is written only once, at the begin or the end."""
        if is_token(event):
            self._tokens += 1
            self._calls += type(event) is CallBegins
        elif isinstance(event, Started):
            self._started = event
        elif isinstance(event, Used):
            self._usage = event.usage
        elif isinstance(event, Ended):
            self._ended = event

    def _begin_message(self, out: list[bytes]) -> None:
        if self._is_begun:
            return
        self._is_begun = True
        usage = self._usage or Usage(self._input_estimate)
        message = _Message(
            self._id(),
            "assistant",
            self._started.model or self._model,
            [],
            None,
            None,
            wire_usage(usage),
        )
        out.append(_MESSAGE % _encode(message))

    def _begin_call(self, event: CallBegins, out: list[bytes]) -> None:
        signature = event.signature or self._owed
        self._owed = ""
        self._close(out)
        if signature:
            self._sign(CALL_MARK + signature, out)
        self._enter("tool", _encode(ToolBlock(event.id, event.name, NOTHING)), out)

    def _sign(self, signature: str, out: list[bytes]) -> None:
        """A thinking block that holds nothing but a signature."""
        self._enter("thinking", _EMPTY_THINKING, out)
        out.append(_SIGNATURE % (self._index, _encode(signature)))
        self._close(out)

    def _enter(self, kind: str, block: bytes, out: list[bytes]) -> None:
        """Make sure that such a block is open."""
        if self._open == kind:
            return
        self._begin_message(out)
        self._close(out)
        self._index += 1
        self._open = kind
        out.append(_BLOCK % (self._index, block))

    def _close(self, out: list[bytes]) -> None:
        if self._open:
            self._open = ""
            out.append(_STOP % self._index)

    def _stop_reason(self) -> str:
        reason = self._ended.reason
        if reason == "stop" and self._calls:  # some providers end a turn of calls with `stop`
            reason = "tool_calls"
        return STOP_REASONS[reason]

    def _books(self) -> WireUsage:
        """Where the provider told nothing, what was counted, because clients need a number."""
        return wire_usage(self._usage or Usage(self._input_estimate, self._tokens))

    def _id(self) -> str:
        return self._started.id or self._own_id
