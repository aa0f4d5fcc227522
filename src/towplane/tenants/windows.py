"""The windows of a budget and the accounts that have one.

Pure. A window is named by its UTC time: `2026-11-23`, `2026-11` or `total`; no two kinds can be
confused. The law: spend belongs to the windows of the moment when its attempt was opened.
"""

import time
from functools import lru_cache
from typing import Literal, NamedTuple

__all__ = ["DAY_S", "TOTAL", "Account", "Windows", "day_of", "next_window_s", "windows_at"]

TOTAL = "total"
DAY_S = 86_400


class Account(NamedTuple):
    """Who has limits: a tenant by name or a key by its public id (with a budget), or a provider."""

    kind: Literal["tenant", "key", "provider"]
    name: str


class Windows(NamedTuple):
    """The names of the three windows that hold one moment."""

    day: str
    month: str
    total: str


def windows_at(at: float) -> Windows:
    """The windows of a moment, in seconds since the epoch."""
    return _windows_of_day(int(at // DAY_S))


def day_of(at: float) -> str:
    """The UTC day of a moment, ISO 8601."""
    return _windows_of_day(int(at // DAY_S)).day


@lru_cache(maxsize=64)
def _windows_of_day(day_number: int) -> Windows:
    day = time.strftime("%Y-%m-%d", time.gmtime(day_number * DAY_S))
    return Windows(day, day[:7], TOTAL)


def next_window_s(at: float) -> float:
    """Seconds from a moment to the next UTC midnight, when some window may turn."""
    return DAY_S - at % DAY_S
