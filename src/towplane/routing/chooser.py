"""Which target of a route answers: groups in their order, narrowings, then the policy.

Of the first group that has a usable target one is chosen. Narrowings (roles, arms, adapters, ...)
bar places for one request; one that would leave nobody is passed over, so that a preference never
turns into a refusal. The gateway and the simulator choose by this same code.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from towplane.routing.demand import Demand, Want
from towplane.routing.narrowings import Narrowing, narrowings_of
from towplane.routing.policies import POLICIES
from towplane.routing.policies.policy import Choice
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Chooser", "Pick"]

_NONE: frozenset[int] = frozenset()


class Pick(NamedTuple):
    """A target, by its group and its place there."""

    group: int
    place: int
    rivals: int
    """How many others could have been chosen."""


class Chooser:
    """How one route chooses, in one worker."""

    __slots__ = ("_all", "_narrowings", "_only", "_policies", "rosters", "turn", "wants")

    def __init__(self, spec: RouteSpec, rosters: Sequence[Roster], *, turn: int = -1) -> None:
        self.rosters = tuple(rosters)
        make = POLICIES[spec.choose]
        self._policies = [make(roster, spec) for roster in rosters]
        narrowings = self._narrowings = narrowings_of(spec)
        self.wants: frozenset[Want] = make.wants.union(*(one.wants for one in narrowings))
        """What of a demand must be found out for this route."""
        self._all = [
            [Pick(number, place, len(roster) - 1) for place in range(len(roster))]
            for number, roster in enumerate(rosters)
        ]
        """By group and place: the choice among all of a group, made once."""
        self._only = Pick(0, 0, 0) if rosters and len(rosters[0]) == 1 else None
        """The choice where there is none: the first group has one target."""
        self.turn = turn
        """The number of the last choice."""

    def adopt(self, old: "Chooser") -> None:
        """Go on where an older one of the same route ends."""
        self.turn = old.turn
        for policy, before in zip(self._policies, old._policies, strict=False):
            if type(policy) is type(before):
                policy.adopt(before)
        old.close()

    def close(self) -> None:
        """Nothing is chosen by it any more."""
        for roster in self.rosters:
            roster.close()

    def pick(
        self,
        demand: Demand,
        tried: Sequence[str],
        now: float,
        closed: Collection[int] = _NONE,
    ) -> Pick | None:
        """A target that this request has not tried, of a group that is not closed to it
        (`routing.fallbacks`); None: there is none."""
        only = self._only
        if only is not None and not tried and not self.rosters[0].suspects:
            return only
        found = self.look(demand, tried, now, self.turn + 1, closed)
        if found is not None:
            self.turn += 1 if found.rivals else self.takes_turn(found, tried)
        return found

    def takes_turn(self, pick: Pick, tried: Sequence[str]) -> bool:
        """Whether a choice counts as a turn: a target that never has a rival takes none."""
        return bool(tried) or len(self.rosters[pick.group]) > 1

    def look(
        self,
        demand: Demand,
        tried: Sequence[str],
        now: float,
        turn: int,
        closed: Collection[int] = _NONE,
    ) -> Pick | None:
        """What `pick` would answer at this turn; nothing changes."""
        for number, roster in enumerate(self.rosters):
            if number in closed:
                continue
            barred: Collection[int] = _NONE
            if self._narrowings or tried or roster.suspects:  # a fleet that is well is not asked
                barred = self._barred(roster, demand, tried, now)
            rivals = len(roster.names) - len(barred) - 1
            if rivals > 0:
                place = self._policies[number].choose(demand, barred, turn, now)
                return Pick(number, place, rivals) if barred else self._all[number][place]
            if rivals == 0:
                place = next(at for at in range(len(roster)) if at not in barred)
                return Pick(number, place, 0)
        return None

    def weigh(
        self, pick: Pick, demand: Demand, tried: Sequence[str], now: float, turn: int
    ) -> Choice:
        """The reason of a pick, and what was compared."""
        roster = self.rosters[pick.group]
        if not pick.rivals:
            alone = len(roster) == 1 and not tried
            reason = "the only target" if alone else "the only usable target"
            if self.passed_over(pick.group, demand, now) and not tried:
                reason = "the only target that is left"
            return Choice(pick.place, reason)
        barred = self._barred(roster, demand, tried, now)
        return self._policies[pick.group].weigh(demand, barred, turn, now)

    def scores(self, group: int, demand: Demand, now: float, turn: int) -> tuple[float | None, ...]:
        """Of each place of a group, what its policy compares; empty: nothing."""
        barred = self._barred(self.rosters[group], demand, (), now)
        if len(self.rosters[group]) - len(barred) < 2:
            return ()
        return self._policies[group].weigh(demand, barred, turn, now).scores

    def passed_over(self, group: int, demand: Demand, now: float) -> dict[int, str]:
        """The places of a group that a narrowing bars for this demand, and which one."""
        roster = self.rosters[group]
        barred: set[int] = set(roster.barred(now))
        found: dict[int, str] = {}
        for narrowing in self._narrowings:
            more = set(narrowing.bars(roster, demand, now)) - barred
            if more and len(barred | more) < len(roster):
                found |= dict.fromkeys(more, _say(narrowing, demand))
                barred |= more
        return found

    def began(self, group: int, place: int, demand: Demand, now: float) -> int:
        """An attempt for this demand starts there; the prompt tokens that it has to compute."""
        return self._policies[group].began(place, demand, now)

    def _barred(
        self, roster: Roster, demand: Demand, tried: Sequence[str], now: float
    ) -> Collection[int]:
        barred = roster.barred(now)
        if tried:
            places = roster.places
            barred = {*barred, *(places[name] for name in tried if name in places)}
        for narrowing in self._narrowings:
            more = narrowing.bars(roster, demand, now)
            if more:
                wider = {*barred, *more}
                if len(wider) < len(roster):
                    barred = wider
        return barred


def _say(narrowing: Narrowing, demand: Demand) -> str:
    """Why, for one demand, as exactly as it can be said."""
    say: Callable[[Demand], str] | None = getattr(narrowing, "say", None)
    return narrowing.name if say is None else say(demand)
