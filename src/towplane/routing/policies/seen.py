"""What the targets of a roster have seen of prompts, by place.

The table of blocks (`routing.prefixes`) names targets by bits, which stay when places change; here
is what turns one into the other. What engines say themselves that they keep (`Demand.cached`) goes
before it: the table is asked only of targets of which that is not known, or not all of it, or not
for the whole prompt. What was sent in the last seconds counts for those, too: their engines may not
have computed it yet, and a burst of like prompts would go to as many of them. All depths are in
blocks of the table, and may be broken numbers; blocks differ in length (`Demand.ends`), so what a
depth is worth is asked for (`share`, `left`).
"""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import compress
from math import inf
from typing import Final

from towplane.routing.demand import Demand
from towplane.routing.kv_index import Cached
from towplane.routing.prefixes import Prefixes
from towplane.routing.roster import Roster
from towplane.routing.spec import Prefix

__all__ = ["SeenPrompts"]

_FEW: Final = 24
"""Bits that are quicker to look at one by one."""
_TRUTH = bytes(int(byte == ord("1")) for byte in range(256))
"""From the digits of a binary number to what `compress` takes."""
_TOKENS: Final = 0.25
"""Of a byte of text: what a token is where nobody counted."""

_LATELY_S: Final = 1.0
"""What was sent is believed for one to three times as long, whatever the engine says."""
_LATELY: Final = 3 * 16_384
"""Blocks that are remembered of it."""
_LAST: Final = 64
"""Tokens at the end of what was looked at that may be no whole block; engines' are smaller."""
_TRANSLATED: Final = 1024


class SeenPrompts:
    """The table for one roster."""

    def __init__(self, roster: Roster, spec: Prefix) -> None:
        self._roster = roster
        self._spec = spec
        most = min(spec.per_target * len(roster), spec.blocks)
        self._prefixes = Prefixes(roster.names, 3 * most // 2)  # what is forgotten counts there too
        self._seating = -1
        """Of the engines' bits that are translated,"""
        self._by_cache: dict[int, int] = {}
        """each by itself,"""
        self._translated: dict[int, int] = {}
        """and together."""
        self._turned_at = -inf
        """When the older half of what was sent lately was forgotten."""
        self._seat()

    def adopt(self, old: "SeenPrompts") -> None:
        """Go on with what another one knows."""
        self._prefixes.adopt(old._prefixes, self._roster.names)
        self._seat()

    def levels(self, demand: Demand, barred: Collection[int]) -> list[tuple[float, int]]:
        """How many leading blocks somebody has, and who, as a number whose bits `has` and
        `places_in` understand: the most first, each time more of them."""
        among = self._all
        for place in barred:
            among &= ~self._masks[place]
        return self._levels(demand, among)

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
        if not blocks and demand.cached is None:
            return demand.tokens
        bit = self._bits[place]
        depth: float
        if demand.cached is None:
            depth = float(self._prefixes.depth_of(blocks, bit))
        else:
            (depth,) = self.depths_of(demand, (place,))
            self._note_lately(blocks, place, demand.cached.at)
        self._prefixes.note(blocks, bit, demand.ends)
        return int(self.left(demand, depth) + 0.5)

    def say(self, place: int, demand: Demand) -> str:
        """In words, how much of the prompt it has seen, and who says so."""
        bit = self._roster.loads[place].cache_bit
        cached = demand.cached
        (depth,) = self.depths_of(demand, (place,))
        if cached is None or bit is None or cached.seating != self._seating:
            return f"has seen {self.share(demand, depth):.0%} of the prompt"
        kept = cached.of(bit)
        if depth > self._as_blocks(demand, cached, kept):
            return f"was sent {self.share(demand, depth):.0%} of the prompt"
        about = "" if cached.looked == cached.tokens else "about "
        return f"cached: {kept:,} of {about}{cached.tokens:,} tokens by its own events"

    def left(self, demand: Demand, depth: float) -> float:
        """Tokens of a prompt after so many of its blocks."""
        if not depth:
            return demand.tokens
        return max(0.0, demand.tokens * (1.0 - _reach(demand, depth) / demand.stretches))

    def share(self, demand: Demand, depth: float) -> float:
        """How much of what is looked at of a prompt so many of its blocks are."""
        if not depth:
            return 0.0
        if demand.cached is not None:
            return min(_reach(demand, depth) / demand.stretches, 1.0)
        return _reach(demand, depth) / demand.ends[len(demand.blocks) - 1]

    def shares(self, demand: Demand, depths: Sequence[float]) -> Sequence[float]:
        """The same for each of several depths, many of which are often equal."""
        share = {0.0: 0.0}
        for depth in depths:
            if depth not in share:
                share[depth] = self.share(demand, depth)
        return [*map(share.__getitem__, depths)]

    def depths(self, demand: Demand) -> list[float]:
        """How many leading blocks each has."""
        depths = [0.0] * len(self._roster)
        for depth, mask in self.levels(demand, ()):
            for place in self.places_in(mask):
                depths[place] = depths[place] or depth
        return depths

    def depths_of(self, demand: Demand, places: Collection[int]) -> list[float]:
        """How many leading blocks each of these has."""
        if not demand.blocks and demand.cached is None:
            return [0.0] * len(places)
        masks = [self._masks[place] for place in places]
        left = sum(masks)
        depths = dict.fromkeys(masks, 0.0)
        for depth, mask in self._levels(demand, left):
            for one in masks:
                if mask & one and not depths[one]:
                    depths[one] = depth
        return [depths[mask] for mask in masks]

    def _levels(self, demand: Demand, among: int) -> list[tuple[float, int]]:
        cached = demand.cached
        if cached is None:
            return self._prefixes.levels(demand.blocks, among)
        told = [
            (self._as_blocks(demand, cached, tokens), self._translate(mask, cached.seating) & among)
            for tokens, mask in cached.levels
        ]
        known = self._translate(cached.known, cached.seating)
        if cached.looked < cached.tokens and cached.levels:
            tokens, mask = cached.levels[0]
            if tokens > cached.looked - _LAST:  # it has all that was looked at, and perhaps more
                known &= ~self._translate(mask, cached.seating)
        if cached.at < self._turned_at + 2 * _LATELY_S:
            told += self._lately.levels(demand.blocks, among & known)
        if among & ~known:
            told += self._prefixes.levels(demand.blocks, among & ~known)
        return _in_order(told)

    def _note_lately(self, blocks: tuple[int, ...], place: int, now: float) -> None:
        lately, since = self._lately, now - self._turned_at
        if since >= 2 * _LATELY_S:
            lately.turn()
            lately.turn()
        # Before the old is forgotten: what is believed is not believed for longer because it is
        # sent again, or what an engine has evicted would be for as long as requests come.
        lately.note_once(blocks, self._bits[place])
        if since >= _LATELY_S:
            if since < 2 * _LATELY_S:
                lately.turn()
            self._turned_at = now

    def _as_blocks(self, demand: Demand, cached: Cached, tokens: int) -> float:
        """So many tokens as a depth."""
        ends, count = demand.ends, len(demand.blocks)
        reach = tokens / cached.tokens * demand.stretches
        whole = bisect_right(ends, reach, 0, count)
        end = ends[whole - 1] if whole else 0
        behind = ends[whole] if whole < count else demand.stretches
        return whole + (reach - end) / (behind - end) if behind > end else whole

    def _translate(self, mask: int, seating: int) -> int:
        """Engines' bits as those of the table; remembered, as many prompts begin alike."""
        if seating != self._seating:
            self._seating = seating
            self._translated.clear()
            self._by_cache = {
                1 << load.cache_bit: self._masks[place]
                for place, load in enumerate(self._roster.loads)
                if load.cache_bit is not None
            }
        found = self._translated.get(mask)
        if found is None:
            if len(self._translated) >= _TRANSLATED:
                self._translated.clear()
            found = sum(here for there, here in self._by_cache.items() if mask & there)
            self._translated[mask] = found
        return found

    def _seat(self) -> None:
        roster, bits = self._roster, self._prefixes.bits
        self._bits = [bits[name] for name in roster.names]
        self._masks = [1 << bit for bit in self._bits]
        self._all = sum(self._masks)
        self._places = [roster.places.get(name, -1) for name in self._prefixes.names]
        """By bit."""
        self._seating = -1
        self._translated.clear()
        self._lately = Prefixes((), _LATELY)
        """What was sent in the last seconds, by the same bits."""


def _reach(demand: Demand, depth: float) -> float:
    """Stretches of a prompt up to a depth."""
    count = len(demand.blocks)
    whole = min(int(depth), count)
    end: float = demand.ends[whole - 1] if whole else 0.0
    if depth > whole:
        behind = demand.ends[whole] if whole < count else demand.stretches
        end += (depth - whole) * (behind - end)
    return end


def _in_order(told: list[tuple[float, int]]) -> list[tuple[float, int]]:
    """What is known in several ways, the deepest first, each time with somebody more."""
    if len(told) > 1:
        told.sort(reverse=True)
    levels: list[tuple[float, int]] = []
    found = 0
    for depth, mask in told:
        if mask & ~found:
            found |= mask
            levels.append((depth, found))
    return levels
