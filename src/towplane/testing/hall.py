"""Workers in memory, moved by hand: real halls, a real coordinator, upstreams that a test plays.

Nothing happens by itself. A client's bytes go in through `Client.send`, an upstream's through
`Upstream.give`; the event loop goes round in `turn`; messages between workers and the coordinator
wait in their channels until `turn` or `deliver` carries them; time passes in `wait`. What reaches
the journal, an upstream or a client is noted in `effects`, in its order. No socket, disk or clock.
"""

import asyncio
import json
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any, Literal, NamedTuple, cast

from towplane.document.plane import HttpLimits
from towplane.gateway.connection import Connection
from towplane.gateway.coordinator import Coordinator
from towplane.gateway.hall import SWEEP_S, Hall
from towplane.gateway.messages import (
    FromWorker,
    Granted,
    Listen,
    Need,
    Placed,
    PricedFrom,
    ProviderInfo,
    Recall,
    Returned,
    RouteInfo,
    Snapshot,
    TargetInfo,
)
from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError
from towplane.parts.ids import RequestIds
from towplane.providers.adapter import Credential
from towplane.routing.spec import Breaker, Retries, RouteSpec, Timeouts
from towplane.tenants.events import Event, Opened, Settled
from towplane.tenants.journal import JournalWriter
from towplane.tenants.keys import KeyRecord, Minted, TenantRecord, digest_of, mint
from towplane.tenants.spec import Budget, Limits
from towplane.tenants.windows import Account, Used, windows_at
from towplane.testing.clock import FakeClock
from towplane.testing.framing import Message, MessageReader
from towplane.testing.memory import MemoryTransport

__all__ = [
    "DONE", "LAST", "STREAM", "Client", "Effect", "Fleet", "Upstream", "Worker", "chunk", "delta",
    "event", "post", "route", "target", "usage", "whole",
]  # fmt: skip

STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
"""The head of an upstream's stream."""
DONE = b"data: [DONE]\n\n"
LAST = b"0\r\n\r\n"
"""The last chunk."""
_PEPPER = b"p" * 32


class Effect(NamedTuple):
    """Something that left the line."""

    where: Literal["journal", "upstream", "client"]
    what: Event | bytes


def target(
    name: str, *, price: tuple[int, int, int] | None = None, keys: Sequence[str] = (), **more: Any
) -> TargetInfo:
    """A target `name/m` at the host `name`, with a pool of these keys."""
    prices = () if price is None else (PricedFrom(0.0, price),)
    pool = tuple(
        Credential(f"{name}#{number}", (("authorization", f"Bearer {key}"),))
        for number, key in enumerate(keys, start=1)
    )
    return TargetInfo(
        f"{name}/m", "provider", name, 80, "/v1", "m", prices=prices, credentials=pool, **more
    )


def route(
    model: str,
    *groups: Sequence[str],
    choose: str = "round-robin",
    timeouts: Timeouts | None = None,
    retries: Retries | None = None,
    breaker: Breaker | None = None,
    reserve_output: int = 100,
    **spec: Any,
) -> RouteInfo:
    """A route over targets by the names of their hosts; each group after the first is a fallback.

    Unless told otherwise no breaker opens and no retry is denied.
    """
    return RouteInfo(
        model=model,
        groups=tuple(tuple(Placed(f"{n}/m") for n in group) for group in groups),
        spec=RouteSpec(
            targets=[],
            choose=choose,
            timeouts=timeouts or Timeouts(),
            retries=retries or Retries(floor=1000.0),
            breaker=breaker or Breaker(failures=2**31, volume=2**31),
            reserve_output=reserve_output,
            **spec,
        ),
    )


def post(
    key: str,
    fields: dict[str, Any],
    *,
    path: str = "/v1/chat/completions",
    version: str = "1.1",
    headers: str = "",
) -> bytes:
    """A request as a client sends it; `headers` are lines with their ends."""
    body = json.dumps(fields).encode()
    head = (
        f"POST {path} HTTP/{version}\r\nhost: plane\r\nauthorization: Bearer {key}\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def whole(value: Any, status: int = 200, headers: str = "") -> bytes:
    """An upstream's answer in one piece; bytes are its body as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = (
        f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n{headers}\r\n"
    )
    return head.encode() + body


def chunk(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Any) -> bytes:
    """One SSE event as compact JSON; bytes are its data as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return b"data: %b\n\n" % data


def delta(text: str | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk of a chat stream with one choice."""
    content = {} if text is None else {"content": text}
    return {"choices": [{"index": 0, "delta": content | fields, "finish_reason": finish}]}


def usage(prompt: int, output: int, cached: int | None = None) -> dict[str, Any]:
    """Usage as the wire has it."""
    found: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": output}
    if cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": cached}
    return found


class Upstream:
    """The far end of one connection to an upstream."""

    def __init__(self, worker: "Worker", host: str, protocol: asyncio.Protocol) -> None:
        self.host = host
        self.requests: list[Message] = []
        self._worker = worker
        self._protocol = protocol
        self._reader = MessageReader("request")
        self.transport = MemoryTransport(self._take, self._lose)
        protocol.connection_made(self.transport)

    def give(self, *pieces: bytes) -> None:
        """Bytes arrive at the plane, each piece as one read; none once it has closed."""
        for piece in pieces:
            if not self.transport.is_closed:
                self._protocol.data_received(piece)
        self._worker.fleet.turn(1)

    def close(self, error: Exception | None = None) -> None:
        """The upstream closes, or resets with an error."""
        if not self.transport.is_closed:
            self.transport.is_closed = True
            self._protocol.connection_lost(error)
            self._worker.fleet.turn(1)

    def _take(self, data: bytes) -> None:
        self._worker.effects.append(Effect("upstream", data))
        self.requests += self._reader.feed(data)

    def _lose(self) -> None:
        self._worker.loop.call_soon(self._protocol.connection_lost, None)


class Client:
    """A client's connection to one worker."""

    def __init__(self, worker: "Worker") -> None:
        self._worker = worker
        self.received = bytearray()
        """All that the plane wrote."""
        self.protocol = Connection(worker.hall)
        self.transport = MemoryTransport(self._take, self._lose)
        self.protocol.connection_made(self.transport)

    @property
    def is_over(self) -> bool:
        """The plane closed, or says that it will send no more."""
        return self.transport.is_closed or self.transport.is_ended

    def send(self, data: bytes) -> None:
        """Bytes arrive at the plane, unless it has closed."""
        if not self.transport.is_closed:
            self.protocol.data_received(data)
            self._worker.fleet.turn(1)

    def ask(self, **fields: Any) -> None:
        """A chat request for the model `m`; `fields` are added to its body."""
        self.send(post(self._worker.fleet.key, {"model": "m", "messages": []} | fields))

    def leave(self) -> None:
        """The client goes away."""
        if not self.transport.is_closed:
            self.transport.is_closed = True
            self.protocol.connection_lost(None)

    def answers(self, methods: Sequence[bytes] = ()) -> list[Message]:
        """What the plane wrote, read strictly; the last one may be incomplete."""
        reader = MessageReader("response")
        reader.methods.extend(methods)
        messages = reader.feed(bytes(self.received))
        if self.is_over and reader.current is not None and reader.current.close:
            with_end = _end(reader)
            messages += with_end
        elif reader.current is not None:
            messages.append(reader.current)
        return messages

    def answer(self) -> Message:
        """The only answer."""
        (found,) = self.answers()
        return found

    def _take(self, data: bytes) -> None:
        self._worker.effects.append(Effect("client", data))
        self.received += data

    def _lose(self) -> None:
        self._worker.loop.call_soon(self.protocol.connection_lost, None)


class _Journal:
    """Notes events as effects; knows which attempts are open."""

    def __init__(self, effects: list[Effect]) -> None:
        self.is_short = False
        self.trouble: PlaneError | None = None
        self.opened: dict[str, Opened] = {}
        self.settled: dict[str, Settled] = {}
        self._effects = effects

    def append(self, event: Event) -> None:
        """As `JournalWriter.append`; what may not happen fails at once."""
        self._effects.append(Effect("journal", event))
        if type(event) is Opened:
            assert event.id not in self.opened
            self.opened[event.id] = event
        elif type(event) is Settled:
            assert event.id in self.opened, "settled without being open"
            assert event.id not in self.settled, "settled twice"
            self.settled[event.id] = event

    def used(self, account: Account, window: str) -> Used:
        """What an account used in a window, by its settled attempts."""
        found = Used()
        for event in self.settled.values():
            opened = self.opened[event.id]
            whose = opened.key if account.kind == "key" else opened.tenant
            if whose == account.name.partition("/")[0] and window in windows_at(opened.at):
                tokens = (event.input or 0) + (event.output or 0)
                is_first = int(event.id.endswith(".1"))
                found = found.plus(Used(is_first, tokens, event.cost_nanousd or 0))
        return found


class Worker:
    """One hall, its journal, and its two ends of the channel to the coordinator."""

    def __init__(self, fleet: "Fleet", number: int) -> None:
        self.number = number
        self.fleet = fleet
        self.loop = fleet.loop
        self.clock = fleet.clock
        self.effects: list[Effect] = []
        self.journal = _Journal(self.effects)
        self.clients: list[Client] = []
        self.upstreams: list[Upstream] = []
        """Every connection that was made, in order."""
        self.sent: deque[FromWorker] = deque()
        """On their way to the coordinator."""
        self.coming: deque[Granted | Recall | Snapshot] = deque()
        """On their way to the hall."""
        ids = RequestIds(now=fleet.clock.wall())
        self.incarnation = ids.prefix
        self.timers = _WorkerLoop(self)
        self.hall = Hall(
            loop=cast(asyncio.AbstractEventLoop, self.timers),
            clock=Clock(fleet.clock.monotonic, fleet.clock.wall),
            ids=ids,
            journal=cast(JournalWriter, self.journal),
            tell=self.sent.append,
        )
        self.hall.random = lambda: 0.5  # the same order of events gives the same outcome

    def connect(self) -> Client:
        """A client connects."""
        client = Client(self)
        self.clients.append(client)
        return client

    def upstream(self, host: str | None = None) -> Upstream:
        """The connection over which the last request went (to `host`, if given)."""
        return next(
            up
            for up in reversed(self.upstreams)
            if up.requests and host in (None, up.host) and not up.transport.is_closed
        )

    def hear(self) -> None:
        """Hand the next message of the coordinator to the hall."""
        message = self.coming.popleft()
        match message:
            case Granted():
                self.hall.granted(message)
            case Recall():
                self.hall.recalled(message.pool)
            case Snapshot():
                self.hall.apply(message)

    def events(self, kind: type[Any]) -> list[Any]:
        """The events of a kind in the journal."""
        return [effect.what for effect in self.effects if type(effect.what) is kind]


class Fleet:
    """Some workers and their coordinator, with tenants, targets and routes."""

    def __init__(
        self,
        *routes: RouteInfo,
        targets: Sequence[TargetInfo],
        limits: Limits | None = None,
        budget: Budget | None = None,
        http: HttpLimits | None = None,
        workers: int = 1,
        carries: bool = True,
        wall_s: float = 1_800_000_000.0,
        providers: Sequence[ProviderInfo] = (),
        **tenant: Any,
    ) -> None:
        """`limits`, `budget` and `tenant` are those of the one tenant, `acme`. `carries`: messages
        to and from the coordinator are delivered whenever the loop turns."""
        self.clock = FakeClock(wall_s=wall_s)
        self.loop = asyncio.SelectorEventLoop()
        weakref.finalize(self, self.loop.close)  # also of a test that fails
        self.errors: list[str] = []
        """Exceptions that reached the event loop."""
        errors = self.errors  # the loop, which outlives a test that fails, holds nothing else
        self.loop.set_exception_handler(
            lambda _, context: errors.append(f"{context.get('exception')!r}: {context}")
        )
        self.refusing: set[str] = set()
        """Hosts that refuse connections."""
        self.hanging: set[str] = set()
        """Hosts that never answer a connection."""
        self.carries = carries
        self.ledger: dict[str, _Journal] = {}
        """The journals of all workers, dead ones included, by incarnation."""
        self.coordinator = Coordinator(
            clock=Clock(self.clock.monotonic, self.clock.wall), tell=self._tell, spent=self._spent
        )
        minted = mint()
        self.key = minted.token
        self.workers: dict[int, Worker] = {}
        self._next = 0
        self.snapshot = Snapshot(
            plane="memory",
            version=1,
            listen=Listen(),
            limits=http or HttpLimits(),
            drain_s=1.0,
            pepper=_PEPPER,
            tenants=(
                TenantRecord(
                    name="acme", limits=limits or Limits(), budget=budget or Budget(), **tenant
                ),
            ),
            keys=(_key(minted),),
            targets=tuple(targets),
            routes=routes,
            providers=tuple(providers),
        )
        self._tell_coordinator()
        for _ in range(workers):
            self.start()

    @property
    def worker(self) -> Worker:
        """The first worker that lives."""
        return next(iter(self.workers.values()))

    def start(self) -> Worker:
        """One more worker."""
        self._next += 1
        worker = self.workers[self._next] = Worker(self, self._next)
        self.ledger[worker.incarnation] = worker.journal
        worker.hall.apply(self.snapshot)
        self.coordinator.worker_started(worker.number, worker.incarnation)
        return worker

    def kill(self, worker: Worker) -> dict[str, Opened]:
        """A worker dies: what it had said is heard, its journal is folded, its units come back.

        Answers what it left open, settled here at its reserve as recovery would.
        """
        self.carry_from(worker)
        del self.workers[worker.number]
        journal = worker.journal
        left = {id: one for id, one in journal.opened.items() if id not in journal.settled}
        for id, opened in left.items():
            cost = opened.reserved_nanousd
            journal.append(
                Settled(
                    id,
                    self.clock.wall(),
                    "crashed",
                    "estimated",
                    input=opened.input_estimate,
                    output=opened.output_limit,
                    cost_nanousd=cost,
                )
            )
        names = {Account("tenant", o.tenant) for o in journal.opened.values()}
        names |= {Account("key", o.key) for o in journal.opened.values()}
        names |= {Account("project", f"{t.name}/{p}") for t in self.snapshot.tenants
                  for p in t.projects}  # fmt: skip
        windows = {w for o in journal.opened.values() for w in windows_at(o.at)}
        used = {(name, w): journal.used(name, w) for name in names for w in windows}
        self.inside(lambda: self.coordinator.worker_died(worker.number, used))
        return left

    def reload(self, **changed: Any) -> None:
        """A new snapshot; `limits` and `budget` are the tenant's."""
        tenant = self.snapshot.tenants[0]
        known = {name: changed.pop(name) for name in ("limits", "budget") if name in changed}
        if known:
            fields = {name: getattr(tenant, name) for name in tenant.__struct_fields__}
            changed["tenants"] = (TenantRecord(**(fields | known)),)
        fields = {name: getattr(self.snapshot, name) for name in self.snapshot.__struct_fields__}
        fields["version"] += 1
        self.snapshot = Snapshot(**(fields | changed))
        self._tell_coordinator()
        for worker in self.workers.values():
            worker.coming.append(self.snapshot)

    def _tell_coordinator(self) -> None:
        now = self.snapshot
        self.coordinator.apply(now.tenants, now.keys, now.providers, now.routes)

    def carry_from(self, worker: Worker, most: int = 10**9) -> None:
        """Messages of a worker reach the coordinator."""
        while worker.sent and most:
            most -= 1
            message = worker.sent.popleft()
            if isinstance(message, Need | Returned):
                self.inside(partial(self.coordinator.hear, worker.number, message))

    def carry_all(self) -> None:
        """All messages arrive, and the answers to them."""
        rounds = 0
        while any(w.sent or w.coming for w in self.workers.values()):
            rounds += 1
            assert rounds < 1000, "the workers and their coordinator talk without end"
            for worker in tuple(self.workers.values()):
                self.carry_from(worker)
                while worker.coming:
                    worker.hear()

    def turn(self, times: int = 3) -> None:
        """Let the event loop go round: dials, closings, next requests of a pipeline."""
        for _ in range(times):
            self.loop.run_until_complete(asyncio.sleep(0))
            if self.carries:
                self.carry_all()

    def wait(self, seconds: float, *, step_s: float = 10 * SWEEP_S) -> None:
        """Let time pass, with sweeps on the way."""
        while seconds > 0:
            step = min(step_s, seconds)
            seconds -= step
            self.clock.advance(step)
            for worker in self.workers.values():
                worker.timers.ring()
                worker.hall.sweep()
            self.inside(self.coordinator.sweep)
            self.turn()

    def inside(self, work: Callable[[], None]) -> None:
        """Do something that needs a running event loop."""

        async def run() -> None:
            work()

        self.loop.run_until_complete(run())

    def close(self) -> None:
        """End; nothing may be left behind."""
        for worker in self.workers.values():
            worker.hall.close()
        self.turn()
        self.loop.close()

    def _tell(self, number: int, message: Granted | Recall) -> None:
        worker = self.workers.get(number)
        if worker is not None:
            worker.coming.append(message)

    async def _spent(self, account: Account, window: str) -> tuple[Used, dict[str, Used]]:
        by_worker = {name: book.used(account, window) for name, book in self.ledger.items()}
        return reduce(Used.plus, by_worker.values(), Used()), by_worker


class _WorkerLoop:
    """The event loop as one worker sees it: connections lead to the played upstreams."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.call_soon = worker.loop.call_soon
        self.create_task = worker.loop.create_task
        self._timers: list[tuple[float, asyncio.Handle]] = []

    def call_later(self, delay: float, what: Callable[..., object], *args: Any) -> asyncio.Handle:
        """Called when the clock has moved on so far, at the next sweep."""
        handle = asyncio.Handle(what, args, self._worker.loop)
        self._timers.append((self._worker.clock.monotonic() + delay, handle))
        return handle

    def ring(self) -> None:
        """Call what is due."""
        now = self._worker.clock.monotonic()
        due = [handle for at, handle in self._timers if at <= now]
        self._timers = [(at, handle) for at, handle in self._timers if at > now]
        for handle in due:
            if not handle.cancelled():
                handle._run()

    async def create_connection(
        self, factory: Callable[[], asyncio.Protocol], host: str, *_: Any, **__: Any
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Refused, never answered, or a new `Upstream`."""
        fleet = self._worker.fleet
        if host in fleet.refusing:
            raise ConnectionRefusedError(f"{host} refuses")
        if host in fleet.hanging:
            await fleet.loop.create_future()
        upstream = Upstream(self._worker, host, factory())
        self._worker.upstreams.append(upstream)
        return upstream.transport, upstream._protocol


def _key(minted: Minted) -> KeyRecord:
    return KeyRecord(id=minted.id, tenant="acme", digest=digest_of(minted.token.encode(), _PEPPER))


def _end(reader: MessageReader) -> list[Message]:
    """The message that the end of the connection completes; a broken one stays incomplete."""
    current = reader.current
    assert current is not None
    if any(name in dict(current.headers) for name in (b"content-length", b"transfer-encoding")):
        return [current]
    return reader.end()
