"""Connections to upstreams: kept alive, reused last-in first-out, one attempt at a time on each.

Knows HTTP's response side and nothing of models or money. What comes in is parsed by llhttp, so a
broken framing is an error and never relayed; what is relayed is the payload.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import httptools

from towplane.gateway.dial import Dialer
from towplane.gateway.turn import Outgoing, Turn
from towplane.parts.clock import Now
from towplane.parts.errors import ProtocolError, Unavailable, Upstream

KEEP_IDLE: Final = 1024
"""Idle connections kept per target."""
IDLE_S: Final = 30.0
"""An idle connection older than this is closed; servers close theirs after 5 s (uvicorn) and more,
which is seen at once."""
_ENDING_S: Final = 1.0
"""After `[DONE]`, the last chunk follows within a moment or not at all."""
_ENDING_BYTES: Final = 4096
_HEAD_BYTES: Final = 64 * 1024
"""A response head larger than this is not a response."""
_RELAYED = frozenset(
    (b"content-type", b"content-encoding", b"x-request-id", b"request-id", b"retry-after",
     b"retry-after-ms", b"openai-processing-ms", b"openai-version")
)  # fmt: skip
"""Response headers that a client gets to see. Not the vendor's own limits, nor cookies."""
_READ = frozenset(
    (b"date", b"retry-after", b"retry-after-ms", b"x-amzn-errortype", b"x-amzn-requestid",
     b"x-should-retry", b"x-ms-region", b"x-ms-deployment-name", b"x-ms-spillover-from-deployment",
     b"apim-request-id", b"request-id", b"content-type")
)  # fmt: skip
"""Response headers that an adapter looks at."""
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_LIMITS = (b"x-ratelimit-", b"anthropic-ratelimit-", b"anthropic-priority-")


class Listener(Protocol):
    """The attempt that a connection works for."""

    def connected(self, connection: "UpstreamConnection") -> None:
        """A connection is there; the request can be sent."""

    def failed(self, error: Upstream) -> None:
        """There will be no more: no connection, a broken answer, a reset."""

    def head(self, status: int, headers: bytes) -> None:
        """The head of the answer is complete."""

    def read(self, payload: bytes, *, whole: bool) -> None:
        """Payload came; `whole` says that the answer ends with it."""


class UpstreamConnection:
    """One connection to one upstream: an `asyncio.Protocol` by its methods."""

    __slots__ = (
        "_counts_bytes",
        "_framed",
        "_head",
        "_head_bytes",
        "_in_head",
        "_is_usual",
        "_keep_alive",
        "_parser",
        "_pieces",
        "_pool",
        "_whole",
        "fields",
        "idle_since",
        "is_reused",
        "listener",
        "on_body",
        "says_limits",
        "transport",
    )  # fmt: skip

    transport: Outgoing

    def __init__(self, pool: "TargetPool") -> None:
        self._pool = pool
        self._pieces: list[bytes] = []
        self.on_body = self._pieces.append  # llhttp appends without a Python frame
        self._parser = httptools.HttpResponseParser(self)
        self._head: list[bytes] = []
        self._head_bytes = 0
        self._counts_bytes = False
        self._in_head = True
        self._is_usual = False
        """Whether the head that comes is known to be one of HTTP/1.1."""
        self._framed = False
        self._whole = False
        self._keep_alive = False
        self.listener: Listener | None = None
        self.idle_since = 0.0
        self.is_reused = False
        self.fields: dict[bytes, bytes] = {}
        """Of the answer's head, what says how to read or judge it, by lower-case name."""
        self.says_limits = False
        """Whether there are limits of the provider's among them."""

    def send(self, listener: Listener, head: bytes, body: bytes) -> None:
        """Start an exchange; the connection is idle."""
        self.listener = listener
        self._head.clear()
        self._head_bytes = 0
        self._in_head = True
        self._framed = False
        self._whole = False
        self.fields = {}
        self.says_limits = False
        if len(body) < 16384:
            self.transport.write(head + body)
        else:
            self.transport.writelines((head, body))

    def release(self, *, is_done: bool = False) -> None:
        """The attempt is finished with it: keep it if its answer is whole, else close it.

        `is_done`: the answer said by itself that it is over (`[DONE]`); what is left of its framing
        is waited for, because it often comes in a packet of its own.
        """
        self.listener = None
        if self._pool.is_closed:
            self.transport.abort()
        elif self._whole and self._keep_alive:
            self.transport.resume_reading()
            self.is_reused = True
            self._pool.keep(self)
        elif is_done and self._keep_alive and self._framed and not self.transport.is_closing():
            self.transport.resume_reading()
            self.listener = self._pool.ending(self)
        else:
            self.transport.abort()

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self._pool.open += 1
        self.transport = self._pool.turn.wrap(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """The upstream closed."""
        self._pool.forget(self)
        listener = self.listener
        if listener is None:
            return
        self.listener = None
        if exc is None and not self._in_head and not self._framed and not self._whole:
            self._whole = True  # a body without length ends with its connection
            listener.read(b"", whole=True)
            return
        when = "before its answer" if self._in_head else "in the middle of its answer"
        listener.failed(Unavailable(f"The upstream closed the connection {when}."))

    def eof_received(self) -> bool:
        """The upstream says no more: close."""
        return False

    def pause_writing(self) -> None:
        """A request waits in memory whole, so that it can be tried again: nothing is paused."""

    def resume_writing(self) -> None:
        """As `pause_writing`."""

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        listener = self.listener
        if listener is None or self._whole:
            self.transport.abort()  # nobody asked
        else:
            self._feed(data, listener)

    def _feed(self, data: bytes, listener: Listener) -> None:
        if self._head_bytes + len(data) > _HEAD_BYTES:  # else no head in it is too large
            self._counts_bytes = True
        if self._in_head and not self._head_bytes:
            self._is_usual = data.startswith(b"HTTP/1.1 ")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as wrong:
            if not self._whole:
                self._break(f"The upstream broke HTTP: {wrong}.")
                return
            self._keep_alive = False  # what follows a whole answer is nobody's
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._break("The upstream's response head is too large.")
            return
        pieces = self._pieces
        if pieces:
            payload = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            listener.read(payload, whole=self._whole)
        elif self._whole:
            listener.read(b"", whole=True)

    # What the parser says

    def on_message_begin(self) -> None:
        """An answer starts; a second one in the same read must not mix with the first."""
        if self._whole:
            raise ProtocolError("The upstream answers more than it was asked.")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody wants."""
        if not self._in_head:
            return
        if self._counts_bytes:
            self._head_bytes += len(name) + len(value) + 4
            if self._head_bytes > _HEAD_BYTES:
                raise ProtocolError("The upstream's response head is too large.")
        name = name.lower()
        if name in _FRAMING:
            if name == b"transfer-encoding" and value.lower() != b"chunked":
                raise ProtocolError("The upstream uses an unknown transfer coding.")
            self._framed = True
            return
        if name in _RELAYED:
            self._head += (name, b": ", value, b"\r\n")
        if name in _READ:
            self.fields.setdefault(name, value)
        elif name.startswith(_LIMITS):
            self.fields.setdefault(name, value)
            self.says_limits = True

    def on_headers_complete(self) -> None:
        """The head is whole."""
        # llhttp takes 0.9 and 2.0, too; what it says costs as much as a header and is seldom news
        if not self._is_usual and self._parser.get_http_version() not in ("1.1", "1.0"):
            raise ProtocolError("The upstream speaks another HTTP.")
        status = self._parser.get_status_code()
        if status < 200:
            return  # 100, 103: the real one follows
        if status > 599:  # RFC 9110, 15: no such class
            raise ProtocolError(f"The upstream answered with the status {status}.")
        self._in_head = False
        self._keep_alive = self._parser.should_keep_alive()
        listener = self.listener
        if listener is not None:
            listener.head(status, b"".join(self._head))

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self._in_head:
            self._head.clear()
            self._is_usual = False  # of the next head nothing is known yet
        elif self._whole:
            self._keep_alive = False  # a second answer to one request
        else:
            self._whole = True

    def _break(self, say: str) -> None:
        listener, self.listener = self.listener, None
        self.transport.abort()
        if listener is not None:
            listener.failed(ProtocolError(say))


class _Ending:
    """Listens to the end of the framing of an answer that is over already."""

    __slots__ = ("_connection", "_left", "_pool", "until")

    def __init__(self, pool: "TargetPool", connection: UpstreamConnection, until: float) -> None:
        self._pool = pool
        self._connection = connection
        self._left = _ENDING_BYTES
        self.until = until

    def connected(self, connection: UpstreamConnection) -> None:
        """Never called: it is connected."""

    def head(self, status: int, headers: bytes) -> None:
        """Never called: the head has come."""

    def failed(self, _error: Upstream) -> None:
        """The connection is lost, which harms nobody now."""
        self._pool.endings.discard(self)

    def read(self, payload: bytes, *, whole: bool) -> None:
        """More of the framing, or payload that nobody wants."""
        self._left -= len(payload)
        if whole or self._left < 0:
            self.give_up()

    def give_up(self) -> None:
        """Keep the connection if the answer is whole now, else close it."""
        self._pool.endings.discard(self)
        self._connection.release()


class TargetPool:
    """The connections to one address."""

    __slots__ = ("_dials", "_idle", "_loop", "_now", "_returned", "dialer", "endings", "is_closed",
                 "open", "turn")  # fmt: skip

    def __init__(
        self,
        dialer: Dialer,
        *,
        loop: asyncio.AbstractEventLoop,
        turn: Turn,
        now: Now,
    ) -> None:
        self.turn = turn
        self.dialer = dialer
        self._loop, self._now = loop, now
        self._idle: list[UpstreamConnection] = []
        self._returned: list[UpstreamConnection] = []
        self._dials: set[asyncio.Task[None]] = set()
        self.endings: set[_Ending] = set()
        self.is_closed = False
        """No target is there any more: nothing is kept."""
        self.open = 0
        """Connections, idle ones included."""

    def connect(self, listener: Listener) -> Callable[[], None] | None:
        """Give `listener` a connection: an idle one at once, or a new one soon.

        Returns what cancels a dial that is under way, or None.
        """
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                listener.connected(connection)
                return None
        return self.dial(listener)

    def dial(self, listener: Listener) -> Callable[[], None]:
        """Give `listener` a new connection."""
        task = self._loop.create_task(self._dial(listener))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)
        return task.cancel  # type: ignore[return-value]  # the result says nothing we need

    def keep(self, connection: UpstreamConnection) -> None:
        """An idle connection comes back; it is given away from the next turn on.

        What an upstream sends unasked behind its answer, often in a packet of its own, is then seen
        while the connection is nobody's, and not taken for the answer to the next request.
        """
        if not self._returned:
            self.turn.call_soon(self._rest)
        self._returned.append(connection)

    def _rest(self) -> None:
        """Those that came back in this turn are idle now."""
        returned, self._returned = self._returned, []
        for connection in returned:
            if connection.transport.is_closing():
                continue
            if self.is_closed or len(self._idle) >= KEEP_IDLE:
                connection.transport.abort()
                continue
            connection.idle_since = self._now()
            self._idle.append(connection)

    def ending(self, connection: UpstreamConnection) -> Listener:
        """Whoever listens to a connection until the framing of its answer ends."""
        found = _Ending(self, connection, self._now() + _ENDING_S)
        self.endings.add(found)
        return found

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection is lost."""
        self.open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self) -> None:
        """Close what has been idle for long; the oldest stand first."""
        now = self._now()
        for ending in [one for one in self.endings if one.until < now]:
            ending.give_up()
        oldest = now - IDLE_S
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.pop(0).transport.abort()

    def close(self) -> None:
        """Close every idle connection; those at work end with their attempts."""
        self.is_closed = True
        for ending in tuple(self.endings):
            ending.give_up()
        while self._idle:
            self._idle.pop().transport.abort()

    async def _dial(self, listener: Listener) -> None:
        try:
            connection = await self.dialer.dial(self._loop, lambda: UpstreamConnection(self))
        except Unavailable as error:
            listener.failed(error)
            return
        listener.connected(connection)
