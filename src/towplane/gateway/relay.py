"""Sixth station: the answer on its way to the client, and what is read from it in passing.

`StreamRelay` passes server-sent events on as they come, whole events at a time, so that an event
can be looked at before it leaves: where the first token is, how many there are, what usage says.
Most reads hold nothing but tokens; they are counted by a byte search and never decoded. Nothing is
relayed before the first token, because until then another target may be tried; the last event is
kept back until the attempt is accounted. `WholeRelay` does the same for answers in one piece.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from towplane.gateway import answers
from towplane.parts.errors import PlaneError, ProtocolError, Upstream
from towplane.tenants.events import Progress

if TYPE_CHECKING:
    from towplane.gateway.attempt import Attempt
    from towplane.gateway.exchange import Exchange

_LONGEST_HELD: Final = 256 * 1024
"""What may come before the first token (comments, role frames) before it is relayed anyway."""
_WHOLE_BYTES: Final = 1024 * 1024
"""An answer in one piece is kept up to this size; a larger one is passed on as it comes."""
_TRANSLATED_BYTES: Final = 64 * 1024 * 1024
"""One that is translated cannot be passed on before it is whole; it may be so large."""
_TAIL_BYTES: Final = 64 * 1024
"""Of a larger one this much of the end is kept, where the usage stands."""


class Relay(ABC):
    """What both kinds share: whom they write to, and what they have read."""

    __slots__ = ("attempt", "first_at", "last_at", "reader", "tokens", "x")

    def __init__(self, attempt: "Attempt") -> None:
        self.attempt = attempt
        self.x: Exchange = attempt.x
        self.reader = attempt.call.reader
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
        if x.rival is not None:
            x.commit(attempt)
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
            self.write(answers.error_event(error, self.x.request.path()))
        self.x.keep_alive = False


class StreamRelay(Relay):
    """Server-sent events, as the call's reader gives them out."""

    __slots__ = ("_held", "_held_bytes", "_last", "_note_at")

    def __init__(self, attempt: "Attempt") -> None:
        super().__init__(attempt)
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._last = b""
        self._note_at = 1

    def read(self, payload: bytes, *, whole: bool) -> None:
        reader = self.reader
        payload, tokens, ends = reader.read(payload, whole=whole)
        if tokens:
            self._count(tokens)
        failed = reader.failed if ends or not (self.tokens or self.x.answered) else None
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
            reader = self.reader
            self.break_stream(None if reader.is_told and error is reader.failed else error)

    def _count(self, tokens: int) -> None:
        """Tokens are about to be relayed."""
        now = self.x.hall.now()
        route = self.x.route
        assert route is not None
        itl = route.counters.itl
        if self.tokens == 0:
            self.first_at = now
            route.counters.ttft.observe(now - self.x.request.received_at)
            self.attempt.answers(now)
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

    __slots__ = ("_body", "_kept", "_kept_bytes", "_tail")

    def __init__(self, attempt: "Attempt") -> None:
        super().__init__(attempt)
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._tail = b""
        self._body: bytes | None = None
        """What the client gets, once it is known."""

    def body(self) -> bytes:
        """What has come so far, if it has not been passed on."""
        kept = self._kept
        return kept[0] if len(kept) == 1 else b"".join(kept)

    def read(self, payload: bytes, *, whole: bool) -> None:
        status = self.attempt.status
        if whole and not self._kept_bytes and status == 200:
            self._kept.append(payload)  # in one read, as nearly all are
            self._read_usage()
            self.attempt.complete()
            return
        self._kept.append(payload)
        self._kept_bytes += len(payload)
        if self._kept_bytes > _WHOLE_BYTES and not whole:
            if status is not None and status >= 400:
                self._kept.clear()  # no error needs so many words: it is judged by its status
                self.attempt.complete()
                return
            if self.reader.passes_through:
                self._pass_on()
            elif self._kept_bytes > _TRANSLATED_BYTES:
                raise ProtocolError("The answer is too large to be translated.")
        if whole:
            if status is not None and status < 300:
                self._read_usage()
            self.attempt.complete()

    def finish(self, error: Upstream | None) -> None:
        body = self._body if self._body is not None else self.body()
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
            self.reader.read_tail(self._tail + body)
            return
        try:
            self._body, self.tokens = self.reader.read_whole(body)
        except ProtocolError:
            if b"content-encoding" in self.attempt.headers:
                return  # compressed although nobody asked for it: passed on, usage unknown
            raise


def relay_failure(x: "Exchange", attempt: "Attempt") -> None:
    """Tell the client that no target answered: with the last one's own words where it had some."""
    error = attempt.error
    assert error is not None
    is_ours = error.whose_fault == "plane"  # its key, its quota: no business of the caller's
    is_json = b"application/json" in attempt.headers
    if is_ours or error.status is None or not error.body or not is_json:
        x.refuse(error)
        return
    headers = attempt.headers + b"x-towplane-reason: %b\r\n" % error.reason.encode()
    if error.status == 501:
        headers += answers.DO_NOT_RETRY
    x.answer(error.status, headers, error.body)
