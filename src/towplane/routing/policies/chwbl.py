"""Consistent hashing with bounded loads: equal prefixes to the same target, but none overloaded.

A key's home is the first target clockwise on a ring with 256 points for each. Walking on from
there, the first with in_flight + 1 ≤ ⌈c × (total + 1) × w / Σw⌉ takes it; total and Σw are over
usable targets, c is `hashing.load_factor` = 1.25, so that none ever has more than that (Mirrokni,
Thorup, Zadimoghaddam, arXiv 1608.01350). With `replication` k the first k successive targets are
all homes, the least loaded first. The key is the hash of how the prompt begins (`hashing`), salted
by tenant; a prompt without one goes to the least in flight. KubeAI's PrefixHash has the same
figures.

When: several gateways that share nothing and yet must agree; conversations. When not: a prefix that
is asked for more than others overflows along the ring in small change, each part without a cache
(`least-work` copies it where that pays); prompts of very different length, as requests are counted.
"""

from collections.abc import Collection, Iterator
from math import ceil
from typing import ClassVar, Final

from towplane.routing.demand import Demand, Want
from towplane.routing.policies.policy import Choice, Policy
from towplane.routing.policies.scan import LAST, but_parked, loads_of, lowest
from towplane.routing.ring import ID_MASK, Ring
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec

__all__ = ["Bound", "Chwbl", "Homes"]

_MOST_POINTS: Final = 4096
"""Of one target, however much it weighs."""
_LONGEST_WALK: Final = 2048
"""Points, before the search ends with the least loaded: so many are passed only when nearly nobody
is usable."""
_ROUNDING: Final = 1e-9
"""So that 1.1 × 10 is not 12."""


class Chwbl:
    """Consistent hashing with bounded loads."""

    wants: ClassVar[frozenset[Want]] = frozenset(("prefix",))

    def __init__(self, roster: Roster, spec: RouteSpec) -> None:
        self._roster = roster
        self._loads = loads_of(roster)
        self._factor = spec.hashing.load_factor
        self._replication = spec.hashing.replication
        self._homes = Homes(roster, spec.hashing.virtual_nodes)

    def choose(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> int:
        """The first on the ring that is below the bound."""
        return self._find(demand, barred, turn)[0]

    def weigh(self, demand: Demand, barred: Collection[int], turn: int, now: float) -> Choice:
        """With the load of each by its bound; one of 1 or more is passed."""
        place, passed = self._find(demand, barred, turn)
        bound = Bound(self._roster, but_parked(self._roster, barred), self._factor)
        in_flight = self._roster.in_flight
        scores = tuple(
            None if at in barred else in_flight[at] / max(bound.of(at), 1)
            for at in range(len(in_flight))
        )
        if not demand.prefix:
            return Choice(place, f"no prefix; {in_flight[place]} in flight, the fewest", scores)
        said = "home of its prefix" if not passed else f"{passed} before it on the ring are full"
        return Choice(place, f"{said}, {in_flight[place]} of {bound.of(place)} in flight", scores)

    def began(self, place: int, demand: Demand, now: float) -> int:
        """Where prefixes live follows from names alone."""
        return demand.tokens

    def adopt(self, old: Policy) -> None:
        """The ring, with the points of those that stay."""
        assert isinstance(old, Chwbl)
        self._homes.adopt(old._homes)

    def _find(self, demand: Demand, barred: Collection[int], turn: int) -> tuple[int, int]:
        """The place, and how many were passed because they are full."""
        barred = but_parked(self._roster, barred)
        if not demand.prefix:
            return lowest(self._loads, barred, turn), 0
        bound, loads = Bound(self._roster, barred, self._factor), self._loads
        in_flight = self._roster.in_flight
        homes: list[int] = []
        passed = 0
        for place in self._homes.walk(demand.prefix, barred):
            if len(homes) < self._replication:
                homes.append(place)
                if len(homes) < self._replication:
                    continue
                homes.sort(key=loads.__getitem__)
                for home in homes:
                    if in_flight[home] < bound.of(home):
                        return home, 0
                passed = len(homes)
            elif in_flight[place] < bound.of(place):
                return place, passed
            else:
                passed += 1
        return lowest(loads, barred, turn), passed  # fewer targets than homes, or a long walk


class Bound:
    """How many each of the usable targets may have in flight, one more than now included."""

    __slots__ = ("_even", "_share", "_weights")

    def __init__(self, roster: Roster, barred: Collection[int], factor: float) -> None:
        in_flight, weights = roster.in_flight, roster.weights
        total = sum(in_flight) + 1 - sum([in_flight[place] for place in barred])
        self._weights = weights
        self._even = 0
        if roster.is_even:
            self._even = _up(factor * total / (len(weights) - len(barred)))
        else:
            left = sum(weights) - sum([weights[place] for place in barred])
            self._share = factor * total / left if left else LAST

    def of(self, place: int) -> int:
        """The most that this one may have."""
        return self._even or _up(self._share * self._weights[place])


class Homes:
    """A ring of the targets of a roster; made when it is first needed."""

    def __init__(self, roster: Roster, points: int) -> None:
        self._roster = roster
        least = min((weight for weight in roster.weights if weight), default=1)
        self._points = {
            name: min(round(points * weight / least), max(points, _MOST_POINTS))
            for name, weight in zip(roster.names, roster.weights, strict=True)
        }
        self._ring: Ring | None = None
        self._places: list[int] = []

    def adopt(self, old: "Homes") -> None:
        """Go on with a ring: only the points of those that came or left change."""
        if old._ring is not None:
            self._take(old._ring)

    def home(self, key: int, barred: Collection[int]) -> int:
        """The first of them."""
        ring = self._ring
        if ring is not None and ring.points:
            place = self._places[ring.points[ring.first(key)] & ID_MASK]
            if place not in barred:
                return place
        for place in self.walk(key, barred):
            return place
        return next(at for at in range(len(self._roster)) if at not in barred)

    def walk(self, key: int, barred: Collection[int]) -> Iterator[int]:
        """The places that may be chosen, in the order in which they follow the key."""
        ring = self._ring
        if ring is None:
            ring = self._take(Ring())
        points, places, first = ring.points, self._places, ring.first(key)
        seen = set(barred)
        last = min(first + _LONGEST_WALK, first + len(points))
        for index in range(first - len(points), last - len(points)):
            place = places[points[index] & ID_MASK]
            if place not in seen:
                seen.add(place)
                yield place

    def _take(self, ring: Ring) -> Ring:
        ring.place(self._points)
        places = self._roster.places
        self._places = [places.get(name, -1) for name in ring.owners]
        self._ring = ring
        return ring


def _up(number: float) -> int:
    return ceil(number - _ROUNDING)
