"""What Anthropic's headers say of its limits.

`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`; `tokens`
is the tightest of the limits on tokens, and `reset` the moment at which a limit is full again (RFC
3339; Claude docs "Rate limits"). A moment is measured against the `date` of the same answer, so
that two clocks that differ do no harm.
"""

from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from towplane.providers.adapter import Allowance, Fields

__all__ = ["read_allowance"]

_PREFIX = b"anthropic-ratelimit-"
_TOKENS = (b"tokens", b"input-tokens")
"""The first of them that is there."""


def read_allowance(fields: Fields) -> Allowance | None:
    """What the headers say; None where they say nothing."""
    tokens = next((kind for kind in _TOKENS if _has(fields, kind)), None)
    if tokens is None and not _has(fields, b"requests"):
        return None
    kind = tokens or _TOKENS[0]
    return Allowance(
        _count(fields, b"requests", b"limit"),
        _count(fields, b"requests", b"remaining"),
        _until(fields, b"requests"),
        _count(fields, kind, b"limit"),
        _count(fields, kind, b"remaining"),
        _until(fields, kind),
    )


def _has(fields: Fields, kind: bytes) -> bool:
    return b"%b%b-remaining" % (_PREFIX, kind) in fields


def _count(fields: Fields, kind: bytes, what: bytes) -> int | None:
    value = fields.get(b"%b%b-%b" % (_PREFIX, kind, what))
    return int(value) if value is not None and value.isdigit() else None


def _until(fields: Fields, kind: bytes) -> float | None:
    reset, date = fields.get(b"%b%b-reset" % (_PREFIX, kind)), fields.get(b"date")
    if reset is None or date is None:
        return None
    then, now = _moment(reset), _date(date)
    return max(then - now, 0.0) if then is not None and now is not None else None


@lru_cache(maxsize=64)  # many answers of one second say the same
def _moment(value: bytes) -> float | None:
    try:
        moment = datetime.fromisoformat(value.decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


@lru_cache(maxsize=16)
def _date(value: bytes) -> float | None:
    try:
        return parsedate_to_datetime(value.decode("ascii")).timestamp()
    except (ValueError, TypeError, UnicodeDecodeError):
        return None
