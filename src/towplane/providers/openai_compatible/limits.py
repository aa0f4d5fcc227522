"""What headers say of a provider's limits: `x-ratelimit-*`, as OpenAI, Azure, Groq and others do.

Resets are durations as Go writes them (`6m0s`, `120ms`) or plain seconds; Azure says none. What is
not a number is not known. Pure.
"""

import re

from towplane.providers.adapter import Allowance, Fields

__all__ = ["read_allowance", "read_duration"]

_DURATION = re.compile(rb"(?:(\d+(?:\.\d+)?)(ms|us|\xc2\xb5s|ns|d|h|m|s))")
_SECONDS = {
    b"d": 86_400.0,
    b"h": 3600.0,
    b"m": 60.0,
    b"s": 1.0,
    b"ms": 1e-3,
    b"us": 1e-6,
    b"\xc2\xb5s": 1e-6,
    b"ns": 1e-9,
}
_LONGEST_S = 366 * 86_400.0
"""A number of seconds above this is a date (OpenRouter sends milliseconds since 1970)."""
_REQUESTS = (b"requests", b"req-minute")
_TOKENS = (b"tokens", b"tokens-minute")
"""OpenAI's names; and those of Mistral and Cerebras, who have one for each window."""


def read_allowance(fields: Fields) -> Allowance | None:
    """What an answer says of limits; None where it says nothing."""
    found = Allowance(
        _count(fields, b"limit", _REQUESTS),
        _count(fields, b"remaining", _REQUESTS),
        _reset(fields, _REQUESTS),
        _count(fields, b"limit", _TOKENS),
        _count(fields, b"remaining", _TOKENS),
        _reset(fields, _TOKENS),
    )
    return None if found == _NOTHING else found


def read_duration(value: bytes) -> float | None:
    """Seconds of `1h2m3.5s`, `120ms` or `60`; None for anything else."""
    try:
        seconds = float(value)
    except ValueError:
        parts = _DURATION.findall(value)
        if b"".join(number + unit for number, unit in parts) != value.strip() or not parts:
            return None
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return seconds if 0 <= seconds < _LONGEST_S else None


_NOTHING = Allowance()


def _count(fields: Fields, what: bytes, names: tuple[bytes, ...]) -> int | None:
    for name in names:
        value = fields.get(b"x-ratelimit-%b-%b" % (what, name))
        if value is not None and value.strip().isdigit():
            return int(value)
    return None


def _reset(fields: Fields, names: tuple[bytes, ...]) -> float | None:
    for name in names:
        value = fields.get(b"x-ratelimit-reset-" + name)
        if value is not None:
            return read_duration(value)
    return None
