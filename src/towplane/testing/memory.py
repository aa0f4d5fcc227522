"""One worker's line in memory: the real hall, line and parsers without a socket, disk or clock.

A `MemoryPlane` is fed bytes as a client would send them, steps the event loop by hand and answers
what the client would read; its upstream is a function from a request to bytes. For fuzzing and for
laws about the line. It knows nothing of processes.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

from towplane.document.plane import HttpLimits
from towplane.gateway.connection import Connection
from towplane.gateway.hall import Hall
from towplane.gateway.messages import (
    FromWorker,
    Listen,
    Placed,
    RouteInfo,
    Snapshot,
    TargetInfo,
)
from towplane.parts.clock import Clock
from towplane.parts.ids import RequestIds
from towplane.providers.adapter import Credential
from towplane.routing.spec import Breaker, Retries, RouteSpec, Timeouts
from towplane.tenants.events import Event, Opened, Settled
from towplane.tenants.keys import KeyRecord, TenantRecord, digest_of, mint
from towplane.testing.clock import FakeClock
from towplane.testing.framing import Malformed, Message, MessageReader, chunk, last_chunk
from towplane.testing.provider import dialect, wire
from towplane.testing.provider.script import GOOD

__all__ = ["MemoryClient", "MemoryPlane", "MemoryUpstream", "answer_well"]

UPSTREAM_KEY = "upstream-key"
_PEPPER = b"p" * 32

Answer = Callable[[Message], Iterable[bytes]]


def answer_well(message: Message) -> list[bytes]:
    """The upstream that does what it is asked, as `FakeProvider` without a script does."""
    ask = dialect.read_ask(message.path.decode("latin-1"), bytes(message.body))
    if ask.stream:
        pieces = [wire.head(200, [("content-type", "text/event-stream")], script=GOOD)]
        pieces += [chunk(wire.event(event.data)) for event in dialect.stream(ask, GOOD, 0)]
        return [*pieces, last_chunk({})]
    status, value = 200, dialect.embed(ask)
    if not ask.path.endswith("/embeddings"):
        value = dialect.answer(ask, GOOD, 0)
    if ask.path.endswith("/chat/completions") and not isinstance(
        (ask.body or {}).get("messages"), list
    ):
        status, value = 400, dialect.error(400)
    body = json.dumps(value).encode()
    headers = [("content-type", "application/json")]
    return [wire.head(status, headers, script=GOOD, length=len(body)) + body]


class MemoryTransport(asyncio.Transport):
    """Where a protocol writes to; what it wrote goes to `sink`."""

    def __init__(self, sink: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        super().__init__()
        self._sink = sink
        self._lost = lost
        self.is_closed = False
        self.is_ended = False
        """The writing side is closed."""
        self.reads = True
        self.unwritten = 0
        """Bytes that the peer has not taken, as a test says."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closed and not self.is_ended:
            self._sink(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.is_ended = True

    def get_write_buffer_size(self) -> int:
        return self.unwritten

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._lost()

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default


class MemoryJournal:
    """Keeps the events; knows which attempts are still open."""

    def __init__(self) -> None:
        self.is_short = False
        self.trouble = None
        self.open: dict[str, Opened] = {}
        self.settled: list[Settled] = []
        self.twice: list[str] = []
        """Attempts that were settled without being open."""

    def append(self, event: Event) -> None:
        """As `JournalWriter.append`."""
        if type(event) is Opened:
            self.open[event.id] = event
        elif type(event) is Settled:
            if self.open.pop(event.id, None) is None:
                self.twice.append(event.id)
            self.settled.append(event)


class MemoryUpstream:
    """The other end of the plane's upstream connections."""

    def __init__(self, plane: "MemoryPlane", protocol: asyncio.Protocol) -> None:
        self._plane = plane
        self._protocol = protocol
        self._reader = MessageReader("request")
        loop = plane.loop
        self.transport = MemoryTransport(
            self._take, lambda: _discard(loop.call_soon(protocol.connection_lost, None))
        )
        protocol.connection_made(self.transport)

    def _take(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data)
        except Malformed as problem:
            self._plane.malformed.append(f"{problem}: {data!r}")
            return
        for message in messages:
            self._plane.upstream_saw.append(message)
            for piece in self._plane.answer(message):
                self._plane.loop.call_soon(self._give, piece)

    def _give(self, piece: bytes) -> None:
        if self.transport.is_closed:
            return
        if piece:
            self._protocol.data_received(piece)
        else:
            self.transport.abort()


class MemoryClient:
    """A client's connection."""

    def __init__(self, plane: "MemoryPlane") -> None:
        self._plane = plane
        self.received = bytearray()
        """All that the plane wrote."""
        self.protocol = Connection(plane.hall)
        self._is_lost = False
        self.transport = MemoryTransport(self.received.extend, self._lose)
        self.protocol.connection_made(self.transport)

    @property
    def is_over(self) -> bool:
        """The plane closed, or says that it will send no more."""
        return self.transport.is_closed or self.transport.is_ended

    def send(self, data: bytes) -> None:
        """Bytes arrive at the plane, unless it has closed."""
        if not self.transport.is_closed:
            self.protocol.data_received(data)

    def end(self) -> None:
        """The client says that it sends no more."""
        if not self.transport.is_closed and not self.protocol.eof_received():
            self.transport.close()

    def leave(self) -> None:
        """The client goes away."""
        if not self.transport.is_closed:
            self.transport.is_closed = True
            self._lose()

    def answers(self, methods: Iterable[bytes] = ()) -> list[Message]:
        """What the plane wrote, read strictly; the last one may be incomplete."""
        reader = MessageReader("response")
        reader.methods.extend(methods)
        messages = reader.feed(bytes(self.received))
        if reader.current is not None:
            messages.append(reader.current)
        return messages

    def _lose(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._plane.loop.call_soon(self.protocol.connection_lost, None)


class MemoryPlane:
    """The hall of one worker with one route `fake`, one tenant, one key."""

    def __init__(
        self,
        answer: Answer,
        *,
        limits: HttpLimits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self.answer = answer
        """The upstream: from a request to the pieces that come back; an empty piece closes."""
        self.loop = _MemoryLoop(self)
        self.clock = FakeClock()
        self.journal = MemoryJournal()
        self.upstream_saw: list[Message] = []
        self.malformed: list[str] = []
        """What the plane sent upstream that is not proper HTTP."""
        self.errors: list[str] = []
        """Exceptions that reached the event loop."""
        self.told: list[FromWorker] = []
        self.loop.set_exception_handler(self._note)
        self.hall = Hall(
            loop=self.loop,
            clock=Clock(self.clock.monotonic, self.clock.wall),
            ids=RequestIds(now=self.clock.wall()),
            journal=self.journal,
            tell=self.told.append,
        )
        minted = mint()
        self.key = minted.token
        self.hall.apply(_snapshot(minted.id, minted.token, limits, timeouts))

    def connect(self) -> MemoryClient:
        """A client connects."""
        return MemoryClient(self)

    def turn(self, times: int = 4) -> None:
        """Let the event loop go round; four times carry a request there and back."""
        self.loop.run_until_complete(_turns(times))

    def wait(self, seconds: float) -> None:
        """Let time pass; deadlines are looked at."""
        self.clock.advance(seconds)
        self.hall.sweep()
        self.turn()

    def close(self) -> None:
        """End; nothing may be left."""
        self.hall.close()
        self.turn()
        self.loop.close()

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")


class _MemoryLoop(asyncio.SelectorEventLoop):
    """An event loop whose connections lead to the plane's upstream."""

    def __init__(self, plane: MemoryPlane) -> None:
        super().__init__()
        self._plane = plane

    async def create_connection(  # type: ignore[override]  # the one call that the pool makes
        self, protocol_factory: Callable[[], asyncio.Protocol], *_: Any, **__: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        protocol = protocol_factory()
        return MemoryUpstream(self._plane, protocol).transport, protocol


def _discard(_: object) -> None:
    """For lambdas that must answer nothing."""


async def _turns(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def _snapshot(
    key_id: str, token: str, limits: HttpLimits | None, timeouts: Timeouts | None
) -> Snapshot:
    key = Credential("fake#1", (("authorization", f"Bearer {UPSTREAM_KEY}"),))
    target = TargetInfo("fake/fake", "provider", "upstream", 80, "/v1", "fake", credentials=(key,))
    route = RouteInfo(
        model="fake",
        groups=((Placed("fake/fake"),),),
        spec=RouteSpec(
            targets=[],
            timeouts=timeouts or Timeouts(),
            retries=Retries(most=1),
            breaker=Breaker(failures=2**31, share=1.0, volume=2**31),
            reserve_output=16,
        ),
    )
    return Snapshot(
        plane="memory",
        version=1,
        listen=Listen(),
        limits=limits or HttpLimits(),
        drain_s=1.0,
        pepper=_PEPPER,
        tenants=(TenantRecord(name="acme"),),
        keys=(KeyRecord(id=key_id, tenant="acme", digest=digest_of(token.encode(), _PEPPER)),),
        targets=(target,),
        routes=(route,),
    )
