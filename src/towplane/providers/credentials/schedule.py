"""When a credential is renewed. Pure: times and randomness are passed in.

A credential is renewed when 80 % of what is left of its life has passed, at least 5 minutes before
its end, and not before half of it. One that comes back with the same end, because whoever issues
it keeps it until shortly before, is so asked for again at shorter and shorter distances.
"""

__all__ = ["next_refresh", "next_try"]

_LIFE = 0.8
_LEAST_LEFT_S = 300.0
"""Longer than a token's last requests take, and than the clocks differ."""
_SOONEST_S = 5.0
_FIRST_S, _LONGEST_S = 2.0, 60.0


def next_refresh(expires_at: float, now: float) -> float:
    """When one that was just issued is to be renewed."""
    left = max(0.0, expires_at - now)
    at = min(now + _LIFE * left, expires_at - _LEAST_LEFT_S)
    return max(at, now + left / 2, now + _SOONEST_S)


def next_try(failures: int, now: float, random: float) -> float:
    """When to try again after so many failures in a row: full jitter, `random` from 0 to 1."""
    ceiling: float = min(_LONGEST_S, _FIRST_S * 2 ** min(failures - 1, 10))
    return now + max(1.0, ceiling * random)
