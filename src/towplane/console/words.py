"""Figures as people read them: rates, durations, money, ages, shares.

Pure. It knows no page. Laws: money is exact to the last nano-dollar; what is None reads `–`, never
0; a quantile beyond the last bucket reads as a bound.
"""

from collections.abc import Callable
from datetime import datetime

from towplane.monitoring.now import Quantile

__all__ = [
    "ABSENT",
    "ago",
    "clock",
    "count",
    "duration",
    "lasting",
    "money",
    "quantile",
    "rate",
    "share",
    "times",
    "until",
]

Say = Callable[[float | None], str]

ABSENT = "–"

_NANO = 1_000_000_000


def rate(value: float | None) -> str:
    """Events per second, in three digits: `0.42`, `12.3`, `1,240`."""
    if value is None:
        return ABSENT
    if value == 0:
        return "0"
    if value < 0.01:
        return "<0.01"
    return _three(value)


def count(value: float | None) -> str:
    """A whole number with separators."""
    return ABSENT if value is None else f"{int(value):,}"


def share(value: float | None) -> str:
    """A share as per cent; 100 % and 0 % only where it is exactly so."""
    if value is None:
        return ABSENT
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    return f"{min(max(value * 100, 0.1), 99.9):.1f} %"


def times(value: float | None) -> str:
    """A ratio: `1.04 ×`."""
    return ABSENT if value is None else f"{value:.2f} ×"


def duration(seconds: float | None) -> str:
    """`0.4 ms`, `350 ms`, `1.24 s`, `12 min`, `3.5 h`, `5 d`."""
    if seconds is None:
        return ABSENT
    if seconds < 0.9995:
        return f"{_three(seconds * 1000)} ms"
    if seconds < 119.5:
        return f"{_three(seconds)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{round(seconds / 86400)} d"


def quantile(value: Quantile | None) -> str:
    """A duration, or a bound where it lies beyond the last bucket."""
    if value is None:
        return ABSENT
    return f"> {duration(value.value_s)}" if value.is_bound else duration(value.value_s)


def money(nanousd: int | None) -> str:
    """Exact: `$1,204.50`, `$0.000001234`; at least two decimals, no rounding."""
    if nanousd is None:
        return ABSENT
    sign = "-" if nanousd < 0 else ""
    whole, nano = divmod(abs(nanousd), _NANO)
    decimals = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{decimals}"


def ago(then: datetime | None, now: datetime) -> str:
    """An age: `just now`, `40 s ago`, `3.5 h ago`."""
    if then is None:
        return ABSENT
    seconds = (now - then).total_seconds()
    return "just now" if seconds < 2 else f"{span(seconds)} ago"


def lasting(then: datetime | None, now: datetime) -> str:
    """How long something has been so: `40 s`, `3.5 h`."""
    return ABSENT if then is None else span(max(0.0, (now - then).total_seconds()))


def until(then: datetime | None, now: datetime) -> str:
    """How long it is to a moment: `in 40 s`, `in 3.5 h`, `over`."""
    if then is None:
        return ABSENT
    seconds = (then - now).total_seconds()
    return f"in {span(seconds)}" if seconds > 0 else "over"


def clock(moment: datetime | None) -> str:
    """ISO 8601, UTC, to the second."""
    return ABSENT if moment is None else f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def span(seconds: float) -> str:
    """A stretch of time, coarsely: `58 s`, `3 min`."""
    return f"{round(seconds)} s" if seconds < 119.5 else duration(seconds)


def _three(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
