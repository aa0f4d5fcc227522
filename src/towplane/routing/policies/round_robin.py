"""Each target in its turn: for equal targets and equal requests, or as a baseline.

Place = usable[turn mod n]. When not: requests of very different length pile up on whoever gets the
long ones, because nothing is looked at.
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import but_parked, nth_left
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["RoundRobin"]


class RoundRobin:
    """Each in its turn."""

    wants: ClassVar[frozenset[Want]] = frozenset()

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The one whose turn it is."""
        barred = but_parked(self._roster, barred)
        if not barred:
            return turn % len(self._roster)
        return nth_left(turn % (len(self._roster) - len(barred)), barred)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """It compares nothing."""
        count = len(self._roster) - len(but_parked(self._roster, barred))
        place = self.choose(demand, barred, turn, now)
        return Choice(place, f"turn {turn % count + 1} of {count}")

    def began(self, place: int, demand: Demand, now: float) -> int:
        """Nothing to learn."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""
