"""The KV memory of one engine: what running sequences hold, and the blocks kept for later ones.

Blocks are shared by their chained hashes. One that nobody uses stays until room is needed; the one
unused for longest goes first, and of one sequence the last block first, as in vLLM (its block pool
frees in reverse order). The law: `used + cached` never exceeds `capacity`, in tokens.
"""

from collections import OrderedDict
from collections.abc import Sequence

__all__ = ["Cache"]


class Cache:
    """KV memory, counted in tokens."""

    __slots__ = ("_refs", "_unused", "block", "cached", "capacity", "evictions", "used")

    def __init__(self, capacity: int, block: int) -> None:
        self.capacity = capacity
        self.block = block
        self.used = 0
        """By running sequences."""
        self.cached = 0
        """By blocks that nobody uses now."""
        self.evictions = 0
        self._refs: dict[int, int] = {}
        self._unused: OrderedDict[int, None] = OrderedDict()

    def match(self, blocks: Sequence[int]) -> int:
        """How many leading blocks are here."""
        refs, unused = self._refs, self._unused
        found = 0
        for one in blocks:
            if one not in refs and one not in unused:
                break
            found += 1
        return found

    def missing(self, blocks: Sequence[int], matched: int) -> int:
        """Tokens that holding so many leading blocks would take of the free room."""
        unused = self._unused
        return self.block * sum(one in unused for one in blocks[:matched])

    def hold(self, blocks: Sequence[int]) -> None:
        """A sequence uses blocks that are here."""
        refs, unused = self._refs, self._unused
        for one in blocks:
            count = refs.get(one)
            if count is None:
                del unused[one]
                self.cached -= self.block
                self.used += self.block
                refs[one] = 1
            else:
                refs[one] = count + 1

    def share(self, blocks: Sequence[int]) -> None:
        """A sequence has computed these in memory of its own (counted as used): from now on others
        can use them. One that another computed meanwhile is kept once."""
        refs, unused = self._refs, self._unused
        for one in blocks:
            count = refs.get(one)
            if count is not None:
                refs[one] = count + 1
                self.used -= self.block
            else:
                if one in unused:
                    del unused[one]
                    self.cached -= self.block
                refs[one] = 1

    def release(self, blocks: Sequence[int]) -> None:
        """A sequence uses them no longer."""
        refs, unused, block = self._refs, self._unused, self.block
        for one in reversed(blocks):
            count = refs[one]
            if count > 1:
                refs[one] = count - 1
            else:
                del refs[one]
                unused[one] = None
                self.cached += block
                self.used -= block

    def keep(self, blocks: Sequence[int]) -> None:
        """Blocks that a sequence leaves behind for others; evicts what is older."""
        refs, unused = self._refs, self._unused
        for one in reversed(blocks):
            if one in unused or one in refs:
                continue
            self.make_room(self.block)
            if self.used + self.cached + self.block > self.capacity:
                return
            unused[one] = None
            self.cached += self.block

    def make_room(self, free: int) -> None:
        """Let so many tokens be free, if the unused blocks can give them."""
        unused, block = self._unused, self.block
        over = self.used + self.cached + free - self.capacity
        while over > 0 and unused:
            unused.popitem(last=False)
            self.cached -= block
            self.evictions += 1
            over -= block

    def forget(self) -> None:
        """The engine started anew."""
        self._refs.clear()
        self._unused.clear()
        self.used = self.cached = 0
