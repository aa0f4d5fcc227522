"""One client connection of the serving port: HTTP/1.1 in, exchanges out, answers back in order.

Bytes are parsed by llhttp (through httptools) in its strict mode, which refuses Content-Length with
Transfer-Encoding, duplicate lengths, bad chunk sizes, bare CR or LF and folded lines; what it lets
pass and we do not is checked here: HTTP/0.9, chunked HTTP/1.0, a missing or second Host, a second
credential, and every limit on sizes. A message that breaks a rule is answered once the requests
before it are, and the connection is closed; nothing of it goes upstream.

    reading ──whole request──▶ queue ──▶ one exchange at a time ──▶ answer ──▶ next, or close
       └──broken or too large──▶ refusal after the queue ──▶ lingering close
"""

import asyncio
import sys
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

import httptools

from towplane.gateway import answers
from towplane.gateway.exchange import Exchange
from towplane.gateway.request import Request, check_head
from towplane.gateway.turn import Outgoing
from towplane.parts.errors import BadRequest, Draining, PlaneError, TooLarge

if TYPE_CHECKING:
    from towplane.gateway.hall import Hall
    from towplane.tenants.keys import KeyRecord, KeyRing

KEPT = frozenset(
    (b"authorization", b"x-api-key", b"host", b"expect", b"content-length", b"content-type",
     b"content-encoding", b"transfer-encoding", b"traceparent", b"tracestate", b"openai-beta",
     b"anthropic-version", b"anthropic-beta", b"x-towplane-timeout")
)  # fmt: skip
"""Headers that the plane looks at; routes add what names a session to them (`Hall.kept`)."""
_ONCE = frozenset(
    (b"authorization", b"x-api-key", b"host", b"expect", b"content-encoding",
     b"transfer-encoding")
)  # fmt: skip

_USUAL: Final = b" HTTP/1.1\r"
"""How the first line of nearly every request ends."""
_QUEUE: Final = 8
"""Pipelined requests that may wait on one connection before reading pauses."""
_SMALL_BODY: Final = 64 * 1024
"""A stranger may send this much before the key is looked at; more only with a good key."""
_OVERHEAD: Final = 8
"""Bytes on the wire per byte of body: one-byte chunks need 6; endless extensions need more."""
_DRAIN_GRACE_S: Final = 1.0
_LINGER_S: Final = 2.0
"""How long what a refused client still sends is read and thrown away, so that it sees the answer
instead of a reset (RFC 9112, section 9.6)."""


class Connection:
    """The server's side of one client connection: an `asyncio.Protocol` by its methods."""

    __slots__ = ("_body_bytes", "_counts_bytes", "_flaw", "_hall", "_head_bytes", "_in_head",
                 "_is_usual", "_judges_headers", "_known", "_other_headers", "_parser", "_pieces",
                 "_queue", "_request", "_unwritten", "_wire_bytes", "closing", "deadline",
                 "exchange", "on_body", "paused", "transport", "waits_for")  # fmt: skip

    transport: Outgoing

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self._request = Request()
        self._queue: list[Request] = []
        self._pieces: list[bytes] = []
        self._flaw: PlaneError | None = None
        self._known: tuple[KeyRing, bytes, KeyRecord] | None = None
        """The ring in which it was found, the header that was sent, and whose key it is."""
        self._in_head = True
        self._is_usual = False
        """Whether the head that comes is known to be one of HTTP/1.1."""
        self._counts_bytes = False
        self._judges_headers = False
        """A header is counted by its bytes, or is a trailer, before anything else."""
        self._other_headers = 0
        """Those that are not kept, and trailers."""
        self._head_bytes = self._body_bytes = self._wire_bytes = 0
        self.on_body = self._pieces.append  # llhttp appends without a Python frame
        self._parser = httptools.HttpRequestParser(self)
        self.exchange: Exchange | None = None
        self.closing = False
        self._unwritten = sys.maxsize
        self.paused = False
        """The client takes nothing at the moment."""
        self.deadline = 0.0
        """Monotonic time at which the client has waited too long; 0: it need not do anything."""
        self.waits_for = "idle-timeout"

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        hall = self._hall
        self.transport = hall.turn.wrap(transport)
        if len(hall.connections) >= hall.limits.connections:
            hall.counters.refused("connections")
            self.closing = True
            self.transport.abort()
            return
        hall.connections[self] = None
        self.deadline = hall.now() + hall.limits.header_timeout_s

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """The client is gone; what runs for it stops."""
        self._hall.connections.pop(self, None)
        self.closing = True
        self._queue.clear()
        if self.exchange is not None:
            self.exchange.client_gone()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self.closing or self._flaw is not None:
            return  # lingering: thrown away
        queue = self._queue
        waiting = len(queue)
        # Usually a head comes in one read that is smaller than a head may be: nothing to count.
        if not self._counts_bytes and (
            self._wire_bytes + len(data) > self._hall.limits.header_bytes
        ):
            self._counts_bytes = self._judges_headers = True
            self._head_bytes = self._wire_bytes - len(self._request.url) if self._in_head else 0
        if self._in_head and not self._request.url:  # its first line ends with the first line feed
            end = data.find(b"\n")
            self._is_usual = end > len(_USUAL) and data.startswith(_USUAL, end - len(_USUAL))
        try:
            self._parser.feed_data(data)
            if len(queue) == waiting:  # nothing came to its end: the limits decide
                self._grew(len(data))
        except PlaneError as refusal:
            self._flaw = refusal
        except httptools.HttpParserUpgrade:
            self._flaw = BadRequest("Upgrades are not offered here.", reason="upgrade")
            if queue:  # answered as if it had not asked (RFC 9110, 7.8), and then closed
                queue[-1].keep_alive = False
        except httptools.HttpParserError as wrong:
            inner = wrong.__context__
            self._flaw = (
                inner
                if isinstance(inner, PlaneError)
                else BadRequest(f"This is not proper HTTP/1.1: {wrong}.", reason="http-invalid")
            )
        if self.exchange is None:
            self._next()

    def eof_received(self) -> bool:
        """The client sends no more; an exchange without a listener has no purpose (as in nginx)."""
        return False

    def pause_writing(self) -> None:
        """The client reads too slowly: stop taking from upstream."""
        self.paused = True
        self.deadline = self._hall.now() + self._hall.limits.write_timeout_s
        self.waits_for = "write-timeout"
        if self.exchange is not None:
            self.exchange.client_is_slow(slow=True)

    def resume_writing(self) -> None:
        """The client caught up."""
        self.paused = False
        if self.waits_for == "write-timeout":
            self.deadline = 0.0
        if self.exchange is not None:
            self.exchange.client_is_slow(slow=False)
        else:
            self._hall.soon(self._next)

    # What the parser says

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or after the body a trailer: counted, never used."""
        if self._judges_headers and not self._is_for_use(name, value):
            return
        name = name.lower()
        if name in self._hall.kept:
            fields = self._request.fields
            if name in fields:
                self._repeated(name)
            fields[name] = value
        else:
            self._other_headers += 1

    def on_headers_complete(self) -> None:
        """The head is whole: may this request go on to its body?"""
        request, parser, limits = self._request, self._parser, self._hall.limits
        fields = request.fields
        self._in_head = False
        self._judges_headers = True
        request.method = parser.get_method()
        # Asked, the parser makes up a text for it: that costs as much as all headers together.
        request.version = "1.1" if self._is_usual else parser.get_http_version()
        self._is_usual = False
        request.keep_alive = parser.should_keep_alive()
        self._other_headers += len(fields)  # and all others with them: what counts from here on
        if self._other_headers > limits.headers:
            raise _head_too_large()
        if self._counts_bytes and self._head_bytes + len(request.url) > limits.header_bytes:
            raise _head_too_large()
        check_head(request)
        declared = int(fields[b"content-length"]) if b"content-length" in fields else 0
        if declared > limits.body_bytes:
            raise _body_too_large(limits.body_bytes)
        if declared > _SMALL_BODY or b"expect" in fields:
            self.identify(fields)
            self._expect(request)

    def on_message_complete(self) -> None:
        """A request is whole."""
        hall, request, pieces, queue = self._hall, self._request, self._pieces, self._queue
        last = len(pieces[0]) if len(pieces) == 1 else sum(map(len, pieces))
        if self._body_bytes + last > hall.limits.body_bytes:
            raise _body_too_large(hall.limits.body_bytes)
        request.body += pieces
        pieces.clear()
        now = hall.now
        request.received_at = now()
        queue.append(request)
        self._request = Request()
        self._in_head = True
        self._judges_headers = self._counts_bytes
        self._head_bytes = self._other_headers = self._body_bytes = self._wire_bytes = 0
        if len(queue) >= _QUEUE:
            self.transport.pause_reading()

    # What the exchange and the hall say

    def finished(self, *, keep_alive: bool) -> None:
        """The answer of the running exchange is written."""
        self.exchange = None
        if self.closing:
            return
        if not keep_alive:
            self._close()
        elif self._queue or self._flaw is not None:
            self._hall.soon(self._next)
        else:
            self.waits_for = "idle-timeout"
            self.deadline = self._hall.swept_at + self._hall.limits.idle_timeout_s
            if self._wire_bytes:
                self._wait_for_rest()

    def identify(self, fields: dict[bytes, bytes]) -> "KeyRecord":
        """Second station: whose key this is. Raises Unauthorised.

        Clients send one key over a connection again and again; it is looked up once for each ring
        of keys, unless its time may run out.
        """
        known, sent = self._known, fields.get(b"authorization")
        keyring = self._hall.keyring
        if sent is None or b"x-api-key" in fields:
            return self._hall.identify(fields)
        if known is not None and known[0] is keyring and compare_digest(sent, known[1]):
            return known[2]
        caller = self._hall.identify(fields)
        if caller.is_lasting:
            self._known = (keyring, sent, caller)
        return caller

    def drain(self) -> None:
        """Take no new work: an idle connection closes soon, a busy one after its answer.

        What still comes in until then is refused in words, not by a reset.
        """
        if self.exchange is None and not self._queue and not self.closing:
            self._wait("idle-timeout", _DRAIN_GRACE_S)

    def overdue(self) -> None:
        """The client missed its deadline."""
        if self.waits_for in ("header-timeout", "body-timeout") and self._request.url:
            what = "head" if self.waits_for == "header-timeout" else "body"
            self._flaw = BadRequest(
                f"The request's {what} did not arrive in time.", reason=self.waits_for
            )
            self._next()
        elif self.waits_for == "linger" and self._takes_something():
            self._wait("linger", self._hall.limits.write_timeout_s)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the connection and what is still unwritten."""
        self.closing = True
        self.transport.abort()

    # Private, in the order of use

    def _is_for_use(self, name: bytes, value: bytes) -> bool:
        """Whether this stands in the head. Raises when there is too much of it, or of trailers."""
        limits = self._hall.limits
        if self._counts_bytes:
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > limits.header_bytes:
                raise _head_too_large()
        if not self._in_head:
            self._other_headers += 1
            if self._other_headers > limits.headers:
                raise _head_too_large()
        return self._in_head

    def _repeated(self, name: bytes) -> None:
        """A header comes again: of some, two could mean one thing here and another upstream."""
        if name in _ONCE:
            raise BadRequest(f"The header {name.decode()} stands twice.", reason="header-twice")
        self._other_headers += 1

    def _expect(self, request: Request) -> None:
        """The body may come, if the client waits to hear that."""
        expect = request.fields.get(b"expect")
        if expect is None:
            return
        if expect.lower() != b"100-continue":
            raise BadRequest("Only 100-continue can be expected.", reason="expectation-failed")
        if self.exchange is None and not self._queue and request.version == "1.1":
            self.transport.write(answers.CONTINUE)

    def _grew(self, wire_bytes: int) -> None:
        """A request came nearer to its end; how long and how large may it be?"""
        limits = self._hall.limits
        self._wire_bytes += wire_bytes
        self._wait_for_rest()
        if self._in_head:
            if self._wire_bytes > limits.header_bytes:
                raise _head_too_large()
            return
        pieces = self._pieces
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._request.body.append(piece)
            self._body_bytes += len(piece)
        if self._body_bytes > limits.body_bytes:
            raise _body_too_large(limits.body_bytes)
        if self._body_bytes > _SMALL_BODY:
            self.identify(self._request.fields)
        if self._wire_bytes > _OVERHEAD * self._body_bytes + limits.header_bytes + _SMALL_BODY:
            raise BadRequest("The body is almost all framing.", reason="http-invalid")

    def _wait_for_rest(self) -> None:
        """The rest of a request that has begun must come in time, unless another runs before it."""
        phase = "header-timeout" if self._in_head else "body-timeout"
        if self.exchange is None and not self._queue and self.waits_for != phase:
            limits = self._hall.limits
            self._wait(phase, limits.header_timeout_s if self._in_head else limits.body_timeout_s)

    def _next(self) -> None:
        """Start the next request, or say what was wrong with it.

        Not while the client takes nothing: what it asks and does not read would pile up here.
        """
        if self.exchange is not None or self.closing or self.paused:
            return
        hall, queue = self._hall, self._queue
        if queue and hall.draining:
            self._refuse(
                Draining(
                    "The plane is going down and takes no new work.",
                    next_step="Try again: another one takes over.",
                    after_s=1.0,
                )
            )
        elif queue:
            request = queue.pop(0)
            if len(queue) == _QUEUE - 1:
                self.transport.resume_reading()
            self.deadline = 0.0
            exchange = self.exchange = Exchange(hall, self, request)
            exchange.begin()
        elif self._flaw is not None:
            self._refuse(self._flaw)

    def _refuse(self, flaw: PlaneError) -> None:
        """Answer a request that cannot be taken, and leave."""
        self._hall.counters.refused(flaw.reason)
        request = self._queue[0] if self._queue else self._request
        body = answers.error_body(flaw, request.path())
        self.transport.write(
            b"%bcontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n%b\r\n%b"
            % (
                answers.status_line(answers.status_of(flaw)),
                len(body),
                answers.error_headers(flaw),
                b"" if request.method == b"HEAD" else body,
            )
        )
        self._close()

    def _takes_something(self) -> bool:
        """Whether there is something to write, and less than when this was asked before."""
        before, self._unwritten = self._unwritten, self.transport.get_write_buffer_size()
        return 0 < self._unwritten < before

    def _close(self) -> None:
        """Close once everything is written; what still comes in is thrown away for a while."""
        self.closing = True
        self._wait("linger", _LINGER_S)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _wait(self, reason: str, seconds: float) -> None:
        self.waits_for = reason
        self.deadline = self._hall.swept_at + seconds


def _head_too_large() -> TooLarge:
    return TooLarge("The request's head is too large.", reason="headers-too-large")


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.", reason="body-too-large")
