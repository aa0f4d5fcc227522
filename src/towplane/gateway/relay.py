"""Sixth station: the answer on its way to the client, and what is read from it in passing.

`StreamRelay` passes server-sent events on as they come, whole events at a time, so that an event
can be looked at before it leaves: where the first token is, how many there are, what usage says.
Most reads hold nothing but tokens; they are counted by a byte search and never decoded. Nothing is
relayed before the first token, because until then another target may be tried; the last event is
kept back until the attempt is accounted. `WholeRelay` does the same for answers in one piece.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from towplane.gateway import answers
from towplane.parts.errors import PlaneError, ProtocolError, ServerError, Upstream
from towplane.parts.sse import cut, first_event
from towplane.providers.openai_compatible import wire
from towplane.tenants.events import Progress

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.exchange import Exchange

_LONGEST_EVENT = 4 * 1024 * 1024
_LONGEST_HELD = 256 * 1024
"""What may come before the first token (comments, role frames) before it is relayed anyway."""
_WHOLE_BYTES = 1024 * 1024
"""An answer in one piece is kept up to this size; a larger one is passed on as it comes."""
_TAIL_BYTES = 64 * 1024
"""Of a larger one this much of the end is kept, where the usage stands."""


class Relay(ABC):
    """What both kinds share: whom they write to, and what they have read."""

    __slots__ = ("attempt", "first_at", "last_at", "tokens", "usage", "x")

    def __init__(self, attempt: "Attempt") -> None:
        self.attempt = attempt
        self.x: Exchange = attempt.x
        self.usage: wire.Usage | None = None
        self.tokens = 0
        """Generated tokens seen; in a stream, one per event that carries any."""
        self.first_at = 0.0
        """Monotonic time at which the first of them was relayed; 0: none was."""
        self.last_at = 0.0

    @abstractmethod
    def read(self, payload: bytes, *, whole: bool) -> None:
        """Payload came from upstream. Raises Upstream when it makes no sense."""

    @abstractmethod
    def finish(self, error: Upstream | None) -> None:
        """Write the end of the answer."""

    def start_stream(self) -> None:
        """Write the head of an answer whose length nobody knows."""
        x, attempt = self.x, self.attempt
        x.answered = True
        if x.hall.draining:
            x.keep_alive = False
        if x.request.version == "1.0":
            x.keep_alive = False
            framing = b"connection: close\r\n"
        elif x.keep_alive:
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b"transfer-encoding: chunked\r\nconnection: close\r\n"
        x.connection.transport.write(
            b"%b%b%b%b\r\n"
            % (
                answers.status_line(attempt.status or 200),
                x.own_headers(),
                attempt.headers,
                framing,
            )
        )

    def write(self, payload: bytes) -> None:
        """Write a piece of such an answer."""
        if not payload:
            return
        transport = self.x.connection.transport
        if self.x.request.version == "1.0":
            transport.write(payload)
        else:
            transport.write(b"%x\r\n%b\r\n" % (len(payload), payload))

    def end_stream(self, payload: bytes) -> None:
        """Write its last piece and its end."""
        transport = self.x.connection.transport
        if self.x.request.version == "1.0":
            transport.write(payload)
        elif payload:
            transport.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(payload), payload))
        else:
            transport.write(b"0\r\n\r\n")

    def break_stream(self, error: PlaneError | None) -> None:
        """Say in the stream that it broke, and end it so that nobody takes it for whole."""
        if error is not None:
            self.write(b"data: " + answers.error_body(error) + b"\n\n")
        self.x.keep_alive = False


class StreamRelay(Relay):
    """Server-sent events."""

    __slots__ = ("_carry", "_drops_usage", "_failed", "_finished", "_held", "_held_bytes",
                 "_is_told", "_key", "_last", "_note_at")  # fmt: skip

    def __init__(self, attempt: "Attempt") -> None:
        super().__init__(attempt)
        self._carry = b""
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._last = b""
        self._finished = False
        """A finish reason or `[DONE]` was seen."""
        self._failed: Upstream | None = None
        self._is_told = False
        """The failure stands in an event of the target's own."""
        self._key = b""
        """How the text of a token begins, where bytes can be searched for it."""
        self._drops_usage = not self.x.ask.wants_usage
        self._note_at = 1

    def read(self, payload: bytes, *, whole: bool) -> None:
        if self._carry:
            payload = self._carry + payload
            self._carry = b""
        if not whole:
            end = cut(payload)
            if end < len(payload):
                self._carry = payload[end:]
                if not end:
                    if len(self._carry) > _LONGEST_EVENT:
                        raise ProtocolError("One event of the stream is longer than 4 MiB.")
                    return
                payload = payload[:end]
        payload, tokens, done = self._look(payload)
        if tokens:
            self._count(tokens)
        ends = done or whole
        if ends and not self._finished and self._failed is None:
            self._failed = ProtocolError(
                f"{self.attempt.target.info.name} ended its stream without a finish reason.",
                reason="upstream-truncated",
            )
        failed = self._failed if ends or not (self.tokens or self.x.answered) else None
        if ends and failed is None:
            self._last = payload
            self.attempt.complete()
        elif self.x.answered or self.tokens:
            self.write(payload if self.x.answered else self._start(payload))
        elif failed is None:
            self._hold(payload)
        if failed is not None:
            raise failed

    def finish(self, error: Upstream | None) -> None:
        if not self.x.answered:
            self._last = self._start(self._last)
        if error is None:
            self.end_stream(self._last)
        else:
            self.break_stream(None if self._is_told and error is self._failed else error)

    def _look(self, payload: bytes) -> tuple[bytes, int, bool]:
        """What is relayed of whole events, their tokens, and whether the end is among them.

        It stops at the end, and at a failure that comes before the first token.
        """
        key = self._key
        if key and self.tokens and wire.plain_end(payload, 0) == len(payload):
            tokens = wire.count_plain(payload, key, 0, len(payload))
            if tokens >= 0:
                return payload, tokens, False
            key = b""
        kept: list[bytes] = []
        tokens = start = 0
        while start < len(payload):
            if key and (self.tokens or tokens):
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
                self._finished = True
                if self._failed is None or self._is_told:
                    kept.append(raw)
                return b"".join(kept), tokens, True
            if data:
                try:
                    chunk = wire.decode_chunk(data)
                except wire.NotJson as wrong:
                    say = f"An event of the stream is not JSON: {wrong}."
                    self._failed = ProtocolError(say, reason="upstream-protocol")
                    return b"".join(kept), tokens, True
                tokens += self._read_chunk(chunk, data)
                if self._failed is not None and not (tokens or self.tokens or self.x.answered):
                    break
                if self._drops_usage and chunk and chunk.usage and not chunk.choices:
                    continue
            kept.append(raw)
        return b"".join(kept), tokens, False

    def _read_chunk(self, chunk: wire.Chunk | None, data: bytes) -> bool:
        """Note what one chunk says; whether it is a token, as is one of a shape we do not know."""
        if chunk is None:
            return True
        if chunk.usage is not None:
            self.usage = chunk.usage
        if chunk.error is not None:
            self._is_told = True
            self._failed = ServerError(
                f"{self.attempt.target.info.name} reported an error in the stream.",
                reason="upstream-error",
            )
        for choice in chunk.choices:
            if choice.finish_reason == "abort":  # vLLM, when it is stopped
                self._failed = ServerError(
                    f"{self.attempt.target.info.name} aborted the answer.", reason="upstream-abort"
                )
            elif choice.finish_reason is not None:
                self._finished = True
        is_token = chunk.is_token()
        if is_token and self.x.ask.samples == 1:  # of several choices an event may bring two
            self._key = wire.text_key(data)
        return is_token

    def _count(self, tokens: int) -> None:
        """Tokens are about to be relayed."""
        now = self.x.hall.now()
        route = self.x.route
        assert route is not None
        itl = route.counters.itl
        if self.tokens == 0:
            self.first_at = now
            route.counters.ttft.observe(now - self.x.request.received_at)
        else:
            itl.observe(now - self.last_at)
        itl.counts[0] += tokens - 1  # relayed in the same moment: gaps of zero
        self.tokens += tokens
        self.last_at = now
        if self.tokens >= self._note_at:
            self._note_at = 2 * self.tokens
            self.x.hall.journal.append(Progress(self.attempt.id, self.tokens))
        self.attempt.token_came(now)

    def _hold(self, payload: bytes) -> None:
        self._held.append(payload)
        self._held_bytes += len(payload)
        if self._held_bytes > _LONGEST_HELD:
            self.write(self._start(b""))

    def _start(self, payload: bytes) -> bytes:
        """Write the head; what was held comes before `payload`."""
        self.start_stream()
        if self._held:
            payload = b"".join((*self._held, payload))
            self._held.clear()
        return payload


class WholeRelay(Relay):
    """An answer in one piece; also an error's, whatever was asked for."""

    __slots__ = ("_kept", "_kept_bytes", "_tail")

    def __init__(self, attempt: "Attempt") -> None:
        super().__init__(attempt)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._tail = b""

    def body(self) -> bytes:
        """What has come so far, if it has not been passed on."""
        return b"".join(self._kept)

    def read(self, payload: bytes, *, whole: bool) -> None:
        self._kept.append(payload)
        self._kept_bytes += len(payload)
        if self._kept_bytes > _WHOLE_BYTES and not whole:
            if self.attempt.status is not None and self.attempt.status >= 400:
                self._kept.clear()  # no error needs so many words: it is judged by its status
                self.attempt.complete()
                return
            self._pass_on()
        if whole:
            if self.attempt.status is not None and self.attempt.status < 300:
                self._read_usage()
            self.attempt.complete()

    def finish(self, error: Upstream | None) -> None:
        body = self.body()
        if not self.x.answered:
            self.x.answer(self.attempt.status or 200, self.attempt.headers, body)
        elif error is None:
            self.end_stream(body)
        else:
            self.break_stream(None)

    def _pass_on(self) -> None:
        if not self.x.answered:
            self.start_stream()
        piece = self.body()
        self._kept.clear()
        self._tail = (self._tail + piece)[-_TAIL_BYTES:]
        self.write(piece)

    def _read_usage(self) -> None:
        body = self.body()
        if self.x.answered:
            self.usage = wire.usage_of_tail(self._tail + body)
            return
        try:
            self.usage = wire.read_usage(body)
        except wire.NotJson as wrong:
            if b"content-encoding" in self.attempt.headers:
                return  # compressed although nobody asked for it: passed on, usage unknown
            raise ProtocolError(
                f"{self.attempt.target.info.name} answered with something that is not JSON.",
                reason="upstream-protocol",
            ) from wrong
        if self.usage is None:
            self.tokens = wire.estimate_tokens(body)


def relay_failure(x: "Exchange", attempt: "Attempt") -> None:
    """Tell the client that no target answered: with the last one's own words where it had some."""
    error = attempt.error
    assert error is not None
    if error.status is None or not error.body or b"application/json" not in attempt.headers:
        x.refuse(error)
        return
    headers = attempt.headers + b"x-towplane-reason: %b\r\n" % error.reason.encode()
    if error.status == 501:
        headers += answers.DO_NOT_RETRY
    x.answer(error.status, headers, error.body)
