"""The cheapest that is quick enough; if nobody is, the quickest: price against latency by the SLO.

Among targets that cost the request the same (`least-cost`) the one with the shortest predicted time
to the first token is taken if that meets `slo.ttft`; else the next cheapest are looked at.
Predicted = peak EWMA (`routing.latency`, τ = 10 s), × (in_flight + 1) / (in flight at that peak)
where more is in flight now: a cheap target is left as it fills up, not when it has failed, and as
its bad time is forgotten it is tried again. One that was never heard of is quick enough for one
attempt. If nobody is quick enough, the lowest prediction wins. When not: without `slo.ttft` it is
`least-cost`; prompts of very different length need an SLO that the longest can meet.
"""

from collections.abc import Collection
from math import exp, inf, log
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.latency import DECAY_S
from towplane.routing.policies.least_cost import Tariffs, cost_of
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, but_parked, lowest
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["CheapestInSlo"]


class CheapestInSlo:
    """The cheapest of those that are quick enough."""

    wants: ClassVar[frozenset[Want]] = frozenset(("size",))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._tariffs = Tariffs(roster)
        self._slo_s = spec.slo.ttft_s if spec.slo.ttft_s is not None else inf
        self._ranks = [self._rank(place) for place in range(len(roster))]
        """ln(prediction) + t/τ, as in `PeakEwma.rank`."""
        roster.watchers.append(self._changed)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The cheapest in time."""
        return self._find(demand, barred, turn, now)[0]

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the predicted time of each, in seconds."""
        place, is_in_time = self._find(demand, barred, turn, now)
        scores = tuple(
            exp(rank - now / DECAY_S) if at not in barred and abs(rank) < LAST else None
            for at, rank in enumerate(self._ranks)
        )
        if not is_in_time:
            return Choice(place, "nobody is quick enough: the quickest", scores)
        cost = cost_of(self._roster.loads[place].price, demand)
        said = "of unknown price" if cost is None else f"about {cost / 1e9:.6f} USD"
        return Choice(place, f"{said}, the cheapest that is quick enough", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """The load is told."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """The loads keep what was learned."""

    def _find(
        self, demand: Demand, barred: Collection[int], turn: int, now: float
    ) -> tuple[int, bool]:
        """The place, and whether it is quick enough."""
        barred = but_parked(self._roster, barred)
        ranks = self._ranks
        enough = log(self._slo_s) + now / DECAY_S if self._slo_s < inf else None
        for places in self._tariffs.by_cost(demand):
            left = [place for place in places if place not in barred] if barred else places
            if not left:
                continue
            place = left[lowest([ranks[place] for place in left], (), turn)]
            if enough is None or ranks[place] <= enough:
                return place, True
        return lowest(ranks, barred, turn), False

    def _changed(self, place: int) -> None:
        self._ranks[place] = self._rank(place)

    def _rank(self, place: int) -> float:
        latency, in_flight = self._roster.loads[place].latency, self._roster.in_flight[place]
        if latency.rank == -inf:
            return LAST if in_flight else -LAST
        return latency.rank + log(max(1.0, (in_flight + 1) / latency.in_flight))
