"""Who is served first when units of a limit are short: needs that wait, in their order.

Pure: the clock is passed in. The order is: priority; then the tenant that was served least; then
who came first. The laws: nobody starves, for every `AGE_S` of waiting lifts a need by one priority,
and one that has risen to the highest goes before all that came after it there; a tenant that comes
new begins where the others stand, so that having asked for little earns no right to a burst; nobody
overtakes the first, for otherwise whoever needs much would wait for ever.
"""

from collections import deque
from collections.abc import Iterator

from towplane.tenants.spec import Priority

__all__ = ["AGE_S", "HIGH", "LOW", "RESERVE_RATIO", "STANDARD", "Waiting", "WaitingNeed", "rank_of"]

HIGH, STANDARD, LOW = range(3)
_RANKS: dict[Priority, int] = {"high": HIGH, "standard": STANDARD, "low": LOW}

AGE_S = 10.0
"""Waiting so long lifts a need by one priority: half of what interactive clients wait before they
give up, by the taste of those who wrote this."""

RESERVE_RATIO = 0.1
"""The share of a provider's limit that requests of low priority leave to the others."""


def rank_of(priority: Priority | None) -> int:
    """The number of a priority; the smaller, the earlier."""
    return STANDARD if priority is None else _RANKS[priority]


class WaitingNeed:
    """Units that somebody waits for."""

    __slots__ = ("amount", "is_recalled", "rank", "serial", "since", "tenant", "until", "worker")

    def __init__(
        self,
        worker: int,
        amount: int,
        since: float,
        *,
        rank: int = STANDARD,
        tenant: str = "",
        wait_s: float = 0.0,
        serial: int = 0,
    ) -> None:
        self.worker = worker
        self.amount = amount
        self.since = since
        self.rank = rank
        self.tenant = tenant
        self.until = since + wait_s
        """When it is refused if there are still too few."""
        self.serial = serial
        self.is_recalled = False
        """What others held unused has been called back for it."""

    def rank_at(self, now: float) -> int:
        """Its priority, lifted by waiting."""
        return max(HIGH, self.rank - int((now - self.since) / AGE_S))


class Waiting:
    """The needs of one pool."""

    __slots__ = ("_queues", "_served", "_standing")

    def __init__(self) -> None:
        self._queues: dict[tuple[int, str], deque[WaitingNeed]] = {}
        """By priority and tenant, the oldest first."""
        self._served: dict[str, int] = {}
        """By tenant: units it got since it began to wait here, upon where it began."""
        self._standing = 0
        """Where a tenant stands that comes new."""

    def __iter__(self) -> Iterator[WaitingNeed]:
        return (need for queue in tuple(self._queues.values()) for need in tuple(queue))

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, need: WaitingNeed) -> None:
        """One more."""
        if not any(tenant == need.tenant for _, tenant in self._queues):
            known = self._served.get(need.tenant, 0)
            self._served[need.tenant] = max(known, self._standing)
        self._queues.setdefault((need.rank, need.tenant), deque()).append(need)

    def first(self, now: float) -> WaitingNeed | None:
        """Who is served next."""
        if not self._queues:
            return None
        if len(self._queues) == 1:
            return next(iter(self._queues.values()))[0]
        heads = (queue[0] for queue in self._queues.values())
        return min(heads, key=lambda need: self._place(need, now))

    def serve(self, need: WaitingNeed) -> None:
        """This one, the first, has got its units."""
        self._standing = max(self._standing, self._served[need.tenant])
        self._served[need.tenant] += need.amount
        self.remove(need)

    def remove(self, need: WaitingNeed) -> None:
        """This one waits no more."""
        place = (need.rank, need.tenant)
        queue = self._queues[place]
        queue.remove(need)
        if not queue:
            del self._queues[place]
        if not self._queues:
            self._served.clear()
            self._standing = 0

    def _place(self, need: WaitingNeed, now: float) -> tuple[int, int, float]:
        rank = need.rank_at(now)
        if rank == HIGH and need.rank != HIGH:
            # Risen by its age: whom it waited for has been served before it long enough.
            return rank, -1, need.since
        return rank, self._served[need.tenant], need.since
