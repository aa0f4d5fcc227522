"""The quickest lately, counting who is waiting there: for targets that differ and change in speed.

Score = estimate × (in_flight + 1) / weight, the lowest wins, ties go round. The estimate is the
peak EWMA of the time to the first token (`routing.latency`, τ = 10 s): one slow answer counts at
once and is forgotten slowly. A target of which nothing is known is tried by one attempt at a time,
as in Finagle (`PeakEwma.scala`), whose balancer takes the better of two at random where this one
looks at all. When: unlike hardware, noisy neighbours, managed APIs by latency. When not: prompts of
very different length, whose times say more of the prompt than of the target (`least-work`).
"""

from collections.abc import Collection
from math import exp, inf, log
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.latency import DECAY_S
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, lowest
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["PeakEwmaPolicy"]

_UNTRIED, _ON_TRIAL = -LAST, LAST / 2
"""Of one that was never heard of: before all if nobody asks it now, else after those known."""


class PeakEwmaPolicy:
    """The lowest peak EWMA."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._scores = [self._score(place) for place in range(len(roster))]
        """ln(score) + t/τ: the same order at any time, and nothing to compute when choosing."""
        roster.watchers.append(self._changed)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The quickest."""
        return lowest(self._scores, barred, turn)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the score of each, in seconds."""
        place = self.choose(demand, barred, turn, now)
        scores = tuple(
            exp(score - now / DECAY_S) if abs(score) < _ON_TRIAL and at not in barred else None
            for at, score in enumerate(self._scores)
        )
        seconds = self._roster.loads[place].latency.estimate_s(now)
        in_flight = self._roster.in_flight[place]
        if seconds is None:
            return Choice(place, f"never answered yet, {in_flight} in flight", scores)
        return Choice(place, f"about {seconds:.3g} s lately, {in_flight} in flight", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """The load is told."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """The loads keep what was learned."""

    def _changed(self, place: int) -> None:
        self._scores[place] = self._score(place)

    def _score(self, place: int) -> float:
        roster = self._roster
        rank, in_flight = roster.loads[place].latency.rank, roster.in_flight[place]
        weight = roster.weights[place]
        if not weight:
            return LAST
        if rank == -inf:
            return _ON_TRIAL + in_flight * (LAST / 1e12) if in_flight else _UNTRIED
        return rank + log((in_flight + 1) / weight)
