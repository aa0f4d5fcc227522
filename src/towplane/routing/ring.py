"""Names on a circle of hashes, many points each: consistent hashing.

A key belongs to the name whose point follows it. When a name leaves, only its own keys move, each
to the next name on the circle; when one comes, it takes its share from all the others (Karger and
others, STOC 1997). Points follow from the name alone, so that every gateway has the same circle
without asking. Knows no target and no load.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from hashlib import shake_128
from struct import unpack
from typing import Final

__all__ = ["ID_MASK", "Ring"]

_ID_BYTES: Final = 3
ID_MASK = (1 << 8 * _ID_BYTES) - 1
"""The low bits of a point say whose it is; 40 are left for where it stands."""


class Ring:
    """A circle of names."""

    __slots__ = ("_free", "_ids", "_nodes", "owners", "points")

    def __init__(self) -> None:
        self.points = array("Q")
        """In order; the low bits are an index into `owners`."""
        self.owners: list[str] = []
        """By id; empty: free."""
        self._ids: dict[str, int] = {}
        self._nodes: dict[str, int] = {}
        self._free: list[int] = []

    def place(self, nodes: Mapping[str, int]) -> None:
        """These names stand on it from now on, each with so many points; no other point moves."""
        gone = {self._remove(name) for name in [*self._ids] if nodes.get(name) != self._nodes[name]}
        points = [point for point in self.points if point & ID_MASK not in gone] if gone else None
        kept = self.points.tolist() if points is None else points
        self._free += sorted(gone)
        for name, count in nodes.items():
            if name not in self._ids:
                kept += self._add(name, count)
        kept.sort()  # what is kept is in order already
        self.points = array("Q", kept)

    def first(self, key: int) -> int:
        """The index in `points` where the walk for this 64-bit key begins."""
        index = bisect_left(self.points, key & ~ID_MASK)
        return index if index < len(self.points) else 0

    def walk(self, key: int) -> Iterator[str]:
        """All names in the order in which they follow the key."""
        first, points, owners = self.first(key), self.points, self.owners
        seen = set()
        for index in range(first - len(points), first):
            number = points[index] & ID_MASK
            if number not in seen:
                seen.add(number)
                yield owners[number]

    def _add(self, name: str, count: int) -> tuple[int, ...]:
        if self._free:
            number = self._free.pop()
            self.owners[number] = name
        else:
            number = len(self.owners)
            self.owners.append(name)
        self._ids[name] = number
        self._nodes[name] = count
        points = bytearray(shake_128(name.encode()).digest(8 * count))
        for at, byte in enumerate(number.to_bytes(_ID_BYTES, "little")):
            points[at::8] = bytes((byte,)) * count
        return unpack(f"<{count}Q", points)

    def _remove(self, name: str) -> int:
        number = self._ids.pop(name)
        del self._nodes[name]
        self.owners[number] = ""
        return number
