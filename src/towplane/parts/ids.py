"""Request ids: unique over workers and restarts, ascending within one worker, cheap to make.

Knows no request and no journal. An id is 26 characters that need no quoting in a URL, a header or
JSON: nine of start time, seven of randomness, ten of a counter. The law: ids of one `RequestIds`
ascend as text, and no two `RequestIds` ever share a prefix. An id is a name and no secret.
"""

import itertools
import secrets
import time

__all__ = ["PREFIX_CHARS", "RequestIds"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: ascends as ASCII does
_TIME_CHARS = 9  # 45 bits of milliseconds: until the year 3084
_RANDOM_CHARS = 7  # 35 bits: two workers that start in the same millisecond differ
PREFIX_CHARS = _TIME_CHARS + _RANDOM_CHARS
"""What all ids of one worker begin with."""


class RequestIds:
    """The ids of one worker, made once when it starts; `prefix` also names its journal."""

    __slots__ = ("_count", "prefix")

    def __init__(self, *, now: float | None = None) -> None:
        started_ms = int((time.time() if now is None else now) * 1000)
        self.prefix = _base32(started_ms, _TIME_CHARS) + _base32(
            secrets.randbits(5 * _RANDOM_CHARS), _RANDOM_CHARS
        )
        self._count = itertools.count(1)

    def next(self) -> str:
        """The next id; the counter's ten digits last three years at 10,000 a second."""
        return f"{self.prefix}{next(self._count):010x}"


def _base32(number: int, width: int) -> str:
    digits = [_ALPHABET[number >> shift & 31] for shift in range(5 * (width - 1), -1, -5)]
    return "".join(digits)
