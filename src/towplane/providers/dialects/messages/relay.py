"""Watches a stream of Messages that passes through: tokens, usage, its end, its errors.

Whole events pass at a time, so that an event can be looked at before it leaves. A token is a
`content_block_delta` that carries something generated: text, a thought, a tool's input; not a
signature, a citation, or the empty piece with which a tool's input begins. Most reads hold nothing
else; they are counted by a byte search and never decoded. Nothing is taken out or changed.

Usage is what `message_delta` makes of `message_start`'s, field by field. Before that, `begun` has
the input alone to rely on: the output in it is a placeholder.
"""

import msgspec

from towplane.parts.errors import ProtocolError
from towplane.parts.sse import WholeEvents, first_event
from towplane.parts.usage import Usage
from towplane.providers.ask import Ask
from towplane.providers.dialects.messages import wire
from towplane.providers.dialects.messages.errors import ErrorSaid, failure_of, read_error
from towplane.providers.dialects.messages.usage import WireUsage, normal_usage
from towplane.providers.dialects.tail import last_usage
from towplane.providers.reader import Reader

__all__ = ["MessagesRelay", "make_relay"]

_GENERATED = (
    (b'"type":"text_delta"', b'"text":""'),
    (b'"type":"input_json_delta"', b'"partial_json":""'),
    (b'"type":"thinking_delta"', b'"thinking":""'),
)
"""What an event with a token holds, and what it holds when it is empty; JSON without spaces. Quotes
are escaped inside strings, so that neither can be part of a text."""

_usage = msgspec.json.Decoder(WireUsage)


def make_relay(ask: Ask, target: str) -> Reader:
    """The reader for a target that speaks Messages."""
    if not ask.operation.generates:
        return CountRelay(target)
    return MessagesRelay(target)


class MessagesRelay(Reader):
    """Reads what passes; gives out the bytes that came."""

    __slots__ = ("_events", "_said", "_target", "_tokens")

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target
        self._events = WholeEvents()
        self._tokens = 0
        self._said = WireUsage()

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        payload = self._events.rest() + payload if whole else self._events.take(payload)
        if not payload and not whole:
            return b"", 0, False
        tokens = _count_plain(payload)
        done = False
        if tokens < 0:
            payload, tokens, done = self._look(payload)
        self._tokens += tokens
        ends = done or whole
        if ends and not self.finished and self.failed is None:
            self.failed = ProtocolError(
                f"{self._target} ended its stream without a `message_stop`.",
                reason="upstream-truncated",
            )
        return payload, tokens, ends

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        try:
            answer = wire.decode_answer(body)
        except wire.NotJson as wrong:
            raise ProtocolError(
                f"{self._target} answered with something that is not a message: {wrong}.",
                reason="upstream-protocol",
            ) from None
        if answer.type == "error" and (said := read_error(body)) is not None:
            raise failure_of(said, self._target)
        if answer.usage is not None:
            self.usage = normal_usage(answer.usage)
        if self.usage is not None:
            return body, 0
        letters = sum(
            len(block.text) + len(block.thinking) + len(block.input) for block in answer.content
        )
        return body, (letters + 3) // 4  # about four characters a token

    def read_tail(self, tail: bytes) -> None:
        said = last_usage(tail, _usage)
        if said is not None:
            self.usage = normal_usage(said)

    def _look(self, payload: bytes) -> tuple[bytes, int, bool]:
        """What is relayed of whole events, their tokens, and whether the end is among them.

        It stops at the end, and at a failure, which passes only after the first token: until then
        another target may be tried.
        """
        kept: list[bytes] = []
        tokens = start = 0
        while start < len(payload):
            raw, data = first_event(payload, start)
            start += len(raw)
            if data:
                try:
                    event = wire.decode_event(data)
                except wire.NotJson as wrong:
                    say = f"An event of the stream is not JSON: {wrong}."
                    self.failed = ProtocolError(say, reason="upstream-protocol")
                    return b"".join(kept), tokens, True
                if isinstance(event, ErrorSaid):
                    self.failed = failure_of(event, self._target)
                    self.failed.body = data
                    is_known = b"event: error" in raw  # to the client; Google sends another form
                    if is_known and (tokens or self._tokens):
                        self.is_told = True
                        kept.append(raw)
                    return b"".join(kept), tokens, True
                tokens += self._note(event)
            kept.append(raw)
            if self.finished:
                return b"".join(kept), tokens, True
        return b"".join(kept), tokens, False

    def _note(self, event: object) -> bool:
        """Keep what one event says; whether it is a token."""
        if isinstance(event, wire.BlockDelta):
            return _is_token(event.delta)
        if isinstance(event, wire.MessageStart):
            if event.message.usage is not None:
                self._said = event.message.usage
                self.begun = normal_usage(self._said)
        elif isinstance(event, wire.MessageDelta):
            if event.usage is not None:
                self._said = self._said.replaced_by(event.usage)
                self.usage = normal_usage(self._said)
        elif isinstance(event, wire.MessageStop):
            self.finished = True
        return False


class CountRelay(Reader):
    """The answer to `count_tokens`, which costs nothing."""

    __slots__ = ("_target",)

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:  # noqa: ARG002  # never called
        raise ProtocolError("A count is not streamed.", reason="upstream-protocol")

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        self.usage = Usage(0)
        return body, 0


def _is_token(delta: object) -> bool:
    if isinstance(delta, wire.TextDelta):
        return bool(delta.text)
    if isinstance(delta, wire.JsonDelta):
        return bool(delta.partial_json)
    return isinstance(delta, wire.ThinkingDelta) and bool(delta.thinking)


def _count_plain(payload: bytes) -> int:
    """The tokens of these events, if each is one or an empty piece; -1 if some may be others."""
    events = payload.count(b"\n\n")
    if not events or not payload.endswith(b"\n\n") or b"\r" in payload:
        return -1
    deltas = tokens = 0
    for sign, empty in _GENERATED:
        found = payload.count(sign)
        if found:
            deltas += found
            tokens += found - payload.count(empty)
            if deltas == events:
                return tokens
    return -1
