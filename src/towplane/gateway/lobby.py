"""Where requests wait while every target that could answer them is full: a room off the line.

One lobby for a worker, over all its routes: who goes next is for `routing.fair_queue` to say, and
who had better not wait for `routing.shedding`. It is woken by what makes room (an attempt that
ended, units of the coordinator, a new snapshot, an adaptive limit that rose) and by a timer for the
moments that are known (a park or a breaker that ends); it asks nobody again and again.

What a target takes is either found out here (`adapts`) or a pool of the coordinator's: then the
lobby lets one need stand there for each full target, so that a place which another worker leaves
comes to it. While somebody waits for a target, it is full for those who come later. The laws: a
place that is free is taken by the first who may have it; who leaves, is refused or pushed out
leaves nothing behind; nobody is woken twice for one place.
"""

import math
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from towplane.gateway.counters import Histogram
from towplane.gateway.exchange import GONE, LATE, PUSHED, ROOM
from towplane.gateway.messages import Granted, Need
from towplane.gateway.route import Decision, route_around
from towplane.monitoring.catalogue import CATALOGUE
from towplane.monitoring.series import Sample
from towplane.parts.errors import Full, NoTarget
from towplane.routing.fair_queue import FairQueue, Waiter
from towplane.routing.shedding import come_back_s, foretell, shed
from towplane.tenants.priorities import HIGH, LOW, STANDARD, rank_of

if TYPE_CHECKING:
    import asyncio

    from towplane.gateway.exchange import Exchange
    from towplane.gateway.hall import Hall
    from towplane.gateway.route_state import RouteState
    from towplane.gateway.target_state import TargetState
    from towplane.tenants.events import Cause

_SHORTEST_S = 1.0
"""A need stands at least so long: when its request is late, others wait behind it."""

__all__ = ["Lobby", "wait_for_room"]

_WORDS = {HIGH: "high", STANDARD: "standard", LOW: "low"}
_SOONEST_S = 0.05
"""The timer's shortest: the precision of a worker's other deadlines (`hall.SWEEP_S`)."""


def wait_for_room(x: "Exchange", none: Full, cause: "Cause") -> Generator[None, None, Decision]:
    """Stand in the queue until a target has room. Raises Full, or what else keeps it out."""
    lobby, route = x.hall.lobby, x.route
    assert route is not None
    longest_s = route.info.spec.queue.longest_s
    until = x.begun_at if longest_s is None else min(x.begun_at + longest_s, x.ends_at)
    if x.hall.now() >= until:
        raise lobby.refuse(x, none, "at-capacity")
    waiter = lobby.enter(x, until, none)
    try:
        while True:
            x.waits_until = until
            yield
            if x.moment == ROOM:
                try:
                    return route_around(x, cause)
                except NoTarget as still:
                    if not isinstance(still, Full):
                        raise
                    none = still
                    lobby.again(waiter)
            elif x.moment == LATE:
                raise lobby.refuse(x, none, "queue-timeout")
            elif x.moment == PUSHED:
                raise lobby.refuse(x, none, "queue-full")
            elif x.moment == GONE:
                raise none
    finally:
        x.waits_until = 0.0
        lobby.leave(waiter)


class Lobby:
    """The requests of one worker that wait for room."""

    def __init__(self, hall: "Hall") -> None:
        self._hall = hall
        self.queue: FairQueue[Exchange] = FairQueue()
        self.is_busy = False
        """Whether somebody waits: what makes room says so only then."""
        self._is_due = False
        self._back: list[Waiter[Exchange]] | None = None
        """While places are given away: who could not take one."""
        self._awaited: list[TargetState] = []
        self._asked: dict[int, tuple[TargetState, int]] = {}
        """Needs that stand in the coordinator's queue, by serial: for what, and of which class."""
        self._timer: asyncio.TimerHandle | None = None
        edges = CATALOGUE["towplane_queue_wait_seconds"].edges
        self.waits = {rank: Histogram(edges) for rank in _WORDS}
        """By class: how long those waited that left the queue, however they did."""
        self.shed: dict[tuple[str, str, str], int] = {}
        """By model, class and reason."""

    def samples(self) -> Iterator[Sample]:
        """All series."""
        for rank, word in _WORDS.items():
            yield Sample("towplane_queue_depth", (word,), float(self.queue.depth(rank)))
            if any(self.waits[rank].counts):
                yield self.waits[rank].sample("towplane_queue_wait_seconds", (word,))
        for labels, count in self.shed.items():
            yield Sample("towplane_shed_total", labels, float(count))

    # What those who wait say

    def enter(self, x: "Exchange", until: float, none: Full) -> Waiter["Exchange"]:
        """Stand in the queue; the second time at the old place. Raises Full."""
        route, queue = x.route, self.queue
        assert route is not None
        if x.waiter is not None:
            route.waiting += 1
            self.again(x.waiter)
            return x.waiter
        spec, tenant = route.info.spec.queue, x.caller.tenant
        waiter = Waiter(
            x,
            route.info.model,
            tenant=tenant,
            rank=rank_of(x.caller.priority),
            until=until,
            cost=float(max(1, x.ask.input_estimate + x.output_limit)),
            weight=float(spec.weights.get(tenant, 1)),
        )
        if spec.shed != "never":
            self._shed(x, waiter, none)
        # Without a limit of its own a tenant may make room below itself, as others may.
        most, tenant_most = float(spec.most), float(spec.tenant or math.inf)
        leaves = queue.add(waiter, most=most, tenant_most=tenant_most)
        if leaves is waiter:
            raise self.refuse(x, none, "queue-full")
        if leaves is not None:
            self._hall.soon(leaves.who.resume, PUSHED)
        x.waiter = waiter
        self.is_busy = True
        route.waiting += 1
        self._stand()
        return waiter

    def again(self, waiter: Waiter["Exchange"]) -> None:
        """What had room has none for this one: it stands where it stood."""
        if self._back is not None:
            self._back.append(waiter)
            return
        self._take_back(waiter)
        self._stand()

    def leave(self, waiter: Waiter["Exchange"]) -> None:
        """It waits no more, whatever the reason."""
        x = waiter.who
        assert x.route is not None
        x.route.waiting -= 1
        self.waits[waiter.rank].observe(self._hall.now() - x.begun_at)
        if waiter.is_in:
            self.queue.remove(waiter)
        if not self.queue and self._back is None:
            self._rest()

    def refuse(self, x: "Exchange", none: Full, reason: str, after_s: float = 0.0) -> Full:
        """The words for a request that does not get a place, and when to come back."""
        route = x.route
        assert route is not None
        rank = rank_of(x.caller.priority)
        labels = (route.info.model, _WORDS[rank], reason)
        self.shed[labels] = self.shed.get(labels, 0) + 1
        if not after_s:
            # Until half of those who wait have gone: then there is room, and not for all at once.
            waiting = self.queue.waiting(route.info.model) // 2
            after_s = foretell(waiting, route.slots(), route.pace.mean_s) or 1.0
        after_s = come_back_s(after_s) * (1 + self._hall.random() / 10)
        return Full(
            f"{none.say} {_SAY[reason]}".strip(),
            next_step=f"Try again in {after_s:.0f} s.",
            reason=reason,
            after_s=after_s,
        )

    # What makes room

    def room(self) -> None:
        """Something may have room: look at the end of this turn of the loop."""
        if self.is_busy and not self._is_due:
            self._is_due = True
            self._hall.soon(self._look)

    def granted(self, message: Granted) -> bool:
        """The coordinator answers a need; whether it was one of the lobby's."""
        asked = self._asked.pop(message.serial, None)
        if asked is None:
            return False
        target, _ = asked
        self._hall.lines[message.pool] -= 1
        if message.amount:
            target.provider.at_limit_until = 0.0
        self._look()  # at once: what is held unused may be called back for others
        return True

    # Private, in the order of use

    def _shed(self, x: "Exchange", waiter: Waiter["Exchange"], none: Full) -> None:
        route, hall = x.route, self._hall
        assert route is not None
        now, spec = hall.now(), route.info.spec
        ahead = self.queue.ahead(waiter, self._lanes_beside(route))
        slo_s = spec.slo.ttft_s if spec.queue.shed == "slo" else None
        if slo_s is not None:
            slo_s -= now - x.request.received_at
        wait_s = foretell(ahead, route.slots(), route.pace.mean_s)
        refusal = shed(wait_s, left_s=waiter.until - now, slo_s=slo_s)
        if refusal is not None:
            reason = "wait-too-long" if refusal.reason == "late" else "slo-out-of-reach"
            raise self.refuse(x, none, reason, refusal.after_s)

    def _lanes_beside(self, route: "RouteState") -> list[str]:
        """The lanes that wait for some of the same targets."""
        own = {target.info.name for group in route.groups for target in group}
        return [
            lane
            for lane in self.queue.lanes
            if (other := self._hall.routes.get(lane)) is None
            or any(target.info.name in own for group in other.groups for target in group)
        ]

    def _look(self) -> None:
        """Give away every place that there is."""
        self._is_due = False
        if not self.queue:
            self._rest()
            return
        now = self._hall.now()
        self._unmark()
        back = self._back = []
        in_vain: set[str] = set()
        while True:
            lanes = [
                lane for lane in self.queue.lanes
                if lane not in in_vain and self._has_room(lane, now)
            ]  # fmt: skip
            waiter = self.queue.first(lanes)
            if waiter is None:
                break
            self.queue.serve(waiter, lanes)
            before = len(back)
            waiter.who.resume(ROOM)
            if len(back) > before and not waiter.who.tried:
                in_vain.add(waiter.lane)  # what has room there is closed to all of them
        self._back = None
        for waiter in back:
            if waiter.who.waits_until:  # it may have left meanwhile
                self._take_back(waiter)
        self._stand()

    def _take_back(self, waiter: Waiter["Exchange"]) -> None:
        self.queue.again(waiter)
        self.is_busy = True

    def _has_room(self, lane: str, now: float) -> bool:
        route = self._hall.routes.get(lane)
        return route is None or route.has_room(now)

    def _stand(self) -> None:
        """Who waits stands before those who come: mark what is full, and see to being woken."""
        if not self.queue:
            self._rest()
            return
        now, hall = self._hall.now(), self._hall
        soonest_s = 0.0
        for lane in self.queue.lanes:
            route = hall.routes.get(lane)
            for target in route.each_target() if route is not None else ():
                if target.is_full(now):
                    if not target.is_awaited:
                        target.is_awaited = True
                        target.load.suspect()
                        self._awaited.append(target)
                    self._ask(target, lane, now)
                elif (wait_s := target.usable_in_s(now)) > 0:
                    soonest_s = min(wait_s, soonest_s or wait_s)
        self._set_timer(soonest_s)

    def _ask(self, target: "TargetState", lane: str, now: float) -> None:
        """Let a need stand in the coordinator's queue, in the name of who is first here.

        While it stands, places that come back in this worker go through that queue, too: so no
        worker serves its own before others that have waited longer.
        """
        share, first = target.capacity, self.queue.first((lane,))
        if share is None or first is None or share.free > 0:
            return
        if any(one.capacity is share and r <= first.rank for one, r in self._asked.values()):
            return
        hall = self._hall
        serial = hall.next_serial()
        self._asked[serial] = (target, first.rank)
        hall.lines[share.name] += 1
        wait_s = max(_SHORTEST_S, first.until - now)
        hall.tell(Need(share.name, 1, first.rank, first.tenant, wait_s, serial))

    def _set_timer(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds:
            self._timer = self._hall.later(max(seconds, _SOONEST_S), self.room)

    def _unmark(self) -> None:
        for target in self._awaited:
            target.is_awaited = False
        self._awaited.clear()

    def _rest(self) -> None:
        """Nobody waits."""
        self.is_busy = False
        self.queue.forget()
        self._unmark()
        self._set_timer(0.0)


_SAY = {
    "at-capacity": "",
    "queue-full": "As many requests wait as may.",
    "queue-timeout": "None had room in the time that this request may wait.",
    "wait-too-long": "The wait would be longer than this request may wait.",
    "slo-out-of-reach": "The wait would be longer than the first token may take.",
}
"""By reason: what is added to why no target can answer."""
