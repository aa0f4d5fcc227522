"""In proportion to the weights, evenly spread over the turns: for shares that somebody decided.

Turn t falls on the point t·φ mod 1 of the usable weights laid end to end; the sequence has low
discrepancy, so the shares hold over short runs too (Weyl's equidistribution theorem). When not: to
balance load, because nothing is looked at.
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy, places_left
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Weighted"]

_GOLDEN = 0.6180339887498949
"""(√5 − 1)/2: multiples of it, modulo 1, fill the unit interval evenly at every length."""


class Weighted(Policy):
    """A share for each."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The one on whose part of the line the turn falls."""
        weights = self._roster.weights
        usable = places_left(self._roster, barred)
        total = sum(weights[place] for place in usable)
        if total == 0:
            return usable[turn % len(usable)]
        point = (turn * _GOLDEN) % 1.0 * total
        reached = 0
        for place in usable:
            reached += weights[place]
            if point < reached:
                return place
        return usable[-1]  # unreachable but for rounding

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the share of each."""
        weights = self._roster.weights
        usable = places_left(self._roster, barred)
        total = sum(weights[place] for place in usable)
        place = self.choose(demand, barred, turn, now)
        if total == 0:
            return Choice(place, f"turn {turn % len(usable) + 1} of {len(usable)}")
        scores = tuple(
            None if at in barred else weight / total for at, weight in enumerate(weights)
        )
        return Choice(place, f"weight {weights[place]} of {total}", scores)

    def began(self, place: int, demand: Demand, now: float) -> None:
        """Nothing to learn."""

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""
