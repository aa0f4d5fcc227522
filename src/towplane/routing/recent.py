"""A mapping that forgets what was not used lately, with a bound on its size.

Entries live in two generations. What is put goes into the young one; when that is full it becomes
the old one, and what was old is forgotten: unlike a list in order of use this costs nothing when an
entry is used again, and at least the last third of `most` that was used is always remembered. The
forgotten generation is taken apart little by little, so that no request pays for a million entries.

The law: never more than `most` entries are held, those that are being taken apart included; fewer
where some count for more than one.
"""

from typing import Generic, TypeVar

__all__ = ["Recent"]

V = TypeVar("V")


class Recent(Generic[V]):
    """The mapping. `young` and `old` may be read, for those who look up a hundred keys at once."""

    __slots__ = ("_gone", "_size", "_spent", "old", "turns", "young")

    def __init__(self, most: int) -> None:
        self._size = max(most // 3, 1)
        """Of one generation."""
        self.young: dict[int, V] = {}
        self.old: dict[int, V] = {}
        self._gone: dict[int, V] = {}
        self._spent = 0
        self.turns = 0
        """How often a generation was forgotten."""

    def __len__(self) -> int:
        return len(self.young) + len(self.old) + len(self._gone)

    def get(self, key: int) -> V | None:
        """What was put there lately."""
        found = self.young.get(key)
        return found if found is not None else self.old.get(key)

    def put(self, key: int, value: V) -> None:
        """Remember it."""
        if key not in self.young:
            self.make_room(1)
        self.young[key] = value

    def make_room(self, count: int) -> int:
        """So many entries, or those that it says, can be put into `young`."""
        gone = self._gone
        if not gone and len(self.young) + count <= self._size:
            return count
        count = min(count, self._size)
        for _ in range(min(len(gone), 2 * count)):
            gone.popitem()
        if len(self.young) + count > self._size:
            self.turn()
        return count

    def turn(self) -> None:
        """Forget the old generation."""
        self._gone, self.old, self.young = self.old, self.young, {}
        self._spent = 0
        self.turns += 1

    def spend(self, weight: int) -> None:
        """So much of what was put since the last turn counts for more than one entry each."""
        self._spent += weight
        if len(self.young) + self._spent > self._size:
            self.turn()

    def adopt(self, old: "Recent[V]") -> None:
        """Go on with what another one remembers, as far as this one's bound allows."""
        self.turns = old.turns
        self.young = old.young if len(old.young) <= self._size else {}
        self.old = old.old if len(old.old) <= self._size else {}
