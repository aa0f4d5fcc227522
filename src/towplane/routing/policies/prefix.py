"""To whom has seen most of the prompt; to the shortest queue when the queues are too uneven.

The table of blocks (`routing.prefixes`) says how many leading blocks each target got lately. If max
− min > `prefix.imbalance` (64) and max > `prefix.ratio` (1.5) × min, both of attempts in flight per
weight, the shortest queue wins. Else, if the best match is at least `prefix.threshold` (30 %) of
the prompt's blocks, the least loaded of those that match best; else the least loaded of all. That
is `cache_aware` of SGLang's router (SMG `cache_aware.rs`; defaults of its command line).

When: as a baseline that others have measured. When not: the two thresholds do not carry over from
one fleet to another, and a hot prefix stays on one target up to the limit (`least-work` weighs what
is cached against what is queued).
"""

from collections.abc import Collection
from typing import ClassVar

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import but_parked, extent, loads_of, lowest
from towplane.routing.policies.seen import SeenPrompts
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["PrefixPolicy"]


class PrefixPolicy:
    """The longest match, unless the queues are uneven."""

    wants: ClassVar[frozenset[Want]] = frozenset(("blocks", "size"))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._spec = spec.prefix
        self._loads = loads_of(roster)
        self._seen = SeenPrompts(roster, spec.prefix)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The best match, or the shortest queue."""
        return self._find(demand, barred, turn)[0]

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the share of the prompt that each has seen."""
        place, why = self._find(demand, barred, turn)
        depths = self._seen.depths(demand)
        scores = tuple(
            None if at in barred else self._seen.share(demand, depth)
            for at, depth in enumerate(depths)
        )
        said = f"{why or self._seen.say(place, demand)}; {self._roster.in_flight[place]} in flight"
        return Choice(place, said, scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """It has seen this prompt."""
        return self._seen.note(place, demand)

    def adopt(self, old: Policy) -> None:
        """What the targets have seen, by their names."""
        assert isinstance(old, PrefixPolicy)
        self._seen.adopt(old._seen)

    def _find(self, demand: Demand, barred: Collection[int], turn: int) -> tuple[int, str]:
        """The place, and why; empty: it matches best."""
        barred = but_parked(self._roster, barred)
        loads, spec, seen = self._loads, self._spec, self._seen
        least, most = extent(loads, barred)
        if most - least > spec.imbalance and most > spec.ratio * least:
            return lowest(loads, barred, turn), "the queues are uneven: the shortest"
        levels = seen.levels(demand, barred)
        if levels and seen.share(demand, levels[0][0]) >= spec.threshold:
            places = seen.places_in(levels[0][1])
            return places[lowest([loads[place] for place in places], (), turn)], ""
        return lowest(loads, barred, turn), "nobody has seen it"
