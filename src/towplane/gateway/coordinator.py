"""The plane process's side of limits and budgets: owns the pools, grants units to workers.

Wires `tenants.leases` to the workers' messages. A pool is made when a worker first needs it; a
budget's pool starts from what the ledger says was spent in its window. Knows no socket: messages
come in through `hear` and go out through `tell`.
"""

import asyncio
import calendar
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from towplane.gateway.messages import Granted, Need, ProviderInfo, Recall, Returned
from towplane.parts.clock import Clock
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.leases import Measure, Pool
from towplane.tenants.windows import Account

__all__ = ["Coordinator"]

RECALL_WAIT_S = 1.0
"""A worker that does not answer a recall by then is taken to hold nothing unused."""

_LONGEST_STREAM_S = 3600.0
"""A pool is kept so long after its window, for requests that began in it."""

Tell = Callable[[int, Granted | Recall], None]
Spent = Callable[[Account, str], Awaitable[tuple[int, dict[str, int]]]]
"""What an account spent in a window: in all, and of it by each journal."""

_BUDGETS: tuple[Measure, ...] = ("daily", "monthly", "total")


@dataclass(slots=True)
class _Recalling:
    """A need that waits for what other workers hold unused."""

    worker: int
    amount: int
    missing: set[int]
    since: float


@dataclass(slots=True)
class _Entry:
    account: Account
    measure: Measure
    window: str
    pool: Pool | None = None
    before: dict[str, int] = field(default_factory=dict)
    """What each worker had spent before the pool was made: it is in the pool's start already."""
    queue: deque[tuple[int, int]] = field(default_factory=deque)
    """Needs that wait for the pool to be made, or for a recall: worker, amount."""
    recalling: _Recalling | None = None
    making: "asyncio.Task[None] | None" = None


class Coordinator:
    """Grants units of every limit to the workers."""

    def __init__(self, *, clock: Clock, tell: Tell, spent: Spent | None = None) -> None:
        self._clock = clock
        self._tell = tell
        self.spent = spent
        """Asked when a budget's pool is made; set before the first worker serves."""
        self._tenants: Mapping[str, TenantRecord] = {}
        self._keys: Mapping[str, KeyRecord] = {}
        self._providers: Mapping[str, ProviderInfo] = {}
        self._entries: dict[str, _Entry] = {}
        self._workers: dict[int, str] = {}

    def apply(
        self,
        tenants: Iterable[TenantRecord],
        keys: Iterable[KeyRecord],
        providers: Iterable[ProviderInfo] = (),
    ) -> None:
        """Limits and budgets as they hold from now on."""
        self._providers = {provider.name: provider for provider in providers}
        self._tenants = {tenant.name: tenant for tenant in tenants}
        self._keys = {key.id: key for key in keys}
        for entry in self._entries.values():
            if entry.pool is not None:
                entry.pool.limit = self._limit(entry.account, entry.measure)

    def worker_started(self, worker: int, incarnation: str) -> None:
        """A worker may ask from now on; `incarnation` is the name of its journal."""
        self._workers[worker] = incarnation

    def worker_died(self, worker: int, spent: Mapping[tuple[Account, str], int]) -> None:
        """A worker is gone and its journal is in the ledger; `spent` is what it spent there."""
        incarnation = self._workers.pop(worker, "")
        for entry in tuple(self._entries.values()):
            entry.queue = deque(need for need in entry.queue if need[0] != worker)
            if entry.pool is not None:
                spent_here = spent.get((entry.account, entry.window), 0)
                entry.pool.worker_died(worker, spent=spent_here - entry.before.get(incarnation, 0))
            if entry.recalling is not None:
                entry.recalling.missing.discard(worker)
                if entry.recalling.worker == worker:
                    entry.recalling = None
        for name in tuple(self._entries):
            self._go_on(name)

    def hear(self, worker: int, message: Need | Returned) -> None:
        """A worker needs units, or gives some back."""
        entry = self._entry(message.pool)
        if isinstance(message, Need):
            entry.queue.append((worker, message.amount))
        else:
            if entry.pool is not None and message.amount:
                now = self._clock.monotonic()
                entry.pool.give_back(worker, message.amount, now, age_s=message.age_s)
            if message.recalled and entry.recalling is not None:
                entry.recalling.missing.discard(worker)
        self._go_on(message.pool)

    def sweep(self) -> None:
        """Give up on recalls that nobody answers, forget pools whose window is over, and ask the
        ledger again if it could not say what was spent."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        for name, entry in tuple(self._entries.items()):
            if entry.pool is None and entry.making is not None and entry.making.done():
                self._start_making(name, entry)
            recalling = entry.recalling
            if recalling is not None and now - recalling.since > RECALL_WAIT_S:
                recalling.missing.clear()
                self._go_on(name)
            if entry.pool is not None and wall > entry.pool.ends_at + _LONGEST_STREAM_S:
                del self._entries[name]

    def _entry(self, name: str) -> _Entry:
        entry = self._entries.get(name)
        if entry is None:
            account, measure, window = name.rsplit("/", 2)
            kind, _, who = account.partition("/")
            entry = self._entries[name] = _Entry(
                Account(cast(Literal["tenant", "key", "provider"], kind), who),
                cast(Measure, measure),  # pool names are our workers' own
                window,
            )
            self._start_making(name, entry)
        return entry

    def _start_making(self, name: str, entry: _Entry) -> None:
        entry.making = asyncio.get_running_loop().create_task(self._make(name, entry))

    async def _make(self, name: str, entry: _Entry) -> None:
        is_budget = entry.measure in _BUDGETS
        spent = 0
        if is_budget:
            assert self.spent is not None
            spent, entry.before = await self.spent(entry.account, entry.window)
        limit = self._limit(entry.account, entry.measure)
        ends_at = _end_of(entry.window) if is_budget else math.inf
        entry.pool = Pool(entry.measure, limit, spent=spent, ends_at=ends_at)
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
            self._answer(name, entry, entry.recalling.worker, entry.recalling.amount, now)
            entry.recalling = None
        while entry.queue:
            worker, amount = entry.queue.popleft()
            others = {w for w in self._workers if w != worker and entry.pool.held.get(w)}
            if entry.pool.free(now) < amount and others:
                entry.recalling = _Recalling(worker, amount, others, now)
                for other in others:
                    self._tell(other, Recall(name))
                return
            self._answer(name, entry, worker, amount, now)

    def _answer(self, name: str, entry: _Entry, worker: int, amount: int, now: float) -> None:
        pool = entry.pool
        assert pool is not None
        granted = pool.grant(worker, amount, now, workers=len(self._workers))
        after_s = None if granted else pool.retry_after_s(amount, now, self._clock.wall())
        self._tell(worker, Granted(name, granted, after_s))

    def _limit(self, account: Account, measure: Measure) -> int:
        """The limit that holds now; 0 for an account that is gone, so that nothing is granted."""
        if account.kind == "provider":
            return self._provider_limit(account.name, measure)
        holder = (self._tenants if account.kind == "tenant" else self._keys).get(account.name)
        if holder is None:
            return 0
        found = {
            "rpm": holder.limits.rpm,
            "tpm": holder.limits.tpm,
            "concurrency": holder.limits.concurrency,
            "daily": holder.budget.daily_nanousd,
            "monthly": holder.budget.monthly_nanousd,
            "total": holder.budget.total_nanousd,
        }[measure]
        return found if found is not None else 2**62  # the limit was lifted: no bound

    def _provider_limit(self, name: str, measure: Measure) -> int:
        """Of a provider that has no limit any more: no bound."""
        provider = self._providers.get(name)
        found = None
        if provider is not None and measure == "rpm":
            found = provider.limits.rpm
        elif provider is not None and measure == "tpm":
            found = provider.limits.tpm
        elif provider is not None and measure == "concurrency":
            found = provider.limits.concurrency
        return found if found is not None else 2**62


def _end_of(window: str) -> float:
    """The wall clock at which a window (`2026-11-23`, `2026-11`, `total`) ends."""
    if window == "total":
        return math.inf
    if len(window) == len("2026-11"):
        year, month = map(int, window.split("-"))
        following = (year + month // 12, month % 12 + 1)
        return float(calendar.timegm((*following, 1, 0, 0, 0)))
    return calendar.timegm(time.strptime(window, "%Y-%m-%d")) + 86_400.0
