"""The least work before the first token: what is not cached of this prompt, and what waits there.

Score = (prompt tokens that the target has not seen, the first 256 of them three times + prompt
tokens sent there that have no first token yet + `prefix.request_cost` × attempts in flight) /
weight, the lowest wins. All of it is in tokens of prefill, so no rate has to be known; what a
target has seen is `prefix`'s table of blocks. What is computed delays all who decode there and wait
behind it, which is why it counts for more than its own time; that a long prefix is copied serves
those who ask for it next, which is why that is bounded.
A conversation stays where its cache is until the queue there is longer than what the cache saves;
a hot prefix is copied to another target as soon as computing it there is quicker than waiting, and
is then on both. Nothing has to be tuned for either.

Of a prompt that nobody has seen much of, its home on a ring (`chwbl`) is believed to have
`prefix.trust` of the rest: gateways that share nothing thus send a prefix to the same target, and
find it again after a restart, as long as that costs little.

When: own engines with prefix caching, conversations, shared documents, prompts of different length.
When not: prompts that never repeat (`least-in-flight` is simpler and as good), managed APIs.
"""

from collections.abc import Collection
from typing import ClassVar, Final

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.chwbl import Homes
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, but_parked, first_lowest, lowest
from towplane.routing.policies.seen import SeenPrompts
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["LeastWork"]

_DEARER: Final = 2.0
_MOST: Final = 512.0
"""Tokens that each token to compute counts for others, and the most of them. KubeAI's threads are
computed anew half as often as without (docs/simulation.md); without a bound, a hot prefix stays too
long where it is."""


class LeastWork:
    """The least work before the first token."""

    wants: ClassVar[frozenset[Want]] = frozenset(("prefix", "blocks", "size"))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._cost = spec.prefix.request_cost
        self._trust = spec.prefix.trust
        self._seen = SeenPrompts(roster, spec.prefix)
        self._homes = Homes(roster, spec.hashing.virtual_nodes)
        self._loads, self._in_flight = roster.loads, roster.in_flight
        self._weights = roster.weights
        self._paces = [1 / max(weight, 1) for weight in roster.weights]
        """What a token of work counts."""
        self._waits = [0.0] * len(roster)
        """Work that is there already, per weight."""
        for place in range(len(roster)):
            self._changed(place)
        roster.watchers.append(self._changed)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The least work."""
        return self._find(demand, barred, turn)[0]

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the work of each, in tokens."""
        place, depth, is_home = self._find(demand, barred, turn)
        depths, weights = self._seen.depths(demand), self._roster.weights
        left, waits = self._seen.left, self._waits
        scores = tuple(
            None
            if at in barred or wait >= LAST
            else wait + _dear(left(demand, depths[at])) / weights[at]
            for at, wait in enumerate(waits)
        )
        said = self._seen.say(place, demand)
        if not depth and not said.startswith("cached"):
            said = "home of a prompt that nobody has seen" if is_home else "has not seen it"
        work = self._work(place)
        return Choice(place, f"{said}, {work} tokens of work before it", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """It has seen this prompt."""
        return self._seen.note(place, demand)

    def adopt(self, old: Policy) -> None:
        """What the targets have seen, by their names, and the ring."""
        assert isinstance(old, LeastWork)
        self._seen.adopt(old._seen)
        self._homes.adopt(old._homes)

    def _find(self, demand: Demand, barred: Collection[int], turn: int) -> tuple[int, float, bool]:
        """The place, leading blocks of the prompt that it has seen, and whether it was taken as the
        home of a prompt that nobody has seen."""
        barred = but_parked(self._roster, barred)
        waits, paces, seen = self._waits, self._paces, self._seen
        least = first_lowest(waits, barred, turn)
        found, deepest, work = least, 0.0, waits[least] + _dear(demand.tokens) * paces[least]
        for depth, mask in seen.levels(demand, barred):
            rest = _dear(seen.left(demand, depth))
            if self._roster.is_even and waits[least] + rest * paces[least] >= work:
                break  # whoever has seen less cannot be better
            place = least
            if not seen.has(mask, least):
                places = seen.places_in(mask)
                place = places[0]
                if len(places) > 1:
                    here = [waits[at] + rest * paces[at] for at in places]
                    place = places[lowest(here, (), turn)]
            if waits[place] + rest * paces[place] < work:
                found, deepest, work = place, depth, waits[place] + rest * paces[place]
        if self._trust and not deepest and demand.prefix:
            home = self._homes.home(demand.prefix, barred)
            rest = _dear(demand.tokens * (1 - self._trust))
            if waits[home] + rest * paces[home] < work:
                return home, 0.0, True
        return found, deepest, False

    def _changed(self, place: int) -> None:
        weight = self._weights[place]
        work = self._loads[place].queued + self._cost * self._in_flight[place]
        self._waits[place] = work / weight if weight else LAST

    def _work(self, place: int) -> int:
        return self._loads[place].queued + self._cost * self._in_flight[place]


def _dear(tokens: float) -> float:
    """What so many tokens to compute count."""
    more = _DEARER * tokens
    return tokens + (more if more < _MOST else _MOST)
