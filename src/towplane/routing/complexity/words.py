"""A prompt as numbers: hashed words and pairs of words, the same on every machine.

Only the start and the end of a text are looked at, so that no prompt costs more than a known time.
No word is kept: a model that was learned from prompts holds numbers by bucket.

The law: equal texts give equal buckets, whatever the process, the machine and the locale.
"""

import re
from itertools import pairwise
from zlib import crc32

__all__ = ["BUCKETS", "buckets_of", "ends_of"]

BUCKETS = 1 << 13
"""With some thousand labels most words and pairs that matter have a bucket of their own."""

_MASK = BUCKETS - 1
_END = 1000
"""Characters of the start and of the end that count: a question stands at one of the two."""

# Bytes of UTF-8: three bytes from 0xE3 on are a sign of Chinese, Japanese or Korean, which write no
# space between words; other letters stand together; numbers; one sign each.
_WORD = re.compile(
    rb"[\xe3-\xed][\x80-\xbf][\x80-\xbf]"
    rb"|[a-z\x80-\xe2\xee-\xff]+"
    rb"|[0-9]+"
    rb"|[!-/:-@\[-`{-~]"
)
_find = _WORD.findall


def ends_of(text: str) -> str:
    """What is looked at: a text of up to 2,000 characters whole, else its start and its end."""
    return text if len(text) <= 2 * _END else f"{text[:_END]} {text[-_END:]}"


def buckets_of(text: str) -> list[int]:
    """The bucket of each word and of each pair of neighbours; empty where there is no word."""
    hashes = list(map(crc32, _find(ends_of(text).lower().encode("utf-8", "replace"))))
    found = [one & _MASK for one in hashes]
    # A pair's low bits mix all bits of its first word with those of the second.
    found += [(one >> 11) + other * 5 & _MASK for one, other in pairwise(hashes)]
    return found
