"""Converse's answers as events: a stream of frames, or a body in one piece.

    messageStart · (contentBlockStart) · contentBlockDelta … · contentBlockStop · messageStop
    · metadata

The law: the stream is over when `metadata` has come, not at `messageStop`, because the usage stands
there. Text blocks have no start, tools have. Calls that Bedrock runs by itself are no calls to the
client; images in an answer have no normal form and are passed over. Pure.
"""

from typing import Any, TypeVar

import msgspec

from towplane.parts.errors import ProtocolError
from towplane.providers.adapter import Parser
from towplane.providers.bedrock import wire
from towplane.providers.bedrock.citations import normal_citation
from towplane.providers.bedrock.errors import judge_exception
from towplane.providers.bedrock.eventstream import Frame, FrameReader
from towplane.providers.bedrock.usage import normal_usage
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    Finish,
    PartEnds,
    RedactedThought,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)

__all__ = ["FINISHES", "ConverseParser"]

FINISHES: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_full",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_model_output": "malformed",
    "malformed_tool_use": "malformed",
}
"""By `stopReason` (botocore 1.44.5 `StopReason`)."""

_answer = msgspec.json.Decoder(wire.Answer)
_start = msgspec.json.Decoder(wire.BlockStart)
_delta = msgspec.json.Decoder(wire.BlockDelta)
_stop = msgspec.json.Decoder(wire.BlockStop)
_message_stop = msgspec.json.Decoder(wire.MessageStop)
_metadata = msgspec.json.Decoder(wire.Metadata)
_PART_ENDS = PartEnds()
_STARTED = Started()

T = TypeVar("T")


class ConverseParser(Parser):
    """Reads one answer of Converse or ConverseStream."""

    __slots__ = ("_calls", "_empty", "_frames", "_has_stopped", "_is_over", "_target")

    def __init__(self, target: str) -> None:
        self._target = target
        self._frames = FrameReader()
        self._calls: dict[int, int] = {}
        """The call of each block that is one; -1: Bedrock's own."""
        self._empty: set[int] = set()
        """Blocks of calls whose arguments have not begun."""
        self._has_stopped = False
        self._is_over = False

    @property
    def is_done(self) -> bool:  # type: ignore[override]  # here it is found out, not set
        """Whether `metadata`, or a failure, has come."""
        return self._is_over

    def feed(self, payload: bytes) -> list[Event]:
        events: list[Event] = []
        for frame in self._frames.feed(payload):
            if self._is_over:
                break
            self._read_frame(frame, events)
        return events

    def close(self) -> list[Event]:
        if self._is_over or (self._has_stopped and self._frames.is_between):
            return []
        raise ProtocolError(
            f"{self._target} ended its stream before its end.", reason="upstream-truncated"
        )

    def whole(self, body: bytes) -> list[Event]:
        answer = _decode(_answer, body, "An answer")
        events: list[Event] = [_STARTED]
        for content in answer.output.message.content:
            self._read_content(content, events)
        events.append(_ended(answer.stop_reason, answer.additional_model_response_fields))
        if answer.usage is not None:
            tier, performance = answer.service_tier, answer.performance_config
            events.append(Used(normal_usage(answer.usage, tier, performance)))
        return events

    # A stream

    def _read_frame(self, frame: Frame, events: list[Event]) -> None:
        (kind, name, say), payload = frame
        if kind != "event":
            said = payload if kind == "exception" else msgspec.json.encode({"message": say})
            events.append(Failed(judge_exception(name, said, self._target)))
            self._is_over = True
        elif name == "contentBlockDelta":
            self._read_delta(_decode(_delta, payload, name), events)
        elif name == "contentBlockStart":
            self._begin_block(_decode(_start, payload, name), events)
        elif name == "contentBlockStop":
            self._end_block(_decode(_stop, payload, name).content_block_index, events)
        elif name == "messageStart":
            events.append(_STARTED)
        elif name == "messageStop":
            stop = _decode(_message_stop, payload, name)
            self._has_stopped = True
            events.append(_ended(stop.stop_reason, stop.additional_model_response_fields))
        elif name == "metadata":
            self._read_metadata(_decode(_metadata, payload, name), events)

    def _read_delta(self, grown: wire.BlockDelta, events: list[Event]) -> None:
        delta = grown.delta
        if delta.text:
            events.append(TextGrows(delta.text))
        elif delta.tool_use is not None:
            self._grow_call(grown.content_block_index, delta.tool_use.input, events)
        elif delta.reasoning_content is not None:
            _read_reasoning(delta.reasoning_content, events)
        elif delta.citation is not None:
            _cite(delta.citation, events)

    def _begin_block(self, begun: wire.BlockStart, events: list[Event]) -> None:
        tool = begun.start.tool_use
        if tool is not None:
            self._begin_call(begun.content_block_index, tool, events)

    def _begin_call(
        self, block: int, tool: wire.ToolStart | wire.ToolUse, events: list[Event]
    ) -> int:
        """The number of the call that begins; -1 if Bedrock runs it itself."""
        if tool.type is not None:
            self._calls[block] = -1
            return -1
        call = sum(1 for one in self._calls.values() if one >= 0)
        self._calls[block] = call
        self._empty.add(block)
        events.append(CallBegins(call, tool.tool_use_id, tool.name))
        return call

    def _grow_call(self, block: int, arguments: str, events: list[Event]) -> None:
        call = self._calls.get(block)
        if call is None:
            raise ProtocolError(
                f"{self._target} sent arguments of a call that has not begun.",
                reason="upstream-protocol",
            )
        if arguments and call >= 0:
            self._empty.discard(block)
            events.append(CallGrows(call, arguments))

    def _end_block(self, block: int, events: list[Event]) -> None:
        call = self._calls.get(block, 0)
        if call < 0:
            return
        if block in self._empty:  # clients parse the arguments as JSON, also where there are none
            self._empty.discard(block)
            events.append(CallGrows(call, "{}"))
        events.append(_PART_ENDS)

    def _read_metadata(self, metadata: wire.Metadata, events: list[Event]) -> None:
        if metadata.usage is not None:
            tier, performance = metadata.service_tier, metadata.performance_config
            events.append(Used(normal_usage(metadata.usage, tier, performance)))
        self._is_over = True

    # An answer in one piece

    def _read_content(self, content: wire.Content, events: list[Event]) -> None:
        before = len(events)
        if content.text:
            events.append(TextGrows(content.text))
        elif content.tool_use is not None:
            call = self._begin_call(len(self._calls), content.tool_use, events)
            if call >= 0:
                events.append(CallGrows(call, bytes(content.tool_use.input).decode()))
        elif content.reasoning_content is not None:
            _read_reasoning(content.reasoning_content, events)
        elif content.citations_content is not None:
            text = "".join(piece.text for piece in content.citations_content.content)
            if text:
                events.append(TextGrows(text))
            for citation in content.citations_content.citations:
                _cite(citation, events)
        if len(events) > before:
            events.append(_PART_ENDS)


def _read_reasoning(reasoning: wire.Reasoning, events: list[Event]) -> None:
    whole = reasoning.reasoning_text
    text = reasoning.text if whole is None else whole.text
    signature = reasoning.signature if whole is None else whole.signature
    if text:
        events.append(ThoughtGrows(text))
    if signature:
        events.append(Signed(signature))
    if reasoning.redacted_content:
        events.append(RedactedThought(reasoning.redacted_content))


def _cite(citation: wire.Citation, events: list[Event]) -> None:
    normal = normal_citation(citation)
    if normal is not None:
        events.append(Cited(normal))


def _ended(reason: str, fields: Any) -> Ended:
    return Ended(FINISHES.get(reason, "other"), _stop_sequence(fields), reason)


def _stop_sequence(fields: Any) -> str:
    """Claude says it in its own field, which stands one deeper in a stream."""
    for place in (fields, fields.get("delta") if isinstance(fields, dict) else None):
        if isinstance(place, dict) and isinstance(place.get("stop_sequence"), str):
            return str(place["stop_sequence"])
    return ""


def _decode(decoder: "msgspec.json.Decoder[T]", data: bytes, what: str) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise ProtocolError(
            f"{what} of Bedrock is not what it should be: {wrong}.", reason="upstream-protocol"
        ) from None
