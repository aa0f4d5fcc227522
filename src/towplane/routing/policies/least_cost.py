"""The cheapest for this request: for managed APIs that differ in price and not in quality.

Score = input price × input tokens + output price × reserved output tokens, the lowest wins; of
equal ones the least in flight. An unknown price is not a low one: such targets come last, and so do
those of weight 0. When not: it sees no load; one cheap target gets everything until it refuses
(`cheapest-in-slo` stops earlier), and a price that is paid by the hour counts as the document says.
"""

from collections.abc import Collection
from typing import ClassVar, Final

from towplane.routing.demand import Demand, Want
from towplane.routing.load import Price
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import but_parked, loads_of, lowest
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["LeastCost", "Tariffs", "cost_of"]

_NANO: Final = 1e9
_PER: Final = 1_000_000
"""Tokens that a price is for."""


class LeastCost:
    """The lowest expected cost."""

    wants: ClassVar[frozenset[Want]] = frozenset(("size",))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:  # the shape
        self._roster = roster
        self._loads = loads_of(roster)
        self._tariffs = Tariffs(roster)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The cheapest."""
        barred = but_parked(self._roster, barred)
        for places in self._tariffs.by_cost(demand):
            left = [place for place in places if place not in barred] if barred else places
            if left:
                loads = self._loads
                return left[lowest([loads[place] for place in left], (), turn)]
        raise AssertionError("somebody is left")

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the cost of each, in dollars."""
        place = self.choose(demand, barred, turn, now)
        loads = self._roster.loads
        costs = [cost_of(load.price, demand) for load in loads]
        scores = tuple(
            None if cost is None or at in barred else cost / _NANO for at, cost in enumerate(costs)
        )
        cost = costs[place]
        if cost is None:
            return Choice(place, "of nobody left is the price known", scores)
        return Choice(place, f"about {cost / _NANO:.6f} USD, the cheapest", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """Nothing to learn."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """Nothing was learned."""


class Tariffs:
    """The places of a roster by what they cost: few prices, however many targets."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._prices: list[Price | None] = [None] * len(roster)
        self._places: dict[Price | None, list[int]] = {None: list(range(len(roster)))}
        for place in range(len(roster)):
            self._changed(place)
        roster.watchers.append(self._changed)

    def by_cost(self, demand: Demand) -> list[list[int]]:
        """Those that cost this request the same, the cheapest first, the unknown last."""
        places = self._places
        if len(places) == 1:
            return [*places.values()]
        known: dict[int, list[int]] = {}
        for price, found in places.items():
            if price is not None:
                cost = price[0] * demand.tokens + price[2] * demand.output
                known[cost] = known[cost] + found if cost in known else found
        ordered = [known[cost] for cost in sorted(known)]
        if None in places:
            ordered.append(places[None])
        return ordered

    def _changed(self, place: int) -> None:
        price = self._roster.loads[place].price
        before = self._prices[place]
        if price == before:
            return
        self._prices[place] = price
        self._places[before].remove(place)
        if not self._places[before]:
            del self._places[before]
        self._places.setdefault(price, []).append(place)


def cost_of(price: Price | None, demand: Demand) -> int | None:
    """Nano-dollars of a demand whose whole reserve is used; None: the price is unknown."""
    if price is None:
        return None
    return (price[0] * demand.tokens + price[2] * demand.output) // _PER
