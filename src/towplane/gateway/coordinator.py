"""The plane process's side of limits and budgets: owns the pools, grants units to workers.

Wires `tenants.leases` and `tenants.priorities` to the workers' messages. A pool is made when a
worker first needs it; one that counts over a day, a month or for good starts from what the ledger
says was used in its window. Needs of one pool are answered in the order of their priority; a need
with patience stands in the queue until there are units. Knows no socket: messages come in through
`hear` and go out through `tell`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from towplane.gateway.messages import Granted, Need, ProviderInfo, Recall, Returned, RouteInfo
from towplane.gateway.spill import overflow_budget
from towplane.parts.clock import Clock
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.leases import Measure, Pool
from towplane.tenants.measures import MEASURES, mode_of, used_of
from towplane.tenants.priorities import LOW, RESERVE_RATIO, Waiting, WaitingNeed
from towplane.tenants.spec import Budget, Limits
from towplane.tenants.windows import Account, Used, end_of

__all__ = ["Coordinator", "Spent"]

RECALL_WAIT_S = 1.0
"""A worker that does not answer a recall by then is taken to hold nothing unused."""

_LONGEST_STREAM_S = 3600.0
"""A pool is kept so long after its window, for requests that began in it."""
_NO_LIMIT = 2**62
_Kind = Literal["tenant", "project", "key", "provider", "overflow"]

Tell = Callable[[int, Granted | Recall], None]
Spent = Callable[[Account, str], Awaitable[tuple[Used, dict[str, Used]]]]
"""What an account used in a window: in all, and of it by each journal."""


@dataclass(slots=True)
class _Recalling:
    """A need that waits for what other workers hold unused."""

    need: WaitingNeed
    missing: set[int]
    since: float


@dataclass(slots=True)
class _Entry:
    account: Account
    measure: Measure
    window: str
    pool: Pool | None = None
    before: dict[str, Used] = field(default_factory=dict)
    """What each worker had used before the pool was made: it is in the pool's start already."""
    waiting: Waiting = field(default_factory=Waiting)
    """Needs that wait for the pool to be made, for a recall, or for units."""
    recalling: _Recalling | None = None
    making: "asyncio.Task[None] | None" = None


class Coordinator:
    """Grants units of every limit to the workers."""

    def __init__(self, *, clock: Clock, tell: Tell, spent: Spent | None = None) -> None:
        self._clock = clock
        self._tell = tell
        self.spent = spent
        """Asked when the pool of a window is made; set before the first worker serves."""
        self._tenants: Mapping[str, TenantRecord] = {}
        self._keys: Mapping[str, KeyRecord] = {}
        self._providers: Mapping[str, ProviderInfo] = {}
        self._overflow: Mapping[str, Budget] = {}
        self._entries: dict[str, _Entry] = {}
        self._workers: dict[int, str] = {}

    def apply(
        self,
        tenants: Iterable[TenantRecord],
        keys: Iterable[KeyRecord],
        providers: Iterable[ProviderInfo] = (),
        routes: Iterable[RouteInfo] = (),
    ) -> None:
        """Limits and budgets as they hold from now on."""
        self._overflow = {route.model: overflow_budget(route) for route in routes}
        self._providers = {provider.name: provider for provider in providers}
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._keys = {key.id: key for key in keys}
        for entry in self._entries.values():
            if entry.pool is not None:
                entry.pool.limit = self._limit(entry.account, entry.measure)

    def worker_started(self, worker: int, incarnation: str) -> None:
        """A worker may ask from now on; `incarnation` is the name of its journal."""
        self._workers[worker] = incarnation

    def worker_died(self, worker: int, used: Mapping[tuple[Account, str], Used]) -> None:
        """A worker is gone and its journal is in the ledger; `used` is what it used there."""
        incarnation = self._workers.pop(worker, "")
        for entry in tuple(self._entries.values()):
            for need in entry.waiting:
                if need.worker == worker:
                    entry.waiting.remove(need)
            if entry.pool is not None:
                here = used.get((entry.account, entry.window), _NOTHING)
                before = entry.before.get(incarnation, _NOTHING)
                spent = used_of(entry.measure, here) - used_of(entry.measure, before)
                if entry.account.kind == "overflow":  # no journal is summed by routes: all of it
                    spent = entry.pool.held.get(worker, 0)
                entry.pool.worker_died(worker, spent=spent)
            if entry.recalling is not None:
                entry.recalling.missing.discard(worker)
                if entry.recalling.need.worker == worker:
                    entry.recalling = None
        for name in tuple(self._entries):
            self._go_on(name)

    def hear(self, worker: int, message: Need | Returned) -> None:
        """A worker needs units, or gives some back."""
        entry = self._entry(message.pool)
        now = self._clock.monotonic()
        if isinstance(message, Need):
            entry.waiting.add(
                WaitingNeed(
                    worker,
                    message.amount,
                    now,
                    rank=message.rank,
                    tenant=message.tenant,
                    wait_s=message.wait_s,
                    serial=message.serial,
                )
            )
        else:
            if entry.pool is not None and message.amount:
                entry.pool.give_back(worker, message.amount, now, age_s=message.age_s)
            if message.recalled and entry.recalling is not None:
                entry.recalling.missing.discard(worker)
        self._go_on(message.pool)

    def sweep(self) -> None:
        """Give up on recalls that nobody answers, serve who waits for time to pass, forget pools
        whose window is over, and ask the ledger again if it could not say what was used."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for name, entry in tuple(self._entries.items()):
            if entry.pool is None and entry.making is not None and entry.making.done():
                self._start_making(name, entry)
            recalling = entry.recalling
            if recalling is not None and now - recalling.since > RECALL_WAIT_S:
                recalling.missing.clear()
            if entry.waiting:
                self._go_on(name)
            if entry.pool is not None and wall > entry.pool.ends_at + _LONGEST_STREAM_S:
                del self._entries[name]

    def waiting(self) -> int:
        """Needs in all queues."""
        return sum(1 for entry in self._entries.values() for _ in entry.waiting)

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            account, measure, window = name.rsplit("/", 2)
            kind, _, who = account.partition("/")
            entry = self._entries[name] = _Entry(
                Account(cast(_Kind, kind), who),
                cast(Measure, measure),  # pool names are our workers' own
                window,
            )
            self._start_making(name, entry)
        return entry

    def _start_making(self, name: str, entry: _Entry) -> None:
        entry.making = asyncio.get_running_loop().create_task(self._make(name, entry))

    async def _make(self, name: str, entry: _Entry) -> None:
        spent = 0
        if entry.window:
            assert self.spent is not None
            used, entry.before = await self.spent(entry.account, entry.window)
            spent = used_of(entry.measure, used)
        entry.pool = Pool(
            entry.measure,
            self._limit(entry.account, entry.measure),
            spent=spent,
            ends_at=end_of(entry.window) if entry.window else math.inf,
            reserve_ratio=self._reserve(entry.account),
            is_lent_thin=entry.account.kind == "overflow",
        )
        self._go_on(name)

    def _go_on(self, name: str) -> None:
        """Answer the needs of a pool in their order, as far as that is possible now."""
        entry = self._entries.get(name)
        if entry is None or entry.pool is None:
            return
        now = self._clock.monotonic()
        if entry.recalling is not None:
            if entry.recalling.missing:
                return
            entry.recalling.need.is_recalled = True
            entry.recalling = None
        while (need := entry.waiting.first(now)) is not None:
            if self._grant(name, entry, need, now):
                continue
            others = {w for w in self._workers if w != need.worker and entry.pool.held.get(w)}
            if others and not need.is_recalled:
                entry.recalling = _Recalling(need, others, now)
                for other in others:
                    self._tell(other, Recall(name))
                return
            if need.until > now:
                need.is_recalled = False  # by the next sweep others may hold something unused
                break
            self._refuse(name, entry, need, now)
        for need in entry.waiting:  # behind one that has patience: nobody overtakes it
            if need.until <= now:
                self._refuse(name, entry, need, now)

    def _grant(self, name: str, entry: _Entry, need: WaitingNeed, now: float) -> bool:
        assert entry.pool is not None
        granted = entry.pool.grant(
            need.worker,
            need.amount,
            now,
            workers=len(self._workers),
            is_low=need.rank_at(now) == LOW,
        )
        if granted:
            entry.waiting.serve(need)
            self._tell(need.worker, Granted(name, granted, serial=need.serial))
        return bool(granted)

    def _refuse(self, name: str, entry: _Entry, need: WaitingNeed, now: float) -> None:
        assert entry.pool is not None
        entry.waiting.remove(need)
        after_s = entry.pool.retry_after_s(need.amount, now, self._clock.wall())
        self._tell(need.worker, Granted(name, 0, after_s, need.serial))

    def _limit(self, account: Account, measure: Measure) -> int:
        """The limit that holds now; 0 for an account that is gone, so that nothing is granted."""
        if account.kind == "provider":
            provider = self._providers.get(account.name)
            limits, budget = Limits() if provider is None else provider.limits, Budget()
        elif account.kind == "overflow":
            limits, budget = Limits(), self._overflow.get(account.name, Budget())
        else:
            holder = self._holder(account)
            if holder is None:
                return 0
            limits, budget = holder
        found = MEASURES[measure].limit(limits, budget)
        if found is None or mode_of(measure, limits, budget) == "soft":
            return _NO_LIMIT  # the limit was lifted
        return found

    def _reserve(self, account: Account) -> float:
        """The share of a limit that low priorities leave to the others."""
        provider = self._providers.get(account.name) if account.kind == "provider" else None
        return RESERVE_RATIO if provider is not None and not provider.is_engine else 0.0

    def _holder(self, account: Account) -> tuple[Limits, Budget] | None:
        if account.kind == "project":
            owner, _, name = account.name.partition("/")
            tenant = self._tenants.get(owner)
            project = tenant.projects.get(name) if tenant is not None else None
            return None if project is None else (project.limits, project.budget)
        holder = (self._tenants if account.kind == "tenant" else self._keys).get(account.name)
        return None if holder is None else (holder.limits, holder.budget)


_NOTHING = Used()
