"""Finds what stands under a key near the end of an answer whose beginning is gone.

Quotes are escaped inside JSON strings, so that a key is never part of a text. Knows no dialect:
what the object must be, its decoder says.
"""

import json
import re

import msgspec

__all__ = ["last_usage"]

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_json = json.JSONDecoder(strict=False)


def last_usage[T](tail: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The last object `usage` that is whole and what the decoder takes; others may bear the name,
    as a key of `metadata` or of a tool's input."""
    for found in reversed(list(_USAGE.finditer(tail))):
        start = found.end() - 1
        try:
            # A byte is a character, so that the end is the same in both.
            _, length = _json.raw_decode(tail[start:].decode("latin-1"))
            return decoder.decode(tail[start : start + length])
        except (ValueError, RecursionError, msgspec.DecodeError):
            continue
    return None
