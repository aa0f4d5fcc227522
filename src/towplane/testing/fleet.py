"""Some workers in memory and their coordinator, moved by hand, with tenants, targets and a route.

Nothing happens by itself. The event loop goes round in `turn`; messages between workers and the
coordinator wait in their channels until `turn` or `carry_from` carries them; time passes in `wait`.
No socket, disk or clock.
"""

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

from towplane.document.plane import HttpLimits
from towplane.gateway.coordinator import Coordinator
from towplane.gateway.hall import SWEEP_S
from towplane.gateway.messages import (
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
from towplane.providers.adapter import Credential
from towplane.routing.spec import Breaker, Retries, RouteSpec, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.keys import KeyRecord, Minted, TenantRecord, digest_of, mint
from towplane.tenants.spec import Budget, Limits
from towplane.tenants.windows import Account, Used, windows_at
from towplane.testing.clock import FakeClock
from towplane.testing.hall import Journal, Worker
from towplane.testing.played import Client

__all__ = ["Fleet", "route", "target"]

_PEPPER = b"p" * 32


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
        self.ledger: dict[str, Journal] = {}
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

    @classmethod
    def of(
        cls, info: RouteInfo, *, price: tuple[int, int, int] | None = None, **more: Any
    ) -> "Fleet":
        """One route and the targets that it names, all at one price."""
        hosts = [placed.target.partition("/")[0] for group in info.groups for placed in group]
        return cls(info, targets=[target(host, price=price) for host in hosts], **more)

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

    def ask(self, **fields: Any) -> Client:
        """A new client asks the first worker; see `Client.ask`."""
        client = self.worker.connect()
        client.ask(**fields)
        self.turn()
        return client

    def asked(self) -> list[str]:
        """The hosts of the attempts that the first worker has made, in order."""
        return [one.target.partition("/")[0] for one in self.worker.events(Opened)]

    def attempts(self) -> list[tuple[str, str]]:
        """The same with their causes."""
        return [(one.target.partition("/")[0], one.cause) for one in self.worker.events(Opened)]

    def close(self) -> None:
        """End; nothing may be left behind."""
        for worker in self.workers.values():
            worker.hall.close()
        self.turn()
        self.loop.close()

    def over(self) -> None:
        """Every walk ends so: nothing runs, nothing is held, every attempt is settled once, and one
        of a request's attempts at most decided what its client saw."""
        self.close()
        assert self.errors == []
        for worker in self.workers.values():
            hall = worker.hall
            assert not hall.exchanges
            assert not hall.connections
            assert set(worker.journal.opened) == set(worker.journal.settled)
            assert not any(state.in_flight for state in hall.targets.values())
            assert not any(state.counters.in_flight for state in hall.routes.values())
            decided: Counter[str] = Counter()
            for id, end in worker.journal.settled.items():
                decided[id.partition(".")[0]] += end.final
            assert set(decided.values()) <= {1}

    def _tell(self, number: int, message: Granted | Recall) -> None:
        worker = self.workers.get(number)
        if worker is not None:
            worker.coming.append(message)

    async def _spent(self, account: Account, window: str) -> tuple[Used, dict[str, Used]]:
        by_worker = {name: book.used(account, window) for name, book in self.ledger.items()}
        return reduce(Used.plus, by_worker.values(), Used()), by_worker


def _key(minted: Minted) -> KeyRecord:
    return KeyRecord(id=minted.id, tenant="acme", digest=digest_of(minted.token.encode(), _PEPPER))
