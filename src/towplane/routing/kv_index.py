"""Who keeps which blocks of tokens: one table for all engines that publish it.

A block is known by its tokens and all tokens before it, its size and its adapter, as one number of
64 bits. Engines are the bits of a number, so that a prompt is looked up in all of them at once.
Token ids travel as bytes, four each. Pure; what engines say is read elsewhere
(`routing.kv_events`), and so are prompts.

The law: `find` says of each engine how many leading tokens of a prompt it keeps without a hole, in
whole blocks, because an engine uses its cache up to the first block that is missing.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from xxhash import xxh3_64_intdigest

__all__ = ["Cached", "KvIndex", "block_keys", "pack_ids", "root_key"]

_WIDTH = 4
"""Bytes of a token's id; vocabularies have less than 2³² tokens."""


class Cached(NamedTuple):
    """What engines say that they keep of one prompt; engines as bits (`Load.cache_bit`)."""

    levels: tuple[tuple[int, int], ...]
    """Leading tokens and who keeps that many: the most first, each engine once."""
    known: int
    """Those of which it is known that they keep no more."""
    tokens: int
    """Of the whole prompt; an estimate where `looked` is less."""
    looked: int
    """Leading tokens that were looked at."""
    seating: int
    """Changes whenever a bit means another engine."""
    at: float
    """When it was looked up."""

    def of(self, bit: int) -> int:
        """Tokens that one engine keeps."""
        return next((tokens for tokens, mask in self.levels if mask >> bit & 1), 0)


class KvIndex:
    """The table."""

    __slots__ = ("_free", "_holders", "_sizes", "_whole", "bits", "seating")

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}
        self.bits: dict[str, int] = {}
        """By the engine's name."""
        self._free: list[int] = []
        self._sizes: dict[int, int] = {}
        """By the size of blocks: who has such."""
        self._whole = 0
        self.seating = 0

    def __len__(self) -> int:
        return len(self._holders)

    def seat(self, name: str) -> int:
        """The bit of this engine, from now on."""
        bit = self.bits.get(name)
        if bit is None:
            bit = self._free.pop() if self._free else len(self.bits)
            self.bits[name] = bit
            self.seating += 1
        return bit

    def leave(self, name: str) -> None:
        """This engine is gone; what it kept was dropped before."""
        bit = self.bits.pop(name, None)
        if bit is None:
            return
        self._free.append(bit)
        self.seating += 1
        self._whole &= ~(1 << bit)
        self._sizes = {size: mask & ~(1 << bit) for size, mask in self._sizes.items()}

    def describe(self, name: str, sizes: Sequence[int], *, is_whole: bool) -> None:
        """Which blocks an engine has, and whether all that it keeps is known."""
        mask = 1 << self.seat(name)
        for size in sizes:
            self._sizes[size] = self._sizes.get(size, 0) | mask
        self._whole = self._whole | mask if is_whole else self._whole & ~mask

    def add(self, key: int, name: str) -> None:
        """This engine keeps it."""
        self._holders[key] = self._holders.get(key, 0) | 1 << self.seat(name)

    def drop(self, key: int, name: str) -> None:
        """It keeps it no longer."""
        have = self._holders.get(key)
        if have is not None:
            left = have & ~(1 << self.seat(name))
            if left:
                self._holders[key] = left
            else:
                del self._holders[key]

    def find(self, ids: bytes, tokens: int, adapter: str = "", now: float = 0.0) -> Cached:
        """Who keeps how much of a prompt of so many tokens, of which these are the first."""
        found: dict[int, int] = {}
        for size, among in self._sizes.items():
            for depth, mask in self._walk(ids, size, adapter, among):
                found[depth] = found.get(depth, 0) | mask
        levels = tuple(sorted(found.items(), reverse=True))
        looked = len(ids) // _WIDTH
        return Cached(levels, self._whole, max(tokens, looked), looked, self.seating, now)

    def match(self, tokens: Sequence[int], size: int, adapter: str = "") -> dict[str, int]:
        """How many leading blocks of `size` tokens each engine keeps; those that keep some."""
        among = (1 << (max(self.bits.values(), default=-1) + 1)) - 1
        walk = self._walk(pack_ids(tokens), size, adapter, among)
        return {
            name: depth // size
            for depth, mask in walk
            for name, bit in self.bits.items()
            if mask >> bit & 1
        }

    def _walk(self, ids: bytes, size: int, adapter: str, among: int) -> Iterator[tuple[int, int]]:
        """Of those among whom it is looked for: who keeps so many tokens and no more."""
        holders, depth = self._holders.get, 0
        for key in block_keys(ids, size, root_key(size, adapter)) if among else ():
            have = holders(key, 0) & among
            if have != among:
                if depth:
                    yield depth, among ^ have
                among = have
                if not among:
                    return
            depth += size
        if depth and among:
            yield depth, among


def pack_ids(tokens: Sequence[int]) -> bytes:
    """Token ids as they are looked up. Raises struct.error for what is none."""
    return struct.pack(f"<{len(tokens)}I", *tokens)


def root_key(size: int, adapter: str) -> int:
    """What stands before the first block."""
    return xxh3_64_intdigest(f"kv\0{size}\0{adapter}".encode())


def block_keys(ids: bytes, size: int, key: int) -> Iterator[int]:
    """Of each whole block together with all before it."""
    width = size * _WIDTH
    for start in range(0, len(ids) - width + 1, width):
        key = xxh3_64_intdigest(ids[start : start + width], key)
        yield key
