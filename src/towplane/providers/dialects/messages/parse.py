"""Answers of providers that speak Messages, as events.

Of a stream, what `message_start` says of usage is told at once as not final: the input in it is
right, the output a placeholder. The final usage comes with `message_delta`. Blocks of the
provider's own tools (searches and their results) have no normal form and are passed over; what they
cost is in the usage. Knows no client.
"""

from towplane.parts.errors import ProtocolError
from towplane.parts.sse import WholeEvents
from towplane.providers.adapter import Parser
from towplane.providers.conversation.answer import (
    CallBegins,
    CallGrows,
    Cited,
    Ended,
    Event,
    Failed,
    PartEnds,
    RedactedThought,
    Signed,
    Started,
    TextGrows,
    ThoughtGrows,
    Used,
)
from towplane.providers.dialects.messages import wire
from towplane.providers.dialects.messages.errors import ErrorSaid, failure_of, read_error
from towplane.providers.dialects.messages.usage import WireUsage, normal_usage

__all__ = ["MessagesParser", "make_parser"]

_PART_ENDS = PartEnds()


def make_parser(target: str) -> Parser:
    """A parser of one answer of this target, streamed or not."""
    return MessagesParser(target)


class MessagesParser(Parser):
    """Reads one answer."""

    __slots__ = ("_block", "_calls", "_events", "_has_arguments", "_target", "_usage", "is_done")

    def __init__(self, target: str) -> None:
        self._target = target
        self._events = WholeEvents()
        self._usage = WireUsage()
        self._calls = 0
        """Calls begun so far; the one that runs is the last."""
        self._block = ""
        """The type of the block that runs; empty: none that we know."""
        self._has_arguments = False
        self.is_done = False

    def feed(self, payload: bytes) -> list[Event]:
        events: list[Event] = []
        for data in wire.split_events(self._events.take(payload)):
            if self.is_done:
                break
            self.read_event(data, events)
        return events

    def close(self) -> list[Event]:
        events: list[Event] = []
        if not self.is_done:
            for data in wire.split_events(self._events.rest()):  # a last one without its blank line
                self.read_event(data, events)
        if not self.is_done:
            raise ProtocolError(
                f"{self._target} ended its stream without a `message_stop`.",
                reason="upstream-truncated",
            )
        return events

    def whole(self, body: bytes) -> list[Event]:
        try:
            answer = wire.decode_answer(body)
        except wire.NotJson as wrong:
            said = read_error(body)
            if said is None:
                raise self._not_json(wrong) from None
            return [Failed(failure_of(said, self._target))]
        if answer.type == "error" and (said := read_error(body)) is not None:
            return [Failed(failure_of(said, self._target))]
        if answer.stop_reason is None and not answer.content:
            raise ProtocolError(
                f"{self._target} answered with something that is no message.",
                reason="upstream-protocol",
            )
        events: list[Event] = [Started(answer.id, answer.model)]
        for block in answer.content:
            self._begin(block, events)
            self._end(events)
        if answer.usage is not None and (usage := normal_usage(answer.usage)) is not None:
            events.append(Used(usage))
        events.append(_ended(answer.stop_reason, answer.stop_sequence))
        return events

    def read_event(self, data: bytes, events: list[Event]) -> None:
        """What the data of one event says, added to `events`; for wires that frame it otherwise."""
        try:
            event = wire.decode_event(data)
        except wire.NotJson as wrong:
            raise self._not_json(wrong) from None
        kind = type(event)
        if kind is wire.BlockDelta:
            self._grow(event.delta, events)  # type: ignore[union-attr]  # by its type
        elif isinstance(event, wire.BlockStart):
            self._begin(event.content_block, events)
        elif kind is wire.BlockStop:
            self._end(events)
        elif isinstance(event, wire.MessageStart):
            begun = event.message
            events.append(Started(begun.id, begun.model))
            if begun.usage is not None:
                self._use(begun.usage, events, is_final=False)
        elif isinstance(event, wire.MessageDelta):
            if event.usage is not None:
                self._use(event.usage, events, is_final=True)
            if event.delta.stop_reason is not None:
                events.append(_ended(event.delta.stop_reason, event.delta.stop_sequence))
        elif kind is wire.MessageStop:
            self.is_done = True
        elif isinstance(event, ErrorSaid):
            error = failure_of(event, self._target)
            error.body = data
            events.append(Failed(error))
            self.is_done = True

    def _grow(self, delta: object, events: list[Event]) -> None:
        kind = type(delta)
        if kind is wire.TextDelta:
            if delta.text:  # type: ignore[attr-defined]  # by its type, as below
                events.append(TextGrows(delta.text))  # type: ignore[attr-defined]
        elif isinstance(delta, wire.JsonDelta):
            if delta.partial_json and self._block == "tool_use":
                self._has_arguments = True
                events.append(CallGrows(self._calls - 1, delta.partial_json))
        elif isinstance(delta, wire.ThinkingDelta):
            if delta.thinking:
                events.append(ThoughtGrows(delta.thinking))
        elif isinstance(delta, wire.SignatureDelta):
            if delta.signature:
                events.append(Signed(delta.signature))
        elif isinstance(delta, wire.CitationsDelta):
            events.append(Cited(delta.citation))

    def _begin(self, block: wire.Block, events: list[Event]) -> None:
        """A block begins, or is here at once."""
        self._block = block.type
        match block.type:
            case "text":
                if block.text:
                    events.append(TextGrows(block.text))
                events.extend(Cited(citation) for citation in block.citations or ())
            case "thinking":
                if block.thinking:
                    events.append(ThoughtGrows(block.thinking))
                if block.signature:
                    events.append(Signed(block.signature))
            case "redacted_thinking":
                events.append(RedactedThought(block.data))
            case "tool_use":
                events.append(CallBegins(self._calls, block.id, block.name))
                self._calls += 1
                arguments = bytes(block.input)
                self._has_arguments = arguments not in (b"", b"{}", b"null")
                if self._has_arguments:
                    events.append(CallGrows(self._calls - 1, arguments.decode()))
            case _:
                self._block = ""

    def _end(self, events: list[Event]) -> None:
        """The block that runs is over; a call without arguments has an empty object."""
        if self._block == "tool_use" and not self._has_arguments:
            events.append(CallGrows(self._calls - 1, "{}"))
        if self._block:
            events.append(_PART_ENDS)
        self._block = ""

    def _use(self, said: WireUsage, events: list[Event], *, is_final: bool) -> None:
        self._usage = self._usage.replaced_by(said)
        usage = normal_usage(self._usage)
        if usage is not None:
            events.append(Used(usage, is_final))

    def _not_json(self, wrong: wire.NotJson) -> ProtocolError:
        return ProtocolError(
            f"{self._target} answered with something that is not a message: {wrong}.",
            reason="upstream-protocol",
        )


def _ended(stop_reason: str | None, stop_sequence: str | None) -> Ended:
    said = stop_reason or ""
    return Ended(wire.FINISHES.get(said, "other"), stop_sequence or "", said)
