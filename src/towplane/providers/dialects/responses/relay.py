"""Watches a stream of Responses that passes through: tokens, usage, its end, its errors.

Whole events pass untouched, those that nobody knows among them. Most reads hold nothing but tokens
and are never decoded. A failure takes one or two events, in either order: OpenAI sends `error` and
then `response.failed`, Azure a `response.failed` without a word and then `error` (maximhq/bifrost
#5040, #6652); so what fails without a word is given until the end to explain itself.
"""

from towplane.parts.errors import ProtocolError, Upstream
from towplane.parts.sse import WholeEvents, first_event
from towplane.providers.ask import Ask
from towplane.providers.dialects.chat.verdict import Said
from towplane.providers.dialects.responses import wire
from towplane.providers.dialects.responses.failures import failure_of
from towplane.providers.reader import Reader

__all__ = ["ResponsesRelay", "make_relay"]

LONGEST_EVENT = 16 * 1024 * 1024
"""A part of an image, and the last event with all images, are single events."""


def make_relay(ask: Ask, target: str) -> Reader:  # noqa: ARG001  # every dialect's has both
    """The reader for a target that speaks Responses."""
    return ResponsesRelay(target)


class ResponsesRelay(Reader):
    """Reads what passes; gives out the bytes that came."""

    __slots__ = ("_events", "_is_failing", "_key", "_target")

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target
        self._events = WholeEvents(LONGEST_EVENT)
        self._key = b""
        """How an event says its type that is a token like the one before it."""
        self._is_failing = False
        """The response has failed and has not said why."""

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        payload = self._events.rest() + payload if whole else self._events.take(payload)
        tokens, done = 0, False
        if payload:
            tokens = wire.count_alike(payload, self._key) if self._key else 0
            if not tokens:
                payload, tokens, done = self._look(payload)
        ends = done or whole
        if ends and not self.finished and self.failed is None:
            self.failed = self._broken()
        return payload, tokens, ends

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        try:
            response = wire.decode_response(body)
        except wire.NotJson as wrong:
            raise ProtocolError(
                f"{self._target} answered with something that is not JSON.",
                reason="upstream-protocol",
            ) from wrong
        self._note_usage(response)
        if response.status == "failed":
            raise self._failure(response.said())
        return body, 0 if self.usage is not None else wire.estimate_tokens(body)

    def read_tail(self, tail: bytes) -> None:
        usage = wire.usage_of_tail(tail)
        self.usage = usage.normal(wire.service_of_tail(tail)) if usage is not None else None

    def _look(self, payload: bytes) -> tuple[bytes, int, bool]:
        """What is relayed of whole events, their tokens, and whether the end is among them."""
        types = wire.types_of(payload)
        if wire.is_plain(payload) and len(types) == wire.count_events(payload):
            if types:
                self._key = wire.key_of(types[-1])
            return payload, wire.count_tokens(payload, types), False
        kept: list[bytes] = []
        tokens = start = 0
        while start < len(payload):
            raw, data = first_event(payload, start)
            start += len(raw)
            kept.append(raw)
            if not data:
                continue
            if data == wire.DONE:
                return b"".join(kept), tokens, True
            kinds = wire.types_of(data)
            kind = kinds[0] if kinds else b""
            if kind and kind not in wire.ENDS:
                tokens += wire.count_tokens(data, kinds[:1])
                continue
            try:
                event = wire.decode_terminal(data)
            except wire.NotJson as wrong:
                say = f"An event of the stream is not JSON: {wrong}."
                self.failed = ProtocolError(say, reason="upstream-protocol")
                return b"".join(kept[:-1]), tokens, True
            if event is not None and self._note(event, data):
                return b"".join(kept), tokens, True
        return b"".join(kept), tokens, False

    def _note(self, event: wire.TerminalEvent, data: bytes) -> bool:
        """Keep what an event that is no delta says; whether nothing can follow it."""
        if event.response is not None:
            self._note_usage(event.response)
        if event.type in ("response.completed", "response.incomplete"):
            self.finished = True
            return True
        said = event.said(data)
        if (said.message or said.words or event.type == "error") and self.failed is None:
            self.failed = self._failure(said)
            self.is_told = True
        if event.type == "response.failed":
            self._is_failing = self.failed is None
            return self.failed is not None
        return self._is_failing and self.failed is not None

    def _note_usage(self, response: wire.Response) -> None:
        if response.usage is not None:
            self.usage = response.usage.normal(response.service_tier, response.tool_usage)

    def _failure(self, said: Said) -> Upstream:
        error = failure_of(said, None, self._target)
        error.in_stream = True
        return error

    def _broken(self) -> Upstream:
        """What to say of a stream that ended otherwise."""
        if self._is_failing:
            self.is_told = True
            return self._failure(Said())
        return ProtocolError(
            f"{self._target} ended its stream without a last event.", reason="upstream-truncated"
        )
