"""The less loaded of two drawn at random: nearly the least loaded, without a herd.

Two distinct usable targets by chance(2·turn) and chance(2·turn + 1); the lower in_flight / weight
wins, the first at a tie. With n requests on n targets the fullest has about log₂ ln n
(Mitzenmacher, "The power of two choices in randomized load balancing", IEEE TPDS 2001). When:
several gateways share the targets and each sees only its own attempts; with `least-in-flight` all
of them would run to the one that looks idle. When not: one gateway, where looking at all is better.
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.chance import chance
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import but_parked, loads_of, nth_left
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["PowerOfTwo"]


class PowerOfTwo:
    """The better of two."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._loads = loads_of(roster)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The less loaded of the two."""
        one, other = self._draw(barred, turn)
        loads = self._loads
        return one if loads[one] <= loads[other] else other

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the loads of both."""
        one, other = self._draw(barred, turn)
        place = self.choose(demand, barred, turn, now)
        names = self._roster.names
        scores: list[float | None] = [None] * len(names)
        in_flight, weights = self._roster.in_flight, self._roster.weights
        for at in (one, other):
            scores[at] = in_flight[at] / max(weights[at], 1)
        if one == other:
            return Choice(place, "the only one that is not parked", tuple(scores))
        said = f"{in_flight[place]} in flight, the fewer of {names[one]} and {names[other]}"
        return Choice(place, said, tuple(scores))

    def began(self, place: int, demand: Demand, now: float) -> int:
        """The roster counts."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""

    def _draw(self, barred: Collection[int], turn: int) -> tuple[int, int]:
        barred = but_parked(self._roster, barred)
        left = len(self._roster) - len(barred)
        first = int(chance(2 * turn) * left)
        if left == 1:
            return nth_left(0, barred), nth_left(0, barred)
        second = int(chance(2 * turn + 1) * (left - 1))
        second += second >= first
        if not barred:
            return first, second
        return nth_left(first, barred), nth_left(second, barred)
