"""The windows of limits and budgets, and the accounts that have them.

Pure. A window is named by its UTC time: `2026-11-23`, `2026-11` or `total`; no two kinds can be
confused. The law: usage belongs to the windows of the moment when its attempt was opened.
"""

import calendar
import math
import time
from functools import lru_cache
from typing import Literal, NamedTuple

__all__ = [
    "DAY_S",
    "TOTAL",
    "Account",
    "Used",
    "Windows",
    "day_of",
    "end_of",
    "next_window_s",
    "windows_at",
]

TOTAL = "total"
DAY_S = 86_400


class Account(NamedTuple):
    """Who has limits: a tenant by name, a project as `TENANT/PROJECT`, a key by its public id, a
    provider, or the overflow of a route."""

    kind: Literal["tenant", "project", "key", "provider", "overflow"]
    name: str


class Used(NamedTuple):
    """What was used in a window, as the ledger has it."""

    requests: int = 0
    tokens: int = 0
    """Input and output together."""
    nanousd: int = 0
    """Of what has a known cost."""

    def plus(self, other: "Used") -> "Used":
        """Both together."""
        return Used(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.nanousd + other.nanousd,
        )


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


def end_of(window: str) -> float:
    """The moment at which a window ends."""
    if window == TOTAL:
        return math.inf
    if len(window) == len("2026-11"):
        year, month = map(int, window.split("-"))
        following = (year + month // 12, month % 12 + 1)
        return float(calendar.timegm((*following, 1, 0, 0, 0)))
    return calendar.timegm(time.strptime(window, "%Y-%m-%d")) + float(DAY_S)
