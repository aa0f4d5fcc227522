"""The gateway's line in virtual time: route, attempt, again. Decides by the gateway's own code.
One machine of states, in one file, to be held against the gateway's stations.

Choosing is `routing.chooser`, health `routing.breaker`, trying again `routing.again` with
`routing.retry_budget`, waiting for room `simulation.lobby`. Here is only what in the gateway is
connections and bytes: works that are offered to servers, and clocks. What it does not have:
credentials, tenants' limits, the queue before a provider's limit; a request is a stream. What the
route does not ask for costs nothing. The law: a request ends once.
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Protocol, cast

from towplane.parts.errors import (
    Overloaded,
    RateLimited,
    Rejected,
    ServerError,
    TimedOut,
    Unavailable,
    Upstream,
)
from towplane.routing.again import is_tried_again, park_s, verdict_on, wait_for_same
from towplane.routing.chooser import Chooser, Pick
from towplane.routing.demand import NOTHING, Demand
from towplane.routing.fair_queue import Waiter
from towplane.routing.fallbacks import closed_by, reason_of
from towplane.routing.hedging import Hedging, estimate_nanousd
from towplane.routing.outliers import Outliers
from towplane.routing.retry_budget import RetryBudget
from towplane.routing.roster import Roster, Seat
from towplane.routing.spec import Reason, RouteSpec
from towplane.simulation.agenda import Agenda
from towplane.simulation.arrival import Arrival
from towplane.simulation.lobby import Lobby
from towplane.simulation.scrape import Scrape, looks_at_signals
from towplane.simulation.spill import Purse, purse_of
from towplane.simulation.tally import Tally
from towplane.simulation.target import Target
from towplane.simulation.work import OVER, Work
from towplane.simulation.workloads import mixed

__all__ = ["Client", "Ended", "Line", "Placing", "Request"]

_NONE: frozenset[int] = frozenset()
SWEEP_S = 0.25
"""How often clocks are looked at."""

_ERRORS: dict[str, type[Upstream]] = {
    "unavailable": Unavailable,
    "rejected": Rejected,
    "overloaded": Overloaded,
    "rate_limited": RateLimited,
    "server_error": ServerError,
    "timed_out": TimedOut,
}


class Placing:
    """A target in a group of the route."""

    __slots__ = ("arm", "role", "target", "weight")

    def __init__(self, target: Target, weight: int = 1, role: str = "", arm: str = "") -> None:
        self.target = target
        self.weight = weight
        self.role = role
        self.arm = arm


class Request:
    """What the gateway received."""

    __slots__ = ("arrival", "attempts", "came_at", "client", "demand", "ends_at", "is_over",
                 "rival", "tried", "waiter", "work")  # fmt: skip

    came_at: float
    """When it began to wait for room; unset: it never did."""

    def __init__(
        self, arrival: Arrival, demand: Demand, ends_at: float, client: "Client | None"
    ) -> None:
        self.arrival = arrival
        self.demand = demand
        self.ends_at = ends_at
        self.client = client
        """The client's own note."""
        self.attempts = 0
        self.tried: list[str] | tuple[()] = ()
        self.work: Work | None = None
        self.rival: Work | None = None
        """A second attempt, until one of the two has a first token."""
        self.waiter: Waiter[Request] | None = None
        """Its place in the queue for room."""
        self.is_over = False


class Client(Protocol):
    """Whoever sent a request, where it is of interest."""

    request: Request | None


class Ended(Protocol):
    """Who hears how requests end."""

    def served(self, request: Request, work: Work, now: float) -> None:
        """With an answer."""
        ...

    def turned_away(
        self, request: Request, now: float, trouble: str, after_s: float | None
    ) -> None:
        """Without; `refused`: no target was usable."""
        ...


class Line:
    """One route in one worker."""

    def __init__(
        self,
        spec: RouteSpec,
        groups: Sequence[Sequence[Placing]],
        *,
        agenda: Agenda,
        tally: Tally,
        rng: Random,
        turn: int = -1,
        on: Sequence[Sequence[Reason]] = (),
    ) -> None:
        """`on` are the reasons that each group names (`routing.fallbacks`)."""
        self.spec = spec
        self.groups = [[placing.target for placing in group] for group in groups]
        self._purse = purse_of(spec, self.groups[0]) if self.groups else None
        rosters = [
            _roster(group, None if number else self._purse) for number, group in enumerate(groups)
        ]
        self.chooser = Chooser(spec, rosters, turn=turn)
        self.retries = RetryBudget(spec.retries)
        self._closed = closed_by(on)
        self._closed_first = self._closed_for("unavailable")
        self._hedging = Hedging(spec.hedge) if spec.hedge is not None else None
        self.retries_denied = 0
        self.tally = tally
        self.clients: Ended
        self._agenda = agenda
        self._rng = rng
        self._wants = self.chooser.wants
        self._is_watched = any(roster.watchers for roster in self.chooser.rosters)
        """Whether some policy compares how quick targets are."""
        each = list(dict.fromkeys(target for group in self.groups for target in group))
        bounded = [target for target in each if target.is_bounded]
        self.lobby = Lobby(spec, bounded, agenda, rng, self) if bounded else None
        """Where requests wait for room; None: every target takes what comes."""
        self._hears_first = (
            spec.outliers is not None
            or any(target.adaptive is not None for target in bounded)
            or any(target.load.usual is not None for target in each)
        )
        """Whether something beside policies goes by times to first tokens."""
        self._total_s = spec.timeouts.total_s
        self._reserve = spec.reserve_output
        self._open: dict[Work, None] = {}
        """Attempts under way, in the order in which they began."""
        agenda.at(agenda.now + SWEEP_S, self._sweep, None)
        if looks_at_signals(spec):
            Scrape(each, agenda)
        if spec.outliers is not None:
            for number in range(len(groups)):
                compared = number, Outliers(spec.outliers)
                agenda.at(agenda.now + spec.outliers.every_s, self._compare, compared)

    def receive(self, arrival: Arrival, now: float, client: Client | None = None) -> Request:
        """A request comes in; it may be over when this returns."""
        self.tally.requests += 1
        self.retries.request(now)
        demand = self._demand(arrival) if self._wants else NOTHING
        request = Request(arrival, demand, now + self._total_s, client)
        if client is not None:
            client.request = request
        if self._hedging is not None:
            self._hedging.request(now)
        pick = self.chooser.pick(demand, (), now, self._closed_first)
        if self.lobby or pick is None:
            self._wait(request, pick, now)
        else:
            group, place, _ = pick
            queued = self.chooser.began(group, place, demand, now) if self._wants else 0
            cause = "fallback" if group else "first"
            self._send(request, self.groups[group][place], cause, now, queued)
        return request

    def give_up(self, request: Request) -> None:
        """The client has left."""
        if request.is_over:
            return
        request.is_over = True
        if request.waiter is not None and self.lobby is not None:
            self.lobby.leave(request)
        for work in (request.work, request.rival):
            if work is not None and work.stage != OVER:
                self._break_off(work)
                self._target_of(work).breaker.abandoned()
        request.work = request.rival = None

    @property
    def in_flight(self) -> int:
        """Attempts under way."""
        return len(self._open)

    # What servers say (`simulation.work.Sink`)

    def began(self, work: Work, now: float) -> None:
        """A first token came."""
        if work.queued or self._is_watched:
            target: Target = work.target  # type: ignore[assignment]
            target.load.answers(work.queued, now - work.began_at, now)
            work.queued = 0
        if self._hears_first:
            self._hear_first(self._target_of(work), work, now)
        if self._hedging is not None:
            self._decide(work, now)

    def answered(self, work: Work, now: float) -> None:
        """An answer is whole."""
        target: Target = work.target  # type: ignore[assignment]
        del self._open[work]
        target.load.ended(work.queued)
        breaker = target.breaker
        if breaker.slow_s is not None and work.first_at - work.began_at > breaker.slow_s:
            breaker.was_slow(now)
            target.load.suspect()
        else:
            if breaker.state == "half-open":
                target.load.returned(now)
            breaker.succeeded(now)
        arrival = work.arrival
        nanousd = 0.0
        target.answers += 1
        target.input += arrival.tokens
        target.cached += work.cached
        target.output += arrival.output
        price = target.load.price
        if price is not None:
            cached = work.cached
            fresh = arrival.tokens - cached
            nanousd = (fresh * price[0] + cached * price[1] + arrival.output * price[2]) / 1e6
            target.nanousd += nanousd
            self.tally.nanousd += nanousd
        request: Request = work.request  # type: ignore[assignment]
        request.is_over = True
        request.work = None  # no cycle is left for the collector
        if self._purse is not None:
            self._purse.ended(target, arrival, nanousd, now)
        self.clients.served(request, work, now)
        if self.lobby is not None:
            self.lobby.ended(target, now - work.began_at, now)

    def failed(self, work: Work, now: float, trouble: str, after_s: float | None) -> None:
        """An attempt came to nothing."""
        target = self._target_of(work)
        self._open.pop(work, None)
        self._ended(target, work, now)
        target.failures += 1
        work.stage = OVER
        self.tally.troubles[trouble] += 1
        error = _error(trouble, after_s)
        self._judge(target, error, now)
        request: Request = work.request  # type: ignore[assignment]
        if request.is_over:
            return
        if request.rival is not None:  # the other of two runs on
            request.work = request.rival if work is request.work else request.work
            request.rival = None
            request.tried = [*request.tried, target.name]
            return
        # What the client has begun to read is not sent a second time.
        if work.first_at >= 0 or not self._again(request, target, error, now):
            self._turn_away(request, now, trouble, after_s)

    # Private

    def _closed_for(self, reason: Reason | None) -> frozenset[int]:
        if self._closed is None or reason is None:
            return _NONE
        return self._closed[reason]

    def _wait(self, request: Request, pick: Pick | None, now: float) -> None:
        """Nobody has room, or others wait who go first."""
        lobby, demand = self.lobby, request.demand
        if lobby and pick is not None:
            lobby.look(now)
            pick = self.chooser.pick(demand, (), now, self._closed_first)
        if pick is None and self._closed is not None:
            for reason in self._keeping(now):
                pick = pick or self.chooser.pick(demand, (), now, self._closed_for(reason))
        if pick is not None:
            self._attempt(request, pick, "fallback" if pick.group else "first", now)
        elif lobby is not None and any(t.is_full(now) for group in self.groups for t in group):
            lobby.enter(request, now)
        else:
            self._turn_away(request, now, "refused", 1.0)

    def _keeping(self, now: float) -> Iterator[Reason]:
        """What keeps targets of the route's own group, which are well, from answering."""
        own = self.groups[0]
        if any(t.is_ready and t.parked_until > now and t.breaker.admits(now) for t in own):
            yield "rate-limit"
        if any(target.is_full(now) for target in own):
            yield "overload"

    # What the lobby says (`simulation.lobby.Door`)

    def let_in(self, request: Request, now: float) -> bool:
        """It was its turn; whether a target has room."""
        pick = self.chooser.pick(request.demand, (), now, self._closed_first)
        if pick is None:
            return False
        self._attempt(request, pick, "fallback" if pick.group else "first", now)
        return True

    def refuse(self, request: Request, now: float, after_s: float) -> None:
        """It gets no place."""
        self._turn_away(request, now, "refused", after_s)

    def _hear_first(self, target: Target, work: Work, now: float) -> None:
        waited_s = now - work.began_at
        target.waits += 1
        target.waited_s += waited_s
        if target.load.usual is not None:
            target.load.usual.observe(waited_s, now)
        if target.heard_first(waited_s, work.began_at, now) and self.lobby is not None:
            self.lobby.room(now)

    def _ended(self, target: Target, work: Work, now: float) -> None:
        """An attempt is over that brought no answer."""
        target.load.ended(work.queued)
        work.queued = 0
        if self._purse is not None:
            self._purse.ended(target, work.arrival, 0.0, now)
        if self.lobby is not None:
            self.lobby.ended(target, None, now)

    def _demand(self, arrival: Arrival) -> Demand:
        return Demand(
            arrival.tokens, arrival.limit or self._reserve, arrival.tenant, arrival.session,
            arrival.prefix, arrival.blocks, arrival.adapter, arrival.score, arrival.priority,
            mixed(self.tally.requests),
        )  # fmt: skip

    def _attempt(self, request: Request, pick: Pick, cause: str, now: float) -> None:
        group, place, _ = pick
        queued = self.chooser.began(group, place, request.demand, now) if self._wants else 0
        self._send(request, self.groups[group][place], cause, now, queued)

    def _send(
        self, request: Request, target: Target, cause: str, now: float, queued: int = 0
    ) -> None:
        request.attempts += 1
        self.tally.sent(cause, now)
        target.attempts += 1
        target.load.began(queued)
        if target.breaker.state != "closed":
            target.breaker.started()
            target.load.suspect()
        if self.lobby is not None and not target.has_room():
            target.load.suspect()
        if self._purse is not None:
            self._purse.began(target, request.arrival, now)
        work = Work(request.arrival, request, target, now)
        work.queued = queued
        if cause == "hedge":
            request.rival = work
        else:
            request.work = work
        self._open[work] = None
        target.server.offer(work, now)
        if self._hedging is not None and cause != "hedge" and not request.is_over:
            when = now + self._hedging.wait_s(stream=True)
            self._agenda.at(when, self._hedge, (request, work))

    # Two at a time (`gateway.hedge`)

    def _hedge(self, now: float, what: object) -> None:
        """The first has brought nothing so far: a second, if share and cost allow it."""
        request, first = cast("tuple[Request, Work]", what)
        hedging = self._hedging
        assert hedging is not None
        if request.is_over or request.work is not first or first.first_at >= 0:
            return
        if request.rival is not None or request.attempts >= self.spec.retries.most:
            return
        target = self._target_of(first)
        tried = [*request.tried, target.name]
        pick = self.chooser.pick(request.demand, tried, now, self._closed_for("timeout"))
        if pick is None:
            return
        price = self.groups[pick.group][pick.place].load.price
        arrival = request.arrival
        cost = estimate_nanousd(price, arrival.tokens, arrival.limit or self._reserve, stream=True)
        if hedging.take(arrival.tenant, cost, now):
            self._attempt(request, pick, "hedge", now)

    def _decide(self, work: Work, now: float) -> None:
        """The first token of two attempts decides: the other is broken off."""
        assert self._hedging is not None
        request: Request = work.request  # type: ignore[assignment]
        first, rival = request.work, request.rival
        if first is not None:
            self._hedging.saw(now - first.began_at, stream=True)
        if rival is None or first is None:
            return
        loser = rival if work is first else first
        request.work, request.rival = work, None
        if loser.stage != OVER:
            self._break_off(loser)
            self._target_of(loser).breaker.abandoned()

    # Outliers (`gateway.health`)

    def _compare(self, now: float, what: object) -> None:
        number, outliers = cast("tuple[int, Outliers]", what)
        assert self.spec.outliers is not None
        targets: list[Target] = self.groups[number]
        before = outliers.out.keys()
        outliers.look({target.name: target.done() for target in targets}, now)
        for target in targets:
            if target.name in before - outliers.out.keys():
                target.load.returned(now)
        roster = self.chooser.rosters[number]
        roster.outliers = {roster.places[name]: until for name, until in outliers.out.items()}
        self._agenda.at(now + self.spec.outliers.every_s, self._compare, what)

    def _again(self, request: Request, target: Target, error: Upstream, now: float) -> bool:
        """Try again, if that is allowed; whether it is."""
        request.tried = [*request.tried, target.name]
        spec = self.spec.retries
        if not is_tried_again(
            error,
            spec,
            attempts=request.attempts,
            now=now,
            ends_at=request.ends_at,
            names_reasons=self._closed is not None,
        ):
            return False
        closed = self._closed_for(reason_of(error))
        pick = self.chooser.pick(request.demand, request.tried, now, closed)
        if pick is not None:
            if not self._may_retry(now):
                return False
            self._attempt(request, pick, "fallback" if pick.group else "retry", now)
            return True
        if target.is_own:
            return False
        wait_s = wait_for_same(
            error,
            spec,
            attempts=request.attempts,
            usable_in_s=target.usable_in_s(now),
            left_s=request.ends_at - now,
            random=self._rng.random(),
        )
        if wait_s is None or not self._may_retry(now):
            return False
        self._agenda.at(now + wait_s, self._send_late, (request, target))
        return True

    def _may_retry(self, now: float) -> bool:
        if self.retries.take(now):
            return True
        self.retries_denied += 1
        return False

    def _send_late(self, now: float, what: object) -> None:
        request, target = cast("tuple[Request, Target]", what)
        if not request.is_over:
            self._send(request, target, "retry", now)

    def _judge(self, target: Target, error: Upstream, now: float) -> None:
        verdict = verdict_on(error)
        if verdict == "well":
            target.breaker.succeeded(now)
        elif verdict == "unclear":
            target.breaker.abandoned()
        else:
            target.breaker.failed(now)
            target.load.suspect()
        left_alone_s = park_s(error)
        if left_alone_s is not None:
            target.park(now + left_alone_s)

    def _turn_away(self, request: Request, now: float, trouble: str, after_s: float | None) -> None:
        request.is_over = True
        request.work = None
        self.clients.turned_away(request, now, trouble, after_s)

    def _sweep(self, now: float, _: object) -> None:
        """Look at the clocks of the attempts that are old enough."""
        timeouts = self.spec.timeouts
        first_s, between_s = timeouts.first_token_s, timeouts.between_tokens_s
        soonest = now - min(first_s, between_s, self._total_s)
        late: list[Work] = []
        for work in self._open:
            if work.began_at > soonest:
                break
            request: Request = work.request  # type: ignore[assignment]
            if work.first_at < 0:
                if now - work.began_at > first_s or now > request.ends_at:
                    late.append(work)
            elif now > request.ends_at:
                late.append(work)
            elif self._target_of(work).server.is_hung:
                silent_since = max(work.first_at, self._target_of(work).hung_at)
                if now - silent_since > between_s:
                    late.append(work)
        for work in late:
            self._time_out(work, now)
        if self.lobby is not None:
            self.lobby.room(now)  # a breaker or a park may have ended
        self._agenda.at(now + SWEEP_S, self._sweep, None)

    def _time_out(self, work: Work, now: float) -> None:
        if work not in self._open:
            return
        request: Request = work.request  # type: ignore[assignment]
        target = self._target_of(work)
        self._break_off(work)
        target.heard_first(now - work.began_at, work.began_at, now)
        target.failures += 1
        self.tally.troubles["timed_out"] += 1
        error = _error("timed_out", None)
        self._judge(target, error, now)
        if work.first_at >= 0 or not self._again(request, target, error, now):
            self._turn_away(request, now, "timed_out", None)

    def _break_off(self, work: Work) -> None:
        del self._open[work]
        target = self._target_of(work)
        self._ended(target, work, self._agenda.now)
        target.server.cancel(work)

    @staticmethod
    def _target_of(work: Work) -> Target:
        target: Target = work.target  # type: ignore[assignment]
        return target


def _error(trouble: str, after_s: float | None) -> Upstream:
    error = _ERRORS[trouble](trouble)
    error.after_s = after_s
    return error


def _roster(group: Sequence[Placing], purse: Purse | None) -> Roster:
    targets = [placing.target for placing in group]
    seats = [
        Seat(placing.target.load, placing.weight, placing.role, placing.arm, placing.target.is_own)
        for placing in group
    ]
    if purse is None:
        return Roster(seats, lambda place, now: targets[place].is_usable(now))
    return Roster(
        seats,
        lambda place, now: targets[place].is_usable(now) and purse.admits(targets[place], now),
    )
