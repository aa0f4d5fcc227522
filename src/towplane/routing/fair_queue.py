"""Who is served first when every target is full: classes, tenants, deadlines. Pure.

Three orders, one inside the other. Between priority classes the higher one goes first, but a class
that has somebody to serve is passed over at most `PASSED_OVER` times in a row. Within a class the
tenants share by weight, in tokens: start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996),
whose tag here is given when a tenant is served and not when it asks. Within a tenant the earliest
deadline goes first. One queue holds requests of several lanes (routes): what has room decides who
may be served, and what a tenant got in one lane counts in all of them.

The laws. Nobody starves. Of what is served while two tenants wait, each gets its share by weight,
within one request of each. A flood of one tenant is served at most once (by weight) for each
request of another that waits. A lane is bounded: when it is full, the newest request of the tenant
that has most waiting in the lowest class makes room, or the newcomer does not come in.
Knows no clock: deadlines are numbers to it.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any, Final, Generic, TypeVar

__all__ = ["PASSED_OVER", "FairQueue", "Waiter"]

PASSED_OVER: Final = 9
"""So often in a row may higher classes go before one that waits: it keeps a tenth, which is what
SMG 1.13 leaves to its default class (`model_gateway/src/middleware/scheduler`, per slot .10)."""

Who = TypeVar("Who")
_Flow = tuple[str, int, str]
"""Lane, rank, tenant."""


class Waiter(Generic[Who]):
    """One request that waits."""

    __slots__ = ("cost", "is_in", "lane", "order", "rank", "tenant", "until", "weight", "who")

    def __init__(
        self,
        who: Who,
        lane: str,
        *,
        tenant: str,
        rank: int,
        until: float,
        cost: float = 1.0,
        weight: float = 1.0,
    ) -> None:
        self.who = who
        self.lane = lane
        """Its route: only what has room there can serve it."""
        self.tenant = tenant
        self.rank = rank
        """Its class; 0 goes first."""
        self.until = until
        """When it is of no use any more."""
        self.cost = cost
        """Tokens."""
        self.weight = weight
        """Of its tenant."""
        self.order = 0
        self.is_in = False

    @property
    def flow(self) -> _Flow:
        """Where it stands."""
        return self.lane, self.rank, self.tenant


class FairQueue(Generic[Who]):
    """The requests of one worker that wait for room."""

    __slots__ = ("_classes", "_counts", "_flows", "_lanes", "_order", "_passed", "_standing",
                 "_tags", "_tenants")  # fmt: skip

    def __init__(self) -> None:
        self._flows: dict[_Flow, list[tuple[float, int, Waiter[Who]]]] = {}
        """Heaps by deadline; who left may still be in one."""
        self._counts: defaultdict[_Flow, int] = defaultdict(int)
        """Who has not left."""
        self._lanes: defaultdict[str, int] = defaultdict(int)
        self._classes: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._tenants: defaultdict[tuple[str, str], int] = defaultdict(int)
        """The same by lane; by lane and class; by lane and tenant. Nobody is no entry."""
        self._tags: dict[tuple[int, str], float] = {}
        """By class and tenant: tokens per weight that it got, upon where it began."""
        self._standing: dict[tuple[str, int], float] = {}
        """By lane and class: the tag that was served last."""
        self._passed: dict[int, int] = {}
        """By class: how often in a row it was passed over."""
        self._order = 0

    def __len__(self) -> int:
        return sum(self._lanes.values())

    def __bool__(self) -> bool:
        return bool(self._counts)

    def __iter__(self) -> Iterator[Waiter[Who]]:
        return (one for heap in self._flows.values() for *_, one in heap if one.is_in)

    @property
    def lanes(self) -> Collection[str]:
        """Those in which somebody waits."""
        return self._lanes.keys()

    def depth(self, rank: int) -> int:
        """How many of a class wait."""
        return sum(count for (_, of), count in self._classes.items() if of == rank)

    def waiting(self, lane: str, tenant: str | None = None) -> int:
        """How many wait in a lane, of all tenants or of one."""
        if tenant is None:
            return self._lanes.get(lane, 0)
        return self._tenants.get((lane, tenant), 0)

    def add(
        self, waiter: Waiter[Who], *, most: float = math.inf, tenant_most: float = math.inf
    ) -> Waiter[Who] | None:
        """One more. Answers who has to go for it: nobody, another, or the newcomer itself."""
        leaves: Waiter[Who] | None = None
        if self.waiting(waiter.lane) >= most:
            leaves = self._make_room(waiter)
        if self.waiting(waiter.lane, waiter.tenant) >= tenant_most:
            leaves = waiter
        if leaves is waiter:
            return waiter
        if leaves is not None:
            self.remove(leaves)
        self._enter(waiter)
        return leaves

    def again(self, waiter: Waiter[Who]) -> None:
        """One that was served could not go: it has its old place and its tokens back."""
        account = (waiter.rank, waiter.tenant)
        self._tags[account] = self._tags.get(account, 0.0) - waiter.cost / waiter.weight
        order, self._order = self._order, waiter.order - 1
        self._enter(waiter)
        self._order = order

    def first(self, lanes: Collection[str]) -> Waiter[Who] | None:
        """Who is served next, if these lanes have room."""
        ranks = {rank for lane, rank in self._classes if lane in lanes}
        if not ranks:
            return None
        rank = self._class_of(ranks)
        return min(
            (self._head(flow) for flow in self._counts if flow[1] == rank and flow[0] in lanes),
            key=lambda one: (self._tags[rank, one.tenant], one.until, one.order),
        )

    def serve(self, waiter: Waiter[Who], lanes: Collection[str] | None = None) -> None:
        """This one goes; `lanes` are those that had room (its own, if not given)."""
        rank, tag = waiter.rank, self._tags[waiter.rank, waiter.tenant]
        open_lanes = (waiter.lane,) if lanes is None else lanes
        waiting = {of for lane, of in self._classes if lane in open_lanes}
        for other in waiting:
            self._passed[other] = 0 if other == rank else self._passed.get(other, 0) + 1
        place = (waiter.lane, rank)
        self._standing[place] = max(tag, self._standing.get(place, tag))
        self._tags[rank, waiter.tenant] = tag + waiter.cost / waiter.weight
        self.remove(waiter)

    def remove(self, waiter: Waiter[Who]) -> None:
        """This one waits no more; harmless for one that does not."""
        if not waiter.is_in:
            return
        waiter.is_in = False
        lane, rank, tenant = flow = waiter.flow
        _take_one(self._lanes, lane)
        _take_one(self._classes, (lane, rank))
        _take_one(self._tenants, (lane, tenant))
        _take_one(self._counts, flow)
        if flow in self._counts:
            self._clear(flow)
        else:
            del self._flows[flow]

    def forget(self) -> None:
        """A quiet time has come: what was served before gives nobody a place any more."""
        if not self:
            self._tags.clear()
            self._standing.clear()
            self._passed.clear()

    def ahead(self, waiter: Waiter[Who], lanes: Collection[str]) -> int:
        """How many of these lanes will be served before one that comes now, at equal costs.

        All of higher classes, all of its own tenant that are not later than it, and of the other
        tenants of its class as many as go in turn with these.
        """
        own = self._counts.get(waiter.flow, 0)
        if own:
            own = sum(1 for until, *_, one in self._flows[waiter.flow]
                      if one.is_in and until <= waiter.until)  # fmt: skip
        before = own
        for (lane, rank, tenant), count in self._counts.items():
            if lane not in lanes or rank > waiter.rank or (rank, tenant) == waiter.flow[1:]:
                continue
            if rank < waiter.rank:
                before += count
            else:
                weight = self._flows[lane, rank, tenant][0][-1].weight
                before += min(count, math.ceil((own + 1) * weight / waiter.weight))
        return before

    # Private, in the order of use

    def _make_room(self, newcomer: Waiter[Who]) -> Waiter[Who]:
        """Who goes when a lane is full: the longest queue of the lowest class gives its newest."""
        flows = [flow for flow in self._counts if flow[0] == newcomer.lane]
        lowest = max((flow[1] for flow in flows), default=-1)
        if lowest < newcomer.rank:
            return newcomer
        flow = max((f for f in flows if f[1] == lowest), key=lambda f: (self._counts[f], f))
        if lowest == newcomer.rank:
            own = self._counts.get(newcomer.flow, 0)
            if own + 1 >= self._counts[flow]:
                return newcomer
        return max((one for *_, one in self._flows[flow] if one.is_in), key=lambda one: one.order)

    def _enter(self, waiter: Waiter[Who]) -> None:
        self._order += 1
        waiter.order = self._order
        waiter.is_in = True
        lane, rank, tenant = flow = waiter.flow
        if not self._counts.get(flow):
            self._tags[rank, tenant] = max(
                self._tags.get((rank, tenant), 0.0), self._floor(lane, rank)
            )
            self._flows[flow] = []
            if not any(other == rank for _, other in self._classes):
                self._passed[rank] = 0
        self._counts[flow] += 1
        self._lanes[lane] += 1
        self._classes[lane, rank] += 1
        self._tenants[lane, tenant] += 1
        heapq.heappush(self._flows[flow], (waiter.until, waiter.order, waiter))

    def _floor(self, lane: str, rank: int) -> float:
        """Where a tenant stands that comes new to a lane: beside the one that was served least, so
        that having asked for little elsewhere or before earns no right to a burst."""
        tags = [self._tags[flow[1:]] for flow in self._counts if flow[:2] == (lane, rank)]
        return min(tags) if tags else self._standing.get((lane, rank), 0.0)

    def _class_of(self, ranks: Collection[int]) -> int:
        passed = [rank for rank in ranks if self._passed.get(rank, 0) >= PASSED_OVER]
        if passed:
            return max(passed, key=lambda rank: (self._passed[rank], -rank))
        return min(ranks)

    def _head(self, flow: _Flow) -> Waiter[Who]:
        return self._flows[flow][0][-1]

    def _clear(self, flow: _Flow) -> None:
        """The first of a heap has never left."""
        heap = self._flows[flow]
        while not heap[0][-1].is_in:
            heapq.heappop(heap)


def _take_one(counts: defaultdict[Any, int], key: object) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
