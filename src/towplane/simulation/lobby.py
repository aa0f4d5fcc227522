"""Where simulated requests wait while every target that could answer is full.

`gateway.lobby` in virtual time, of one line: who goes next is for `routing.fair_queue` to say, who
had better not wait for `routing.shedding`. What it does not have is the coordinator: the line is
the only worker, and knows what each target takes. The laws: a place that is free is taken by the
first who may have it; who leaves, is refused or pushed out leaves nothing behind.
"""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Protocol

from towplane.routing.fair_queue import FairQueue, Waiter
from towplane.routing.shedding import Pace, come_back_s, foretell, shed
from towplane.routing.spec import RouteSpec
from towplane.simulation.agenda import Agenda
from towplane.simulation.histogram import Histogram
from towplane.simulation.target import Target

if TYPE_CHECKING:
    from towplane.simulation.line import Request

__all__ = ["Door", "Lobby"]

_LANE = "line"


class Door(Protocol):
    """What leads out of the lobby."""

    def let_in(self, request: "Request", now: float) -> bool:
        """Begin an attempt for it; whether a target had room."""
        ...

    def refuse(self, request: "Request", now: float, after_s: float) -> None:
        """Send it away."""
        ...


class Lobby:
    """The requests of one line that wait for room."""

    __slots__ = ("_agenda", "_bounded", "_door", "_is_due", "_queue", "_rng", "_spec", "pace",
                 "refusals", "waits")  # fmt: skip

    def __init__(
        self, spec: RouteSpec, bounded: Sequence[Target], agenda: Agenda, rng: Random, door: Door
    ) -> None:
        """`bounded` are the targets that take only so many at once."""
        self._spec = spec
        self._bounded = bounded
        self._agenda = agenda
        self._rng = rng
        self._door = door
        self._queue: FairQueue[Request] = FairQueue()
        self._is_due = False
        self.pace = Pace()
        self.waits = Histogram()
        """How long those waited that got a place."""
        self.refusals: dict[str, int] = {}
        """By the gateway's words for the reason."""

    def __bool__(self) -> bool:
        """Whether somebody waits."""
        return bool(self._queue)

    def enter(self, request: "Request", now: float) -> None:
        """Every target that could answer it is full: it waits, or is refused."""
        spec, arrival = self._spec, request.arrival
        queue = spec.queue
        if queue.longest_s is None:
            self._refuse(request, now, "at-capacity")
            return
        until = min(now + queue.longest_s, request.ends_at)
        waiter = Waiter(
            request,
            _LANE,
            tenant=arrival.tenant,
            rank=arrival.priority,
            until=until,
            cost=float(max(1, arrival.tokens + (arrival.limit or spec.reserve_output))),
            weight=float(queue.weights.get(arrival.tenant, 1)),
        )
        if queue.shed != "never":
            wait_s = foretell(self._queue.ahead(waiter, (_LANE,)), self._slots(), self.pace.mean_s)
            slo_s = spec.slo.ttft_s if queue.shed == "slo" else None
            refusal = shed(wait_s, left_s=until - now, slo_s=slo_s)
            if refusal is not None:
                reason = "wait-too-long" if refusal.reason == "late" else "slo-out-of-reach"
                self._refuse(request, now, reason, refusal.after_s)
                return
        most, tenant_most = float(queue.most), float(queue.tenant or queue.most)
        leaves = self._queue.add(waiter, most=most, tenant_most=tenant_most)
        if leaves is not None:
            leaves.who.waiter = None
            self._refuse(leaves.who, now, "queue-full")
        if leaves is not waiter:
            request.waiter = waiter
            request.came_at = now
            self._agenda.at(until, self._late, waiter)

    def leave(self, request: "Request") -> None:
        """It waits no more."""
        if request.waiter is not None:
            self._queue.remove(request.waiter)
            request.waiter = None

    def ended(self, target: Target, seconds: float | None, now: float) -> None:
        """An attempt is over: after so long with an answer, or without one."""
        if seconds is not None and target.is_bounded:
            self.pace.observe(seconds)
        self.room(now)

    def room(self, now: float) -> None:
        """Something may have room: look when all else of this moment has happened."""
        if self._queue and not self._is_due:
            self._is_due = True
            self._agenda.at(now, self._look, None)

    def look(self, now: float) -> None:
        """Give away every place that there is."""
        queue = self._queue
        while queue:
            waiter = queue.first((_LANE,))
            assert waiter is not None
            queue.serve(waiter)
            if not self._door.let_in(waiter.who, now):
                queue.again(waiter)
                return
            waiter.who.waiter = None
            self.waits.add((now - waiter.who.came_at,))
        queue.forget()

    def _look(self, now: float, _: object) -> None:
        self._is_due = False
        self.look(now)

    def _late(self, now: float, what: object) -> None:
        assert isinstance(what, Waiter)
        if what.is_in:
            self.leave(what.who)
            self._refuse(what.who, now, "queue-timeout")

    def _slots(self) -> int:
        return sum(target.load.in_flight for target in self._bounded)

    def _refuse(
        self, request: "Request", now: float, reason: str, after_s: float | None = None
    ) -> None:
        self.refusals[reason] = self.refusals.get(reason, 0) + 1
        if after_s is None:
            # Until half of those who wait have gone, as `gateway.lobby` says.
            waiting = self._queue.waiting(_LANE) // 2
            after_s = foretell(waiting, self._slots(), self.pace.mean_s) or 1.0
        after_s = come_back_s(after_s) * (1 + self._rng.random() / 10)
        self._door.refuse(request, now, after_s)
