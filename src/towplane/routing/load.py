"""What one target is doing: attempts in flight, prompts that wait, how quick it was lately.

A target may stand in several rosters (`routing.roster`), one for each group of each route that uses
it. Its load is one, and tells them all, so that choosing among a thousand targets looks at lists of
plain numbers and asks nobody. Knows no connection and no clock.

Of each attempt it hears `began`, once `answers` if there is a first token, and `ended`. The law:
when all have ended, nothing is in flight and nothing is queued.
"""

from typing import TYPE_CHECKING

from towplane.routing.latency import PeakEwma
from towplane.routing.signals import Signals
from towplane.routing.usual import Usual

if TYPE_CHECKING:
    from towplane.routing.roster import Roster

__all__ = ["Load", "Price"]

Price = tuple[int, int, int]
"""Nano-dollars per million tokens: input, cached input, output."""


class Load:
    """The load of one target."""

    __slots__ = ("_in_flight_then", "_listed", "cache_bit", "came_at", "in_flight", "is_compared",
                 "latency", "name", "price", "queued", "signals", "usual")  # fmt: skip

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = 0
        """Attempts under way."""
        self.queued = 0
        """Prompt tokens that attempts without a first token leave it to compute, as far as the
        policies that sent them there know (`Policy.began`)."""
        self.latency = PeakEwma()
        """Seconds to the first token of a stream, or to the end of an answer in one piece."""
        self.price: Price | None = None
        """What it costs now; None: unknown."""
        self.usual: Usual | None = None
        """The mean time to a first token lately; None: no route looks at it."""
        self.came_at = 0.0
        """When it came, or came back, after others had served a while; 0: it was always there."""
        self.signals: Signals | None = None
        """What its engine said last; ask `known`, which looks at its age."""
        self.cache_bit: int | None = None
        """Its engine's bit in the table of cached blocks (`routing.kv_index`); None: it publishes
        nothing."""
        self._in_flight_then = 0
        """Attempts under way when it said so."""
        self._listed: list[tuple[Roster, int]] = []
        self.is_compared = False
        """Whether it stands beside others somewhere, so that it matters how quick it is."""

    def began(self, work: int = 0) -> None:
        """An attempt starts, with so many prompt tokens to compute."""
        self.in_flight += 1
        self.queued += work
        for roster, place in self._listed:
            roster.in_flight[place] += 1
            for changed in roster.watchers:
                changed(place)

    def answers(self, work: int, seconds: float, now: float) -> None:
        """Its first token is there, after so long; it has computed the prompt."""
        self.queued -= work
        self.latency.observe(seconds, now, self.in_flight)
        self.changed()

    def ended(self, work: int = 0) -> None:
        """An attempt is over; `work` is what it had and did not answer."""
        self.in_flight -= 1
        self.queued -= work
        for roster, place in self._listed:
            roster.in_flight[place] -= 1
            for changed in roster.watchers:
                changed(place)

    def costs(self, price: Price | None) -> None:
        """What it costs from now on."""
        if price != self.price:
            self.price = price
            self.changed()

    def told(self, signals: Signals) -> None:
        """Its engine has said something new of itself."""
        self.signals = signals
        self._in_flight_then = self.in_flight
        self.changed()

    def known(self, now: float) -> Signals | None:
        """What its engine says, as long as that may be believed."""
        signals = self.signals
        return signals if signals is not None and signals.is_fresh(now) else None

    def sent_since(self) -> int:
        """Attempts more than when its engine spoke: it does not know of them, so they count on top
        of what it said, or all workers would rush to an engine that was idle a second ago."""
        return max(0, self.in_flight - self._in_flight_then)

    def changed(self) -> None:
        """Something that is said of it here is different: those who watch look again."""
        for roster, place in self._listed:
            for changed in roster.watchers:
                changed(place)

    def suspect(self) -> None:
        """Something happened that may keep it from being chosen: rosters look before they choose.

        Whoever makes a target unusable must say so here; that it is well again is found out.
        """
        for roster, place in self._listed:
            roster.suspects.add(place)

    def returned(self, now: float) -> None:
        """It may be chosen again after it could not, or is new among those that serve."""
        self.came_at = now
        for roster, place in self._listed:
            roster.newcomers[place] = now

    def enter(self, roster: "Roster", place: int) -> None:
        """It stands in this roster from now on."""
        self._listed.append((roster, place))
        self.is_compared = self.is_compared or len(roster) > 1

    def leave(self, roster: "Roster") -> None:
        """It does no longer."""
        self._listed = [one for one in self._listed if one[0] is not roster]
        self.is_compared = any(len(one) > 1 for one, _ in self._listed)
