"""Blocks of prompts rebuilt from their marks, so that what began alike begins alike again.

Marks lie at depths counted in stretches of bytes, an engine's blocks are stretches of tokens. The
first prompt that has a mark says at which of its tokens it lies, as if its tokens were spread
evenly over its bytes, and every later prompt with this mark follows. What lies beyond a prompt's
last mark is taken to be like nothing else: less than one stretch of a prompt of up to 48, a 24th of
longer ones, all of what lies behind 505. Memory grows with the number of different marks, some 100
bytes each.

The laws: prompts share blocks exactly up to the last mark that they share; no prompt has more
blocks than its tokens fill.
"""

from towplane.routing.marks import split_marks

__all__ = ["Rebuilt"]

_ROOM = 16
"""Bits for the place of a block in its prompt: four million tokens in blocks of 64."""
_OWN = 1 << 62
"""Apart from the ids of prompts without marks."""


class Rebuilt:
    """What is known of all prompts so far."""

    __slots__ = ("_block", "_ends")

    def __init__(self, block: int) -> None:
        self._block = block
        """Tokens of a block of an engine."""
        self._ends: dict[int, int] = {}
        """Tokens before a mark, by its depth and itself."""

    def blocks(self, tokens: int, count: int, marks: bytes) -> tuple[int, ...]:
        """The ids of the whole blocks of a prompt with so many tokens, and `count` whole stretches
        of bytes."""
        ends = self._ends
        end = depth = number = 0
        whole = tokens // self._block
        size = count + 0.5  # the last one is half full, for all that is known
        ids: list[int] = []
        for at, (below, mark) in enumerate(split_marks(marks)):
            if below > count:  # whoever wrote it
                break
            node = at << 32 | mark
            found = ends.get(node)
            if found is None:
                left = max(0, tokens - end)
                found = ends[node] = end + int(left * (below - depth) / (size - depth))
            end, depth = found, below
            base = _OWN | node << _ROOM
            upto = min(end // self._block, whole)
            ids += range(base + number, base + upto)
            number = max(number, upto)
        return tuple(ids)
