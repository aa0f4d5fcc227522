"""When to come back, as headers say it: `retry-after-ms`, else `retry-after` (RFC 9110, 10.2.3).

Pure: a date is measured against the `date` header of the same answer, so no clock is needed and
two clocks that differ do no harm.
"""

from collections.abc import Mapping

__all__ = ["read_retry_after"]

_LONGEST_S = 86_400.0


def read_retry_after(fields: Mapping[bytes, bytes]) -> float | None:
    """Seconds after which a retry makes sense; None where the answer does not say."""
    milliseconds = fields.get(b"retry-after-ms")
    if milliseconds is not None:
        seconds = _number(milliseconds)
        if seconds is not None:
            return seconds / 1000
    value = fields.get(b"retry-after")
    if value is None:
        return None
    seconds = _number(value)
    return seconds if seconds is not None else _until(value, fields.get(b"date"))


def _number(value: bytes) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < _LONGEST_S else None


def _until(value: bytes, date: bytes | None) -> float | None:
    if date is None:
        return None
    from email.utils import parsedate_to_datetime  # 5 ms that nearly no worker needs

    try:
        then = parsedate_to_datetime(value.decode("ascii"))
        now = parsedate_to_datetime(date.decode("ascii"))
        seconds = (then - now).total_seconds()
    except (ValueError, TypeError, UnicodeDecodeError):
        return None
    return seconds if 0 <= seconds < _LONGEST_S else None
