"""What is kept of a prompt after its request: marks, by which equal beginnings are known as equal.

A mark is 32 bits of a keyed hash of the prompt up to the end of a block (`routing.keys.ENDS`).
The key is derived from the plane's pepper: who has the marks and not the pepper cannot try whether
a prompt that they guess is among them, however short it is; and 32 bits of a prompt are not it.
Knows no prompt, only the hashes of its blocks (`routing.keys`), which are salted by the tenant.

The law: two prompts of one tenant have as many equal leading marks as equal leading blocks; a mark
says nothing without the pepper.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final

from towplane.routing.demand import Demand, Want
from towplane.routing.keys import ENDS
from towplane.routing.recent import Recent

__all__ = ["MARKED", "MARK_BYTES", "Marker", "Marks", "split_marks"]

MARK_BYTES: Final = 4
"""Of a million prompts' beginnings, one in 4,000 is taken for another one of the same depth."""
MARKED: frozenset[Want] = frozenset(("blocks", "prefix", "session"))
"""What of a demand marks are made of."""
_REMEMBERED: Final = 3 * 16_384
"""Marks that a worker need not compute again, because conversations begin as they did before; at
most some 9 MB."""


class Marks:
    """Of one prompt."""

    __slots__ = ("blocks", "marks", "opening", "session")

    def __init__(self, blocks: int, marks: bytes, opening: int, session: int) -> None:
        self.blocks = blocks
        """How many whole stretches it is long."""
        self.marks = marks
        """One after the other, as deep as prompts are looked at."""
        self.opening = opening
        """Mark of the first part of the prompt, as the policies hash it; 0: it has none."""
        self.session = session
        """Mark of what ties it to others; 0: nothing does."""


class Marker:
    """Makes marks under one pepper."""

    __slots__ = ("_hasher", "_known", "pepper")

    def __init__(self, pepper: bytes) -> None:
        self.pepper = pepper
        # A key of its own, so that a mark is never the digest of anything else.
        key = blake2b(key=pepper, digest_size=32, person=b"towplane marks").digest()
        self._hasher = blake2b(key=key, digest_size=MARK_BYTES)
        self._known: Recent[bytes] = Recent(_REMEMBERED)

    def of(self, demand: Demand) -> Marks:
        """Of a demand for which blocks, opening and session were found out."""
        return Marks(
            int(demand.stretches),
            b"".join([self._mark(hashed) for hashed in demand.blocks]),
            _number(self._mark(demand.prefix)) if demand.prefix else 0,
            _number(self._mark(demand.session)) if demand.session else 0,
        )

    def _mark(self, hashed: int) -> bytes:
        known = self._known.young.get(hashed)
        if known is not None:
            return known
        known = self._known.old.get(hashed)
        if known is None:
            hasher = self._hasher.copy()
            hasher.update(hashed.to_bytes(8, "big"))
            known = hasher.digest()
        self._known.put(hashed, known)
        return known


def split_marks(marks: bytes) -> Sequence[tuple[int, int]]:
    """Stretches up to a mark, and the mark, from the first on; what is cut off is left out."""
    return list(zip(ENDS, _numbers(marks), strict=False))


def _numbers(marks: bytes) -> Iterator[int]:
    for at in range(0, len(marks) - MARK_BYTES + 1, MARK_BYTES):
        yield _number(marks[at : at + MARK_BYTES])


def _number(mark: bytes) -> int:
    return mark[0] << 24 | mark[1] << 16 | mark[2] << 8 | mark[3]
