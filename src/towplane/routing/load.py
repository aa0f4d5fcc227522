"""What one target is doing: attempts in flight, how quick it was lately, what its engine says.

A target may stand in several rosters (`routing.roster`), one for each group of each route that uses
it. Its load is one, and tells them all, so that choosing among a thousand targets looks at lists of
plain numbers and asks nobody. Knows no connection and no clock.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towplane.routing.roster import Roster

__all__ = ["Load"]

Price = tuple[int, int, int]
"""Nano-dollars per million tokens: input, cached input, output."""


class Load:
    """The load of one target."""

    __slots__ = ("_listed", "in_flight", "name", "price")

    def __init__(self, name: str) -> None:
        self.name = name
        self.in_flight = 0
        """Attempts under way."""
        self.price: Price | None = None
        """What it costs now; None: unknown."""
        self._listed: list[tuple[Roster, int]] = []

    def began(self) -> None:
        """An attempt starts."""
        self.in_flight += 1
        for roster, place in self._listed:
            roster.in_flight[place] += 1

    def ended(self) -> None:
        """An attempt is over."""
        self.in_flight -= 1
        for roster, place in self._listed:
            roster.in_flight[place] -= 1

    def suspect(self) -> None:
        """Something happened that may keep it from being chosen: rosters look before they choose.

        Whoever makes a target unusable must say so here; that it is well again is found out.
        """
        for roster, place in self._listed:
            roster.suspects.add(place)

    def enter(self, roster: "Roster", place: int) -> None:
        """It stands in this roster from now on."""
        self._listed.append((roster, place))

    def leave(self, roster: "Roster") -> None:
        """It does no longer."""
        self._listed = [one for one in self._listed if one[0] is not roster]
