"""How long to wait before the same target is tried again: full jitter, and what it said itself.

Without a word from the target: a random time between 0 and min(8 s, 0.5 s · 2^(n-1)) after the n-th
failure ("full jitter", Marc Brooker, AWS Architecture Blog, 2015-03-04: the spread that makes the
fewest calls under contention). With one: not before it, and up to a tenth later, so that all who
were told the same do not come back together. Pure: the random number is passed in.
"""

__all__ = ["backoff_s"]

_FIRST_S = 0.5
_LONGEST_S = 8.0


def backoff_s(failures: int, after_s: float | None, random: float) -> float:
    """Seconds to wait after `failures` (from 1); `random` is between 0 and 1."""
    if after_s is not None:
        return after_s * (1 + random / 10)
    return random * min(_LONGEST_S, _FIRST_S * 2.0 ** min(failures - 1, 16))
