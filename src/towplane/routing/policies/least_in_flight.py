"""The target with the fewest attempts under way, per weight: the best choice without knowing more.

Score = in_flight / weight, the lowest wins; ties go round by turn. It follows how quick a target is
without measuring it, because a slow one keeps its attempts longer. When not: with several gateways
each sees only its own attempts (`power-of-two` herds less); it knows no prefix.
"""

from collections.abc import Collection
from math import inf
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["LeastInFlight"]


_LAST = 1e300
"""Of a target that weighs nothing: taken after all others."""


class LeastInFlight(Policy):
    """The fewest in flight per weight."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The least loaded."""
        scores = self._scores(barred)
        lowest = min(scores)
        count = scores.count(lowest)
        place = scores.index(lowest)
        for _ in range(turn % count):
            place = scores.index(lowest, place + 1)
        return place

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the load of each."""
        place = self.choose(demand, barred, turn, now)
        scores = tuple(float(score) if score < _LAST else None for score in self._scores(barred))
        return Choice(place, f"{self._roster.in_flight[place]} in flight, the fewest", scores)

    def began(self, place: int, demand: Demand, now: float) -> None:
        """The roster counts."""

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""

    def _scores(self, barred: Collection[int]) -> list[float]:
        """Of each place; what is barred is above everything, weight nought just below that."""
        roster = self._roster
        scores: list[float]
        if roster.is_even:  # the usual case, and nothing to divide
            scores = roster.in_flight if not barred else roster.in_flight.copy()  # type: ignore[assignment]
        else:
            scores = [
                count / weight if weight else _LAST
                for count, weight in zip(roster.in_flight, roster.weights, strict=True)
            ]
        for place in barred:
            scores[place] = inf
        return scores
