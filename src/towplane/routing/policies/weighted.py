"""In proportion to the weights, evenly spread over the turns: for shares that somebody decided.

Turn t falls on the point t·φ mod 1 of the usable weights laid end to end; the sequence has low
discrepancy, so the shares hold over short runs too (Weyl's equidistribution theorem). When not: to
balance load, because nothing is looked at.
"""

from collections.abc import Collection
from typing import ClassVar, Final

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.line import Line
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import nth_left
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Weighted"]

_GOLDEN: Final = 0.6180339887498949
"""(√5 − 1)/2: multiples of it, modulo 1, fill the unit interval evenly at every length."""


class Weighted:
    """A share for each."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._line = Line(roster.weights)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The one on whose part of the line the turn falls."""
        length = self._line.length(barred)
        if length == 0:
            return nth_left(turn % (len(self._roster) - len(barred)), barred)
        return self._line.place((turn * _GOLDEN) % 1.0 * length, barred)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the share of each."""
        weights = self._roster.weights
        total = self._line.length(barred)
        place = self.choose(demand, barred, turn, now)
        if total == 0:
            left = len(weights) - len(barred)
            return Choice(place, f"turn {turn % left + 1} of {left}")
        scores = tuple(
            None if at in barred else weight / total for at, weight in enumerate(weights)
        )
        return Choice(place, f"weight {weights[place]} of {total}", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """Nothing to learn."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""
