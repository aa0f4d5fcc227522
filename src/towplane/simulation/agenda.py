"""Virtual time: what will happen, in order; knows nothing of what happens.

Events of the same moment happen in the order in which they were noted, so that a run is the same
each time. The law: no event lies in the past, and `now` never goes back.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from math import inf, nextafter
from typing import Protocol

__all__ = ["Agenda", "Dated"]


class Dated(Protocol):
    """Something that comes at a time."""

    @property
    def at(self) -> float:
        """Seconds since the start."""
        ...


Happen = Callable[[float, object], None]


class Agenda:
    """The events to come. Whoever notes one is called with the time and what it noted."""

    __slots__ = ("_heap", "_serial", "events", "now")

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        """How many have happened."""
        self._heap: list[tuple[float, int, Happen, object]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, when: float, happen: Happen, what: object) -> None:
        """`happen(when, what)` at that time."""
        if when < self.now:
            raise ValueError(f"an event at {when} lies before {self.now}")
        self._serial = serial = self._serial + 1
        heappush(self._heap, (when, serial, happen, what))

    def run(
        self, stream: Iterator[Dated], arrive: Callable[[float, Dated], None], until: float
    ) -> None:
        """Let everything happen up to and including `until`; a stream ascends in time and is read
        one ahead, so that a million arrivals take no room."""
        for dated in stream:
            when = dated.at
            if when > until:
                break
            self._run_before(when)
            if when < self.now:
                raise ValueError(f"arrivals must ascend: {when} comes after {self.now}")
            self.now = when
            self.events += 1
            arrive(when, dated)
        self._run_before(nextafter(until, inf))

    def _run_before(self, end: float) -> None:
        heap, events = self._heap, 0
        while heap and heap[0][0] < end:
            when, _, happen, what = heappop(heap)
            self.now = when
            happen(when, what)
            events += 1
        self.events += events
