"""A share of chance for each, by weight: for many gateways that know nothing of each other.

Place = where chance(turn) × Σ weight falls on the usable weights laid end to end. Nothing has to be
known, agreed on or kept, and no two gateways fall into step. When not: to balance load; of n
requests on n targets the fullest gets about ln n / ln ln n (Gonnet, JACM 1981), which
`power-of-two` brings down to ln ln n.
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.chance import chance
from towplane.routing.policies.line import Line
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import nth_left
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Random"]


class Random:
    """By chance."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._line = Line(roster.weights)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The one on whom the die falls."""
        length = self._line.length(barred)
        if self._roster.is_even or not length:
            return nth_left(int(chance(turn) * (len(self._roster) - len(barred))), barred)
        return self._line.place(chance(turn) * length, barred)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the share of each."""
        weights = self._roster.weights
        length = self._line.length(barred)
        place = self.choose(demand, barred, turn, now)
        if not length:
            return Choice(place, f"by chance, 1 of {len(weights) - len(barred)}")
        scores = tuple(
            None if at in barred else weight / length for at, weight in enumerate(weights)
        )
        return Choice(place, f"by chance, weight {weights[place]} of {length}", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """Nothing to learn."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""
