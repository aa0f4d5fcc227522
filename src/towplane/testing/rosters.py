"""Rosters and choosers without a gateway: targets that stand as a test says."""

from collections.abc import Sequence

from towplane.routing.chooser import Chooser
from towplane.routing.demand import NOTHING, Demand
from towplane.routing.explain import Explanation, Seen, explain, why_not
from towplane.routing.load import Load
from towplane.routing.roster import Roster, Seat
from towplane.routing.spec import RouteSpec

__all__ = ["explained", "make_roster", "roster_of"]


def make_roster(*targets: tuple[int, int], barred: Sequence[int] = ()) -> Roster:
    """Targets `t0`, `t1`, ... by weight and attempts in flight; all usable but the barred ones."""
    seats = []
    for number, (weight, in_flight) in enumerate(targets):
        load = Load(f"t{number}")
        load.in_flight = in_flight
        seats.append(Seat(load, weight))
    return Roster(seats, lambda place, _now: place not in barred)


def roster_of(seen: Sequence[Seen]) -> Roster:
    """The targets of a group as somebody saw them."""
    seats = []
    for one in seen:
        load = Load(one.name)
        load.in_flight = one.in_flight
        seats.append(Seat(load, one.weight))
    return Roster(seats, lambda place, _now: not why_not(seen[place]))


def explained(
    choose: str,
    groups: Sequence[Sequence[Seen]],
    *,
    turn: int = 0,
    most: int = 1,
    demand: Demand = NOTHING,
    now: float = 0.0,
) -> Explanation:
    """What a worker would do that sees these targets."""
    spec = RouteSpec(targets=[], choose=choose)
    chooser = Chooser(spec, [roster_of(group) for group in groups])
    return explain(chooser, groups, demand=demand, now=now, turn=turn, most=most)
