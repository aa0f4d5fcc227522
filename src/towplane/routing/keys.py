"""The hashes by which requests are alike: of a session, of a prompt's beginning, of its blocks.

64 bits of XXH3, the same in every worker and on every machine. All are salted by the tenant, so
that two tenants with the same words are told apart; those of the prompt also by the LoRA adapter,
because what an engine keeps of a prompt belongs to its adapter. Pure; knows no dialect.

A prompt's blocks grow with what lies before them, so that a hundred tell how far two long prompts
are alike to within a 24th. The law: two prompts have as many equal leading blocks as they are equal
up to a block's end; 0 is never the key of a session or an opening, it says that there is none.
"""

from bisect import bisect_right
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from struct import Struct
from typing import Final

from xxhash import xxh3_64_intdigest

__all__ = ["ENDS", "block_keys", "draw_key", "prefix_key", "prompt_salt", "session_key"]

_REACH: Final = 512
"""Stretches of a prompt that are looked at: some 32,000 tokens at 256 bytes each. Prompts that are
equal for so long find the same target whatever comes after."""
_SHARE: Final = 24
"""A block is a stretch long, later ones as many as this part of what lies before them."""
_HANDFUL: Final = 8
"""So many blocks, a stretch each, are quicker cut one by one."""


def _ends() -> list[int]:
    ends = []
    end = 1
    while end <= _REACH:
        ends.append(end)
        end += max(1, end // _SHARE)
    return ends


ENDS = tuple(_ends())
"""Where blocks end, in stretches of `size` bytes (`prefix.block`): at each up to 48, at every other
up to 72, …; 111 of them."""


def session_key(tenant: str, said: bytes) -> int:
    """Of what ties requests to each other."""
    return xxh3_64_intdigest(said, _salt("session", tenant, "")) or 1


def prompt_salt(tenant: str, adapter: str) -> int:
    """What keys of this tenant's prompts begin with."""
    return _salt("prompt", tenant, adapter)


def prefix_key(salt: int, opening: bytes) -> int:
    """Of how a prompt begins; 0: it is empty."""
    return (xxh3_64_intdigest(opening, salt) or 1) if opening else 0


def block_keys(salt: int, prompt: bytes, size: int) -> tuple[int, ...]:
    """Of each whole block of a prompt together with all before it; what is left over at the end is
    not looked at, as engines keep whole blocks only."""
    stretches = len(prompt) // size
    count = stretches if stretches <= _SHARE else bisect_right(ENDS, stretches)
    key, digest = salt, xxh3_64_intdigest  # looked up once: a prompt may have a hundred blocks
    keys = []
    if count <= _HANDFUL:
        for at in range(count):
            key = digest(prompt[at * size : (at + 1) * size], key)
            keys.append(key)
        return tuple(keys)
    for block in _cut(size, count)(prompt):
        key = digest(block, key)
        keys.append(key)
    return tuple(keys)


def draw_key(request: str) -> int:
    """A number that looks random and is the same whenever this request is asked about."""
    return xxh3_64_intdigest(request.encode())


@lru_cache(maxsize=4096)
def _salt(purpose: str, tenant: str, adapter: str) -> int:
    # No name holds a NUL, so that no two triples read the same.
    return xxh3_64_intdigest(f"{purpose}\0{tenant}\0{adapter}".encode())


@lru_cache(maxsize=len(ENDS) * 4)
def _cut(size: int, count: int) -> Callable[[bytes], tuple[bytes, ...]]:
    """Quicker than a slice for each."""
    widths = [end - begin for begin, end in pairwise((0, *ENDS[:count]))]
    return Struct("".join(f"{size * width}s" for width in widths)).unpack_from
