"""What is kept of a prompt after its request: marks, by which equal beginnings are known as equal.

A mark is 32 bits of a keyed hash of the prompt up to some depth. Depths are the same for all
prompts and grow with what lies before them, so that few marks tell how far two prompts are alike.
The key is derived from the plane's pepper: who has the marks and not the pepper cannot try whether
a prompt that they guess is among them, however short it is; and 32 bits of a prompt are not it.
Knows no prompt, only the hashes of its blocks (`routing.keys`), which are salted by the tenant.

The law: two prompts of one tenant have as many equal leading marks as they are equal at leading
depths; a mark says nothing without the pepper.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from towplane.routing.demand import Demand, Want
from towplane.routing.keys import MOST_BLOCKS

__all__ = ["DEPTHS", "MARKED", "MARK_BYTES", "Marker", "Marks", "split_marks"]

MARK_BYTES = 4
"""Of a million prompts' beginnings, one in 4,000 is taken for another one of the same depth."""
_LADDER = ((0, 32, 1), (33, 64, 2), (71, 128, 8), (191, MOST_BLOCKS, 64))
"""Places in a prompt's blocks: first, end, step. Every block of 8 KiB, every second of 16 KiB, …"""
_EACH = _LADDER[0][1]
"""Up to so many blocks each has a mark."""
DEPTHS = tuple(place + 1 for rung in _LADDER for place in range(*rung))
"""How many blocks lie before each mark: 62 of them."""
MARKED: frozenset[Want] = frozenset(("blocks", "prefix", "session"))
"""What of a demand marks are made of."""
_REMEMBERED = 16_384
"""Marks that a worker need not compute again, because conversations begin as they did before; some
3 MB."""


class Marks(NamedTuple):
    """Of one prompt."""

    blocks: int
    """How many whole blocks it has; `MOST_BLOCKS`: so many or more."""
    marks: bytes
    """One after the other, as deep as the prompt is."""
    opening: int
    """Mark of the first part of the prompt, as the policies hash it; 0: it has none."""
    session: int
    """Mark of what ties it to others; 0: nothing does."""


class Marker:
    """Makes marks under one pepper."""

    __slots__ = ("_mark", "pepper")

    def __init__(self, pepper: bytes) -> None:
        self.pepper = pepper
        # A key of its own, so that a mark is never the digest of anything else.
        key = blake2b(key=pepper, digest_size=32, person=b"towplane marks").digest()
        hasher = blake2b(key=key, digest_size=MARK_BYTES)

        @lru_cache(maxsize=_REMEMBERED)
        def mark(hashed: int) -> bytes:
            copy = hasher.copy()
            copy.update(hashed.to_bytes(8, "big"))
            return copy.digest()

        self._mark = mark

    def of(self, demand: Demand) -> Marks:
        """Of a demand for which blocks, opening and session were found out."""
        mark, blocks = self._mark, demand.blocks
        count = len(blocks)
        chosen: Sequence[int] = blocks
        if count > _EACH:
            chosen = [hashed for begin, end, step in _LADDER for hashed in blocks[begin:end:step]]
        return Marks(
            count,
            b"".join(map(mark, chosen)),
            int.from_bytes(mark(demand.prefix)) if demand.prefix else 0,
            int.from_bytes(mark(demand.session)) if demand.session else 0,
        )


def split_marks(marks: bytes) -> Sequence[tuple[int, int]]:
    """Depth and mark, from the first block on; what is cut off at the end is left out."""
    return list(zip(DEPTHS, _numbers(marks), strict=False))


def _numbers(marks: bytes) -> Iterator[int]:
    for at in range(0, len(marks) - MARK_BYTES + 1, MARK_BYTES):
        yield int.from_bytes(marks[at : at + MARK_BYTES])
