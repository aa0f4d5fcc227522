"""Watches a stream of chat chunks that passes through: tokens, usage, its end, its errors.

Server-sent events pass whole events at a time, so that an event can be looked at before it leaves.
Most reads hold nothing but tokens; they are counted by a byte search and never decoded. Only the
usage chunk that the client did not ask for is taken out again.
"""

from towplane.parts.errors import ProtocolError
from towplane.parts.sse import WholeEvents, first_event
from towplane.providers.ask import Ask
from towplane.providers.dialects.chat import wire
from towplane.providers.dialects.chat.finish import BROKEN
from towplane.providers.dialects.chat.verdict import broken, judge_said, read_said
from towplane.providers.reader import Reader

__all__ = ["ChatRelay", "make_relay"]


def make_relay(ask: Ask, target: str) -> Reader:
    """The reader for a target that speaks chat completions (or completions, or embeddings)."""
    return ChatRelay(target, drops_usage=not ask.wants_usage, is_single=ask.samples == 1)


class ChatRelay(Reader):
    """Reads what passes; gives out the bytes that came."""

    __slots__ = ("_drops_usage", "_events", "_is_single", "_key", "_service", "_target", "_tokens")

    def __init__(self, target: str, *, drops_usage: bool, is_single: bool) -> None:
        self.usage = None  # as in `Reader`, without its frame: one is made for every request
        self.begun = None
        self.failed = None
        self.finished = False
        self.is_told = False
        self._target = target
        self._drops_usage = drops_usage
        self._is_single = is_single
        self._events: WholeEvents | None = None
        self._tokens = 0
        self._service: str | None = None
        self._key = b""
        """How the text of a token begins, where bytes can be searched for it."""

    def read(self, payload: bytes, *, whole: bool) -> tuple[bytes, int, bool]:
        events = self._events
        if events is None:  # made by a stream's first piece: most answers have but one
            events = self._events = WholeEvents()
        payload = events.rest() + payload if whole else events.take(payload)
        if not payload and not whole:
            return b"", 0, False
        payload, tokens, done = self._look(payload)
        self._tokens += tokens
        ends = done or whole
        if ends and not self.finished and self.failed is None:
            self.failed = ProtocolError(
                f"{self._target} ended its stream without a finish reason.",
                reason="upstream-truncated",
            )
        return payload, tokens, ends

    def read_whole(self, body: bytes) -> tuple[bytes, int]:
        try:
            usage = wire.read_usage(body)
            answer = wire.decode_chunk(body) if usage is None else None
        except wire.NotJson as wrong:
            raise ProtocolError(
                f"{self._target} answered with something that is not JSON.",
                reason="upstream-protocol",
            ) from wrong
        if usage is None:
            if answer is not None and answer.is_error() and not answer.choices:
                # OpenRouter and proxies say 200 to what failed behind them.
                said = read_said(bytes(answer.error) if wire.is_said(answer.error) else body)
                raise judge_said(said, None, self._target)
            return body, wire.estimate_tokens(body)
        self.usage = usage
        return body, 0

    def read_tail(self, tail: bytes) -> None:
        self.usage = wire.usage_of_tail(tail)

    def _look(self, payload: bytes) -> tuple[bytes, int, bool]:
        """What is relayed of whole events, their tokens, and whether the end is among them.

        It stops at the end, and at a failure that comes before the first token.
        """
        key = self._key
        if key and self._tokens and wire.plain_end(payload, 0) == len(payload):
            tokens = wire.count_plain(payload, key, 0, len(payload))
            if tokens >= 0:
                return payload, tokens, False
            key = b""
        kept: list[bytes] = []
        tokens = start = 0
        while start < len(payload):
            if key and (self._tokens or tokens):
                end = wire.plain_end(payload, start)
                plain = wire.count_plain(payload, key, start, end) if end > start else 0
                if plain < 0:
                    key = b""
                elif end > start:
                    tokens += plain
                    kept.append(payload[start:end])
                    start = end
                    continue
            raw, data = first_event(payload, start)
            start += len(raw)
            if data == wire.DONE:
                # Some leave the finish reason out; but after nothing generated, this ends nothing.
                self.finished = self.finished or bool(self._tokens or tokens)
                if self.failed is None or self.is_told:
                    kept.append(raw)
                return b"".join(kept), tokens, True
            if data:
                try:
                    chunk = wire.decode_chunk(data)
                except wire.NotJson as wrong:
                    say = f"An event of the stream is not JSON: {wrong}."
                    self.failed = ProtocolError(say, reason="upstream-protocol")
                    return b"".join(kept), tokens, True
                tokens += self._read_chunk(chunk, data)
                if self.failed is not None and not (tokens or self._tokens):
                    break
                if self._drops_usage and chunk and chunk.usage and not chunk.choices:
                    continue
            kept.append(raw)
        return b"".join(kept), tokens, False

    def _read_chunk(self, chunk: wire.Chunk | None, data: bytes) -> bool:
        """Note what one chunk says; whether it is a token, as is one of a shape we do not know."""
        if chunk is None:
            return True
        self._service = chunk.service_tier or self._service
        usage = chunk.told_usage()
        if usage is not None:
            self.usage = usage.normal(self._service)
        if chunk.is_error():
            self.is_told = True
            said = read_said(bytes(chunk.error) if wire.is_said(chunk.error) else data)
            self.failed = judge_said(said, None, self._target)
        for choice in chunk.choices:
            word = choice.finish_reason
            if word in BROKEN and self.failed is None:
                self.failed = broken(word, self._target)
            elif word:
                self.finished = True
        is_token = chunk.is_token()
        if is_token and self._is_single:  # of several choices an event may bring two
            self._key = wire.text_key(data)
        return is_token
