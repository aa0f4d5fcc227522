"""Two counts over the recent past: all and some of them, as requests and retries.

Time is cut into ten slots, so that counting and asking cost the same however much there was. The
window is the slot that runs and the nine before it. The clock is passed in.
"""

from typing import Final

_SLOTS: Final = 10


class Window:
    """Counts over the last `window_s`."""

    __slots__ = ("_all", "_index", "_slot", "_slot_s", "_some", "_until")

    def __init__(self, window_s: float) -> None:
        self._slot_s = max(window_s, 0.001) / _SLOTS
        self._slot = 0
        self._index = 0
        """The running slot's place."""
        self._until = self._slot_s
        """When it ends; before that there is nothing to turn."""
        self._all = [0] * _SLOTS
        self._some = [0] * _SLOTS

    def add(self, now: float) -> None:
        """Count one."""
        if now >= self._until:
            self._turn(now)
        self._all[self._index] += 1

    def add_some(self, now: float) -> None:
        """Count one of the others."""
        if now >= self._until:
            self._turn(now)
        self._some[self._index] += 1

    def sums(self, now: float) -> tuple[int, int]:
        """Both counts."""
        self._turn(now)
        return sum(self._all), sum(self._some)

    def _turn(self, now: float) -> None:
        slot = int(now / self._slot_s)
        if slot <= self._slot:
            return
        for passed in range(min(slot - self._slot, _SLOTS)):
            self._all[(slot - passed) % _SLOTS] = 0
            self._some[(slot - passed) % _SLOTS] = 0
        self._slot = slot
        self._index = slot % _SLOTS
        self._until = (slot + 1) * self._slot_s
