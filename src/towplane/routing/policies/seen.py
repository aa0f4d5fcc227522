"""What the targets of a roster have seen of prompts, by place.

The table of blocks (`routing.prefixes`) names targets by bits, which stay when places change; here
is what turns one into the other.
"""

from collections.abc import Collection, Iterator
from itertools import compress

from towplane.routing.demand import Demand
from towplane.routing.prefixes import Prefixes
from towplane.routing.roster import Roster
from towplane.routing.spec import Prefix

__all__ = ["SeenPrompts"]

_FEW = 24
"""Bits that are quicker to look at one by one."""
_TRUTH = bytes(int(byte == ord("1")) for byte in range(256))
"""From the digits of a binary number to what `compress` takes."""
_TOKENS = 0.25
"""Of a byte of text: what a token is where nobody counted."""


class SeenPrompts:
    """The table for one roster."""

    def __init__(self, roster: Roster, spec: Prefix) -> None:
        self._roster = roster
        self._spec = spec
        most = min(spec.per_target * len(roster), spec.blocks)
        self._prefixes = Prefixes(roster.names, 3 * most // 2)  # what is forgotten counts there too
        self._seat()

    def adopt(self, old: "SeenPrompts") -> None:
        """Go on with what another one knows."""
        self._prefixes.adopt(old._prefixes, self._roster.names)
        self._seat()

    def levels(self, demand: Demand, barred: Collection[int]) -> Iterator[tuple[int, list[int]]]:
        """How many leading blocks somebody has, and who: the most first, each time more of them."""
        if not demand.blocks:
            return
        for depth, mask in self.masks(demand, barred):
            yield depth, self.places_in(mask)

    def masks(self, demand: Demand, barred: Collection[int]) -> Iterator[tuple[int, int]]:
        """The same, as numbers whose bits `has` and `places_in` understand."""
        among = self._all
        for place in barred:
            among &= ~self._masks[place]
        return self._prefixes.levels(demand.blocks, among)

    def has(self, mask: int, place: int) -> bool:
        """Whether this place is among them."""
        return bool(mask & self._masks[place])

    def places_in(self, mask: int) -> list[int]:
        """Those places, as a list."""
        places = self._places
        if mask.bit_count() > _FEW:
            return list(compress(places, bin(mask)[:1:-1].encode().translate(_TRUTH)))
        found = []
        while mask:
            lowest = mask & -mask
            found.append(places[lowest.bit_length() - 1])
            mask ^= lowest
        return found

    def note(self, place: int, demand: Demand) -> int:
        """The prompt goes there; how many of its tokens must be computed."""
        blocks = demand.blocks
        bit = self._bits[place]
        depth = self._prefixes.depth_of(blocks, bit) if blocks else 0
        self._prefixes.note(blocks, bit)
        return round(self.left(demand, depth))

    def left(self, demand: Demand, depth: int) -> float:
        """Tokens of a prompt after so many of its blocks."""
        tokens = demand.tokens
        if not depth:
            return tokens
        # What follows the last whole block is half a block long in the mean.
        return max(0.0, tokens - depth * tokens / (len(demand.blocks) + 0.5))

    def depths(self, demand: Demand) -> list[int]:
        """How many leading blocks each has."""
        depths = [0] * len(self._roster)
        for depth, places in self.levels(demand, ()):
            for place in places:
                depths[place] = depths[place] or depth
        return depths

    def depths_of(self, demand: Demand, places: Collection[int]) -> list[int]:
        """How many leading blocks each of these has."""
        if not demand.blocks:
            return [0] * len(places)
        masks = [self._masks[place] for place in places]
        left = sum(masks)
        depths = dict.fromkeys(masks, 0)
        for depth, mask in self._prefixes.levels(demand.blocks, left):
            for one in masks:
                if mask & one and not depths[one]:
                    depths[one] = depth
        return [depths[mask] for mask in masks]

    def _seat(self) -> None:
        roster, bits = self._roster, self._prefixes.bits
        self._bits = [bits[name] for name in roster.names]
        self._masks = [1 << bit for bit in self._bits]
        self._all = sum(self._masks)
        self._places = [roster.places.get(name, -1) for name in self._prefixes.names]
        """By bit."""
