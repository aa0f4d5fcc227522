"""The targets of one group of a route, as lists of plain numbers by place: what policies look at.

A roster is made anew when the document or the fleet changes. Which of its places may not be chosen
is looked up only for those that somebody suspects (`Load.suspect`), so that a fleet that is well
costs nothing to check. The law: `barred` names exactly the places for which `is_usable` is false.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from towplane.routing.load import Load

__all__ = ["Roster", "Seat"]

_NOBODY: frozenset[int] = frozenset()


class Seat(NamedTuple):
    """A target in a group, and what the document says of it there."""

    load: Load
    weight: int = 1
    role: str = ""
    """`strong`, `weak` or nothing (`routing.complexity`)."""
    arm: str = ""
    """The arm of a split that it belongs to (`routing.splits`)."""
    is_own: bool = False
    """Whether it is an engine of the vendor's own."""


class Roster:
    """One group of targets."""

    __slots__ = ("_is_usable", "in_flight", "is_even", "loads", "managed", "names", "newcomers",
                 "outliers", "own", "parked", "places", "seats", "suspects", "watchers",
                 "weights")  # fmt: skip

    def __init__(self, seats: Sequence[Seat], is_usable: Callable[[int, float], bool]) -> None:
        """`is_usable` says of a place and a time whether it may be chosen."""
        self.seats = tuple(seats)
        self.loads = [seat.load for seat in seats]
        self.names = [load.name for load in self.loads]
        self.places = {name: place for place, name in enumerate(self.names)}
        self.weights = [seat.weight for seat in seats]
        self.is_even = len(set(self.weights)) <= 1 and all(self.weights)
        """Whether all weigh the same, and something."""
        self.parked = frozenset(place for place, weight in enumerate(self.weights) if not weight)
        """The places of weight 0: only taken when no other may be."""
        self.own = frozenset(place for place, seat in enumerate(self.seats) if seat.is_own)
        self.managed = frozenset(range(len(self.seats))) - self.own
        """The places of the vendor's engines, and of all others (`routing.overflow`)."""
        self.in_flight = [load.in_flight for load in self.loads]
        self.watchers: list[Callable[[int], None]] = []
        """Called with the place whose load is different from before: what policies compare is kept
        in lists of their own, so that choosing computes nothing for each target."""
        self.suspects = set(range(len(seats)))
        self._is_usable = is_usable
        self.outliers: dict[int, float] = {}
        """The places that are left out, and until when (`routing.outliers`)."""
        self.newcomers = {
            place: load.came_at for place, load in enumerate(self.loads) if load.came_at
        }
        """The places whose target came, or came back, and when (`routing.slow_start`)."""
        for place, load in enumerate(self.loads):
            load.enter(self, place)

    def __len__(self) -> int:
        return len(self.names)

    def close(self) -> None:
        """Another roster takes its place."""
        for load in self.loads:
            load.leave(self)

    def standing(self, in_flight: Sequence[int], barred: Collection[int]) -> ExitStack:
        """For as long as it is looked at: as it stood at another time, with these loads and these
        barred."""
        before = self.in_flight.copy(), self.suspects, self._is_usable
        leaving = ExitStack()
        leaving.callback(self._stand, *before)
        self._stand(in_flight, set(barred), lambda place, _now: place not in barred)
        return leaving

    def _stand(
        self,
        in_flight: Sequence[int],
        suspects: set[int],
        is_usable: Callable[[int, float], bool],
    ) -> None:
        self.in_flight[:] = in_flight
        self.suspects, self._is_usable = suspects, is_usable
        self._tell_watchers()

    def barred(self, now: float) -> Collection[int]:
        """The places that may not be chosen now."""
        if not self.suspects:
            return _NOBODY
        barred = {place for place in self.suspects if not self._is_usable(place, now)}
        self.suspects &= barred
        return barred

    def _tell_watchers(self) -> None:
        for changed in self.watchers:
            for place in range(len(self)):
                changed(place)
