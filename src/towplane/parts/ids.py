"""Request ids: unique over workers and restarts, ascending within one worker, cheap to make.

Knows no request and no journal. An id is 26 characters that need no quoting in a URL, a header or
JSON: nine of start time, seven of randomness, ten of a counter. The law: ids of one `RequestIds`
ascend as text, and no two `RequestIds` ever share a prefix. An id is a name and no secret.
"""

import itertools
import secrets
import time
from collections.abc import Callable, Iterator

__all__ = ["PREFIX_CHARS", "RequestIds"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: ascends as ASCII does
_TIME_CHARS = 9  # 45 bits of milliseconds: until the year 3084
_RANDOM_CHARS = 7  # 35 bits: two workers that start in the same millisecond differ
_COUNT_CHARS = 10
_BLOCK_CHARS = 3
_LAST_DIGITS = tuple(f"{number:0{_BLOCK_CHARS}x}" for number in range(16**_BLOCK_CHARS))
PREFIX_CHARS = _TIME_CHARS + _RANDOM_CHARS
"""What all ids of one worker begin with."""


class RequestIds:
    """The ids of one worker, made once when it starts; `prefix` also names its journal."""

    __slots__ = ("next", "prefix")

    def __init__(self, *, now: float | None = None) -> None:
        started_ms = int((time.time() if now is None else now) * 1000)
        self.prefix = _base32(started_ms, _TIME_CHARS) + _base32(
            secrets.randbits(5 * _RANDOM_CHARS), _RANDOM_CHARS
        )
        self.next: Callable[[], str] = itertools.chain.from_iterable(_blocks(self.prefix)).__next__
        """The next id; the counter's ten digits last three years at 10,000 a second."""


def _blocks(prefix: str) -> Iterator[Iterator[str]]:
    """All ids, in blocks of those that differ in the last digits only: what is the same is made
    once, and an id is one concatenation, without a line of Python."""
    for block in range(16 ** (_COUNT_CHARS - _BLOCK_CHARS)):
        start = f"{prefix}{block:0{_COUNT_CHARS - _BLOCK_CHARS}x}"
        yield map(start.__add__, _LAST_DIGITS)


def _base32(number: int, width: int) -> str:
    digits = [_ALPHABET[number >> shift & 31] for shift in range(5 * (width - 1), -1, -5)]
    return "".join(digits)
