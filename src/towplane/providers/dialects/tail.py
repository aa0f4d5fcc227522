"""Finds the usage near the end of an answer whose beginning is gone.

Quotes are escaped inside JSON strings, so that a key is never part of a text. Knows no dialect:
what a usage must be, its decoder says.
"""

import json
import re
from typing import TypeVar

import msgspec

__all__ = ["last_usage"]

_Usage = TypeVar("_Usage")

_KEY = b'"usage"'
_OPENS = re.compile(rb'"usage"\s*:\s*(?=\{)')
_MOST = 32
"""So many are looked at; `metadata`, which may stand behind the usage, has at most 16 entries."""
_LONGEST = 64 * 1024
"""Bytes of a usage, as much as the line keeps of an answer's end."""
_json = json.JSONDecoder(strict=False)


def last_usage(tail: bytes, decoder: msgspec.json.Decoder[_Usage]) -> _Usage | None:
    """The last object `usage` that is whole and what the decoder takes; others may bear the name,
    as entries of `metadata`."""
    end = len(tail)
    for _ in range(_MOST):
        end = tail.rfind(_KEY, 0, end)
        if end < 0:
            break
        opening = _OPENS.match(tail, end)
        if opening is None:
            continue
        start = opening.end()
        try:  # in Latin-1 a byte is a character, so that the object ends at the same place in both
            _, length = _json.raw_decode(tail[start : start + _LONGEST].decode("latin-1"))
            return decoder.decode(tail[start : start + length])
        except (ValueError, RecursionError, msgspec.DecodeError):
            continue
    return None
