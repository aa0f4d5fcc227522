"""Requests divided among arms: which arm one falls into, and the narrowing to that arm's targets.

Every arm draws a time from what the request falls by (its own number, its tenant or its session)
and the arm's name, exponential with the arm's weight as its rate; the first one has it. So an arm
gets its share of the weights, in any order of the arms and in every worker, and nothing is
remembered. Knows no target's health: an arm without a usable target is passed over by the chooser.

The laws: the same key falls into the same arm as long as seed, names and weights stay; when weights
change, a key only moves to an arm that grew more than its own, so that, if one arm's weight
changes, exactly the moved share moves; with any change at most 2δ/(1 + δ) move, where δ is the
least that could (Bavarian, Ghazi, Haramaty, Kamath, Rivest and Sudan, "On the optimality of
correlated sampling strategies", 2016).
"""

import math
from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b

from towplane.routing.demand import Demand, Want
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec, Split, TargetSpec

__all__ = ["Division", "SplitNarrowing", "arms_by_target", "hash_of"]

_WIDTH = 1 << 64
_NOBODY: tuple[int, ...] = ()
_WANTS: dict[str, frozenset[Want]] = {
    "request": frozenset(("draw",)),
    "tenant": frozenset(("draw",)),  # a demand is made at all only where something is wanted
    "session": frozenset(("session", "draw")),
}


class Division:
    """Keys of 64 bits divided among arms."""

    __slots__ = ("_arms",)

    def __init__(self, split: Split) -> None:
        self._arms = tuple(
            (name, hash_of(f"{split.seed}\0{name}"), 1.0 / weight)
            for name, weight in split.arms.items()
            if weight
        )

    def arm_of(self, key: int) -> str:
        """The arm that a key falls into; nothing where no arm weighs anything."""
        first, found = math.inf, ""
        for name, salt, mean in self._arms:
            mixed = (key ^ salt) * 0xBF58476D1CE4E5B9 % _WIDTH  # SplitMix64's finish, as `chance`
            mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % _WIDTH
            mixed = (mixed ^ mixed >> 31) * 0x9E3779B97F4A7C15 % _WIDTH
            at = -math.log(((mixed ^ mixed >> 32) + 1) / _WIDTH) * mean
            if at < first:
                first, found = at, name
        return found


class SplitNarrowing:
    """Bars the targets of the other arms."""

    name = "in another arm of the split"

    def __init__(self, split: Split) -> None:
        self.by = split.by
        self.wants = _WANTS[split.by]
        self._division = Division(split)
        self._others: dict[tuple[Roster, str], frozenset[int]] = {}
        """Found once: the seats of a roster do not change, and it lives as long as its chooser."""

    def bars(self, roster: Roster, demand: Demand, now: float) -> Collection[int]:
        """A target without an arm serves all of them."""
        arm = self.arm_of(demand)
        if not arm:
            return _NOBODY
        others = self._others.get((roster, arm))
        if others is None:
            others = self._others[roster, arm] = frozenset(
                place for place, seat in enumerate(roster.seats) if seat.arm not in ("", arm)
            )
        return others

    def arm_of(self, demand: Demand) -> str:
        """The arm that a request falls into."""
        if self.by == "tenant":
            return self._division.arm_of(_of_tenant(demand.tenant))
        if self.by == "session" and demand.session:
            return self._division.arm_of(demand.session)
        return self._division.arm_of(demand.draw)


def arms_by_target(model: str, spec: RouteSpec) -> dict[str, str]:
    """The arm of each target, by `PROVIDER/MODEL` or the engine's name, of a route as it stands: a
    target belongs to one arm of a route, so that its name says what it was tried for."""
    steps = (*spec.targets, *(step for step in spec.fallback if isinstance(step, TargetSpec)))
    found: dict[str, str] = {}
    for step in steps:
        if step.arm and step.provider is not None:
            found[f"{step.provider}/{step.model or model}"] = step.arm
        elif step.arm and step.engine is not None:
            found[step.engine] = step.arm
    return found


def hash_of(text: str) -> int:
    """64 bits, the same in every worker."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


_of_tenant = lru_cache(maxsize=4096)(hash_of)
