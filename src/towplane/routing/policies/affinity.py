"""A session stays where it is: for state that an engine or a provider keeps of its users.

The target that answered a session's last request answers the next while it is usable and has
in_flight + 1 ≤ ⌈c × (total + 1) × w / Σw⌉ (c = `affinity.load_factor` = 2, the bound of `chwbl`);
else the session moves to the least in flight, as one that is new or was silent for `affinity.ttl`
(an hour). Sessions are remembered by hash, `affinity.sessions` of them in each worker, those that
were silent longest forgotten first. When not: several workers or gateways behind a balancer that
does not keep a session at one of them (`chwbl` with `hashing` agrees without talking).
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.chwbl import Bound
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import but_parked, loads_of, lowest
from towplane.routing.recent import Recent
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Affinity"]


class Affinity:
    """Each session to its own target."""

    wants: ClassVar[frozenset[Want]] = frozenset(("session",))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._loads = loads_of(roster)
        self._ttl_s = spec.affinity.ttl_s
        self._factor = spec.affinity.load_factor
        self._sessions: Recent[tuple[str, float]] = Recent(spec.affinity.sessions)
        """The name of the target, and when it was last asked."""

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """Where the session was, or the least loaded."""
        barred = but_parked(self._roster, barred)
        place = self._last(demand, now)
        if place is not None and self._may_stay(place, barred):
            return place
        return lowest(self._loads, barred, turn)

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the load of each."""
        place = self.choose(demand, barred, turn, now)
        last, in_flight = self._last(demand, now), self._roster.in_flight
        scores = tuple(None if at in barred else float(load) for at, load in enumerate(in_flight))
        if last is None:
            known = "a session that is new here" if demand.session else "no session"
        elif self._may_stay(last, but_parked(self._roster, barred)):
            return Choice(place, f"its session's target, {in_flight[place]} in flight", scores)
        else:
            why = "may not be chosen" if last in barred else "is full"
            known = f"its session's target {self._roster.names[last]} {why}"
        return Choice(place, f"{known}; {in_flight[place]} in flight, the fewest", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """The session is there now."""
        if demand.session:
            self._sessions.put(demand.session, (self._roster.names[place], now))
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """The sessions, by the names of their targets."""
        assert isinstance(old, Affinity)
        self._sessions.adopt(old._sessions)

    def _last(self, demand: Demand, now: float) -> int | None:
        """The place of the session's target, if it is remembered and still there."""
        found = self._sessions.get(demand.session)
        if found is None or now - found[1] > self._ttl_s:
            return None
        return self._roster.places.get(found[0])

    def _may_stay(self, place: int, barred: Collection[int]) -> bool:
        if place in barred:
            return False
        return self._roster.in_flight[place] < Bound(self._roster, barred, self._factor).of(place)
