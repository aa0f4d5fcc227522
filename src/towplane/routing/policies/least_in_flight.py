"""The target with the fewest attempts under way, per weight: the best choice without knowing more.

Score = in_flight / weight, the lowest wins; ties go round by turn. It follows how quick a target is
without measuring it, because a slow one keeps its attempts longer. When not: with several gateways
each sees only its own attempts (`power-of-two` herds less); it knows no prefix.
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, loads_of, lowest
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["LeastInFlight"]


class LeastInFlight:
    """The fewest in flight per weight."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._loads = loads_of(roster)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The least loaded."""
        return lowest(self._loads, barred, turn)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the load of each."""
        place = self.choose(demand, barred, turn, now)
        scores = tuple(
            float(load) if load < LAST and at not in barred else None
            for at, load in enumerate(self._loads)
        )
        return Choice(place, f"{self._roster.in_flight[place]} in flight, the fewest", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """The roster counts."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""
