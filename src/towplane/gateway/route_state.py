"""A route as one worker sees it: the snapshot's facts, its targets, and what has happened since.
Described anew, it keeps its counts, its retry budget and what its policies have learned. Knows no
request and no client.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from towplane.gateway.counters import Edges, RouteCounters
from towplane.gateway.demand import Reading
from towplane.gateway.messages import Placed, RouteInfo
from towplane.gateway.scoring import Scoring
from towplane.gateway.spill import SpillState, make_spill
from towplane.gateway.target_state import ProviderState, TargetState
from towplane.gateway.tariff import Dearest
from towplane.providers.ask import Ask
from towplane.routing.chooser import Chooser
from towplane.routing.complexity.narrowing import complexity_of
from towplane.routing.fallbacks import closed_by
from towplane.routing.hedging import Hedging
from towplane.routing.marks import MARKED
from towplane.routing.retry_budget import RetryBudget
from towplane.routing.roster import Roster, Seat
from towplane.routing.shedding import Pace
from towplane.routing.spec import Reason, Slo

if TYPE_CHECKING:
    from towplane.gateway.mirror import Mirror

__all__ = ["RouteState"]


class RouteState:
    """One route as this worker sees it."""

    __slots__ = ("between_tokens_s", "chooser", "closed", "connect_s", "counters", "dearest",
                 "first_token_s", "groups", "has_slo", "hedging", "info", "keeps_marks", "mirror",
                 "pace", "reading", "retries", "scoring", "spill", "total_s",
                 "waiting")  # fmt: skip

    def __init__(self, info: RouteInfo, targets: dict[str, TargetState], edges: Edges) -> None:
        self.retries = RetryBudget(info.spec.retries)
        hedge = info.spec.hedge
        self.hedging = Hedging(hedge) if hedge is not None else None
        """Second attempts before the first token; None: none."""
        self.mirror: Mirror | None = None
        """Sends some of its requests a second time, elsewhere; None: none."""
        self.chooser = Chooser(info.spec, ())
        self.waiting = 0
        """Requests that wait until some target is below its limit."""
        self.spill: SpillState | None = None
        """Managed targets behind own engines; None: the route knows no difference."""
        self.pace = Pace()
        """How long attempts at targets that take only so many are under way."""
        self.counters = RouteCounters(info.model, edges)
        self.scoring: Scoring | None = None
        """How its prompts are scored; None: they are not."""
        self.info = info
        self.update(info, targets, edges)

    def update(self, info: RouteInfo, targets: dict[str, TargetState], edges: Edges) -> None:
        """The same route, described anew; its counts go on."""
        if info.spec.retries != self.info.spec.retries:
            self.retries = RetryBudget(info.spec.retries)
        if (hedge := info.spec.hedge) != self.info.spec.hedge:
            self.hedging = Hedging(hedge) if hedge is not None else None
        self.closed = closed_by(info.on)
        """Groups that are closed to a failure's reason; None: the document names no reasons."""
        self.counters.rebucket(edges)
        complexity = complexity_of(info.spec)
        if complexity is None:
            self.scoring = None
        elif self.scoring is None or not self.scoring.fits(complexity, info.scorer):
            self.scoring = Scoring(complexity, info.scorer, self.scoring)
        self.info = info
        self.has_slo = info.spec.slo != Slo()
        timeouts = info.spec.timeouts  # looked up once: an attempt needs three of them
        self.connect_s, self.total_s = timeouts.connect_s, timeouts.total_s
        self.first_token_s = timeouts.first_token_s
        self.between_tokens_s = timeouts.between_tokens_s
        self.groups = [[targets[place.target] for place in group] for group in info.groups]
        """The targets by group and place, as in the chooser's rosters."""
        self.spill = make_spill(info, self.groups[0] if self.groups else [], self.spill)
        rosters = map(self._roster, range(len(info.groups)), self.groups, info.groups)
        chooser = Chooser(info.spec, list(rosters))
        chooser.adopt(self.chooser)
        self.chooser = chooser
        keep = info.spec.prefix.keep
        self.keeps_marks = "blocks" in chooser.wants if keep is None else keep
        """Whether the journal gets what prompts have in common."""
        wants = chooser.wants | (MARKED if self.keeps_marks else frozenset())
        self.reading = Reading(info.spec, wants) if wants else None
        """How a demand is found out; None: nobody looks at it."""
        self.dearest = Dearest(target for group in self.groups for target in group)

    def _roster(
        self, group: int, targets: Sequence[TargetState], placed: Sequence[Placed]
    ) -> Roster:
        seats = [
            Seat(target.load, place.weight, place.role, place.arm, target.info.kind == "engine")
            for target, place in zip(targets, placed, strict=True)
        ]
        spill = self.spill
        if spill is None or group:
            return Roster(seats, lambda place, now: targets[place].is_usable(now))
        return Roster(
            seats,
            lambda place, now: (
                targets[place].is_usable(now)
                and (seats[place].is_own or spill.rule.admits(targets[place].load.price, now))
            ),
        )

    def score(self, ask: Ask, now: float) -> float:
        """What a request's prompt scores; NaN: unknown."""
        return self.scoring.score(ask, now) if self.scoring is not None else math.nan

    def nearest_limit(self, now: float) -> ProviderState | None:
        """The provider whose limit keeps a target from answering, the one that is free first."""
        limited = [
            target.provider
            for group in self.groups
            for target in group
            if target.provider.at_limit_until > now
            and target.provider.short is not None
            and target.info.state == "ready"
        ]
        return min(limited, key=lambda one: one.at_limit_until, default=None)

    def keeping(self, now: float) -> Iterator[Reason]:
        """What keeps targets of its own, which are well, from answering."""
        own = self.groups[0]
        if any(target.limited_s(now) > 0 for target in own):
            yield "rate-limit"
        if any(target.is_full(now) for target in own):
            yield "overload"

    def each_target(self) -> Iterator[TargetState]:
        """Those of all groups."""
        return (target for group in self.groups for target in group)

    def has_room(self, now: float) -> bool:
        """Whether a target would take an attempt now, as far as this worker knows."""
        for roster, group in zip(self.chooser.rosters, self.groups, strict=True):
            barred = roster.barred(now)
            for place, target in enumerate(group):
                if place not in barred and not target.is_full(now):
                    return True
        return False

    def slots(self) -> int:
        """Attempts under way at targets that take only so many."""
        return sum(target.in_flight for target in self.each_target() if target.is_bounded)

    def waits_until(self, begun_at: float, ends_at: float) -> float:
        """Until when a request may wait for a target; it may not if too many do already."""
        queue = self.info.spec.queue
        if queue.longest_s is None or self.waiting >= queue.most:
            return begun_at
        return min(begun_at + queue.longest_s, ends_at)
