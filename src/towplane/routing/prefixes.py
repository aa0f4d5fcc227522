"""Which targets have seen how much of a prompt: an approximate radix tree, as one table of blocks.

A demand's block hashes are chained: one block's hash stands for all of the prompt up to its end. So
a tree is not needed; the table has for each block the set of targets that got it, as the bits of a
number. A target that got a block got all before it, and was last sent them no earlier; so the sets
only grow from the end of a prompt to its beginning, and the deepest block that somebody has is
found by halves.

What an engine has evicted is not known here; the table forgets what was not sent lately
(`routing.recent`), so its bound should be about what the engines can hold together. A bit whose
target left is given away again once no block can have it.
"""

from collections.abc import Sequence
from typing import Final

from towplane.routing.demand import EACH
from towplane.routing.recent import Recent

__all__ = ["Prefixes"]

_MOST_LEVELS: Final = 16
"""Depths of one prompt that are looked at: conversation, shared documents, system text."""
_MANY: Final = 16
"""Blocks that are quicker put into the table all at once."""


class Prefixes:
    """The table."""

    __slots__ = ("_blocks", "_free", "_leavers", "bits", "names")

    def __init__(self, names: Sequence[str], most: int) -> None:
        self._blocks: Recent[int] = Recent(most)
        self.names: list[str] = []
        """By bit; empty: free."""
        self.bits: dict[str, int] = {}
        self._free: list[int] = []
        self._leavers: list[tuple[int, int]] = []
        """Bits of targets that left, and the turn of `_blocks` at which none is set any more."""
        self.seat(names)

    def __len__(self) -> int:
        return len(self._blocks)

    def seat(self, names: Sequence[str]) -> None:
        """These targets there are from now on; those that stay keep their bits."""
        present, turns = set(names), self._blocks.turns
        for name in [name for name in self.bits if name not in present]:
            bit = self.bits.pop(name)
            self.names[bit] = ""
            self._leavers.append((bit, turns + 2))
        self._free += [bit for bit, at in self._leavers if at <= turns]
        self._leavers = [(bit, at) for bit, at in self._leavers if at > turns]
        for name in names:
            if name not in self.bits:
                if self._free:
                    bit = self._free.pop()
                    self.names[bit] = name
                else:
                    bit = len(self.names)
                    self.names.append(name)
                self.bits[name] = bit

    def note(self, blocks: Sequence[int], bit: int, ends: Sequence[int] = EACH) -> None:
        """A prompt of these blocks, which end there (`Demand.ends`), was sent there. What counts
        against the bound is how long they are."""
        count = at = fresh = self._blocks.make_room(len(blocks))
        young, mask = self._blocks.young, 1 << bit
        if at > _MANY and blocks[0] not in young:  # nobody got it lately
            young.update(dict.fromkeys(blocks[:at], mask))
            at = fresh = 0
        while at:  # from the end: who got a block got all before it
            at -= 1
            block = blocks[at]
            have = young.get(block, 0)
            if have & mask:
                break
            young[block] = have | mask
            if not have:
                fresh = at
        if fresh < count and ends[count - 1] > count:
            known = ends[fresh - 1] if fresh else 0
            self._blocks.spend(ends[count - 1] - known - (count - fresh))

    def note_once(self, blocks: Sequence[int], bit: int) -> None:
        """The same, but what is remembered of it grows no younger by that."""
        room = self._blocks.make_room(len(blocks))
        young, old, mask = self._blocks.young, self._blocks.old, 1 << bit
        for block in blocks[:room]:
            have = young.get(block, 0)
            if not (have | old.get(block, 0)) & mask:
                young[block] = have | mask

    def turn(self) -> None:
        """Forget the older half."""
        self._blocks.turn()

    def levels(self, blocks: Sequence[int], among: int) -> list[tuple[float, int]]:
        """Leading blocks and who of `among` has that many: deepest first, each time somebody more
        has them, ending with those that have one."""
        levels: list[tuple[float, int]] = []
        high, known = len(blocks), 0
        if not high:
            return levels
        young, old = self._blocks.young, self._blocks.old
        block = blocks[0]
        first = (young.get(block, 0) | old.get(block, 0)) & among
        if not first:
            return levels  # who has not the first has none
        for _ in range(_MOST_LEVELS):
            # A block in the middle may be forgotten before one behind it: who has more has less.
            everyone = found = first | known
            # Somebody more has `low` blocks, nobody more has above `high`. A conversation has grown
            # by little, so steps back from the end that double come before halves.
            low, step = 1, 1
            while low < high:
                middle = max(high - step + 1, (low + high) // 2 + 1)
                block = blocks[middle - 1]
                have = (young.get(block, 0) | old.get(block, 0)) & among | known
                if have != known:
                    low, found = middle, have
                    step = high
                else:
                    high = middle - 1
                    step *= 2
            levels.append((low, found))
            if found == everyone or low == 1:
                break  # all who have the first
            high, known = low - 1, found
        return levels

    def depth_of(self, blocks: Sequence[int], bit: int) -> int:
        """How many leading blocks this one has."""
        high = len(blocks)
        if not high:
            return 0
        young, old, mask = self._blocks.young, self._blocks.old, 1 << bit
        last, first = blocks[-1], blocks[0]
        if (young.get(last, 0) | old.get(last, 0)) & mask:
            return high
        if not (young.get(first, 0) | old.get(first, 0)) & mask:
            return 0
        low, step = 1, 1  # as in `levels`
        high -= 1
        while low < high:
            middle = max(high - step + 1, (low + high) // 2 + 1)
            block = blocks[middle - 1]
            if (young.get(block, 0) | old.get(block, 0)) & mask:
                low, step = middle, high
            else:
                high = middle - 1
                step *= 2
        return low

    def adopt(self, old: "Prefixes", names: Sequence[str]) -> None:
        """Go on with another one's blocks and bits."""
        self.names, self.bits = old.names, old.bits
        self._free, self._leavers = old._free, old._leavers
        self._blocks.adopt(old._blocks)
        self.seat(names)
