"""A worker in memory, moved by hand: a real hall, and a journal that allows no wrong book-keeping.

Messages to and from the coordinator wait in their channels until the fleet carries them. What
reaches the journal, an upstream or a client is noted in `effects`, in its order. No socket, disk or
clock.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from towplane.gateway.hall import Hall
from towplane.gateway.messages import FromWorker, Granted, Recall, Snapshot
from towplane.parts.clock import Clock
from towplane.parts.errors import PlaneError
from towplane.parts.ids import RequestIds
from towplane.tenants.events import Event, Opened, Settled
from towplane.tenants.windows import Account, Used, windows_at
from towplane.testing.played import Client, Effect, Upstream

if TYPE_CHECKING:
    from towplane.testing.fleet import Fleet

__all__ = ["Journal", "Worker"]


class Journal:
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
        self.journal = Journal(self.effects)
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
            journal=self.journal,
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
