"""Human units of `plane.yaml`: what a field's text means, and the value it becomes.

A field of a section says its unit in its type (`Duration`, `Size`, `Share`, `Money`, ...). The
document reads the text through `PARSERS[unit]`; `parts.spelling` writes values and JSON Schema from
the same patterns. This module knows no section and no file.

The law: a text means one value or is refused; nothing is rounded. A parser raises `UnitError`,
which says what was expected and never repeats a text that could be a secret.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated

from msgspec import Meta

from towplane.parts.names import MODEL_NAME, NAME

__all__ = [
    "BYTES",
    "EXPECTED",
    "PARSERS",
    "PATTERNS",
    "SECONDS",
    "TEXTUAL",
    "Address",
    "AtLeastOne",
    "Count",
    "Date",
    "Duration",
    "ModelName",
    "Money",
    "Name",
    "Number",
    "Path",
    "Rate",
    "Secret",
    "Share",
    "Size",
    "Timeout",
    "TokenPrice",
    "UnitError",
    "Url",
    "Weights",
]

Name = Annotated[str, Meta(extra={"unit": "name"})]
"""What a provider, an engine, a tenant or the installation is called."""

ModelName = Annotated[str, Meta(extra={"unit": "model_name"})]
"""What clients ask for."""

Duration = Annotated[float, Meta(extra={"unit": "duration"})]
"""Seconds as a float; written `250ms`, `2s`, `10m`, `1h`, `7d`."""

Timeout = Annotated[float, Meta(extra={"unit": "timeout"})]
"""A duration longer than zero."""

Size = Annotated[int, Meta(extra={"unit": "size"})]
"""Bytes; written `512 KiB`, `32 MiB`, `1 GB`, or a plain number of bytes."""

Share = Annotated[float, Meta(extra={"unit": "share"})]
"""A share from 0 to 1; written `20%` or `0.2`."""

Count = Annotated[int, Meta(extra={"unit": "count"})]
"""A whole number, not negative; `400_000` and `400k` are allowed."""

AtLeastOne = Annotated[int, Meta(extra={"unit": "at_least_one"})]
"""A count of 1 or more."""

Number = Annotated[float, Meta(extra={"unit": "number"})]
"""A number from 0 up, with or without decimals; written `0.6` or `400`."""

Rate = Annotated[float, Meta(extra={"unit": "rate"})]
"""Events per second; written `3/s`, `600/m`, `10/h`."""

Money = Annotated[int, Meta(extra={"unit": "money"})]
"""Whole nano-dollars; written `2000 USD`, `0.15 USD`."""

TokenPrice = Annotated[int, Meta(extra={"unit": "token_price"})]
"""Nano-dollars per one million tokens; written `0.15 USD/Mtok`."""

Secret = Annotated[str, Meta(extra={"unit": "secret"})]
"""A reference, such as `env:NAME` or `file:PATH`; never the value itself."""

Address = Annotated[str, Meta(extra={"unit": "address"})]
"""`host:port`; port 0 asks the system for a free one."""

Url = Annotated[str, Meta(extra={"unit": "url"})]
"""An absolute http or https URL."""

Path = Annotated[str, Meta(extra={"unit": "path"})]
"""A file path; a relative one is taken from the document's folder."""

Weights = Annotated[str, Meta(extra={"unit": "weights"})]
"""Where weights are: `package:DISTRIBUTION/FILE` (a file inside an installed Python package) or
`file:PATH`."""

Date = Annotated[str, Meta(extra={"unit": "date"})]
"""A day, ISO 8601, UTC: `2026-11-23`."""


EXPECTED: Mapping[str, str] = MappingProxyType(
    {
        "name": "letters, digits, . _ -, beginning with a letter or digit, at most 63",
        "model_name": "letters, digits, . _ - / :, beginning with a letter or digit, at most 127",
        "duration": "a duration such as 250ms, 2s, 10m, 1h or 7d",
        "timeout": "a duration longer than zero, such as 250ms, 2s, 10m or 1h",
        "size": "a size such as 512 KiB, 32 MiB, 1 GB or a whole number of bytes",
        "share": "a share from 0% to 100%, such as 20%, 99.9% or 0.2",
        "count": "a whole number from 0 up, such as 600, 400_000 or 400k",
        "at_least_one": "a whole number from 1 up, such as 1, 4_096 or 4k",
        "number": "a number from 0 up, such as 0.6 or 400",
        "rate": "a rate such as 3/s, 600/m or 10/h",
        "money": "an amount such as 2000 USD or 0.15 USD, with at most 9 decimals",
        "token_price": "a price such as 0.15 USD/Mtok (per million tokens), at most 9 decimals",
        "secret": "a reference such as env:NAME, file:PATH or command:PROGRAM, never the secret "
        "itself",
        "address": "host:port such as 127.0.0.1:8080 or [::1]:8080, with a port up to 65535",
        "url": "an absolute http or https URL without user name, query or fragment",
        "path": "a file path",
        "weights": "package:DISTRIBUTION/FILE or file:PATH",
        "date": "a day such as 2026-11-23",
    }
)
"""What each unit wants, as the rest of a sentence that begins with `expected`."""

TEXTUAL = frozenset({"name", "model_name", "secret", "address", "url", "path", "weights"})
"""Units that are text in YAML too: a bare number or `true` is not one of them."""


class UnitError(ValueError):
    """A text is not what its unit wants; `why` is there where more can be said than `expected`."""

    def __init__(self, unit: str, why: str = "") -> None:
        super().__init__(f"expected {EXPECTED[unit]}" + (f": {why}" if why else ""))
        self.unit = unit
        self.expected = EXPECTED[unit]
        self.why = why


_DIGITS = r"(?:0|[1-9][0-9]*(?:_[0-9]+)*)"
_NUMBER = rf"{_DIGITS}(?:\.[0-9]+)?"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"

_LONGEST_S = Decimal(100 * 365 * 86400)
_MOST = 2**53  # what JSON readers hold exactly
_RICHEST_NANOUSD = 10**18  # a billion dollars; SQLite's integers end at 9.2 × 10**18

SECONDS = {
    "us": Decimal("0.000001"),
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
BYTES = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}

PATTERNS: Mapping[str, str] = {
    "name": NAME,
    "model_name": MODEL_NAME,
    "duration": rf"^({_NUMBER}) ?(us|ms|s|m|h|d)$",
    "size": rf"^({_NUMBER}) ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB|)$",
    "share": rf"^({_NUMBER})( ?%)?$",
    "count": rf"^({_NUMBER})(k|M|G|)$",
    "number": rf"^({_NUMBER})$",
    "rate": rf"^({_NUMBER}) ?/ ?(s|m|h)$",
    "money": rf"^({_NUMBER}) ?USD$",
    "token_price": rf"^({_NUMBER}) ?USD ?/ ?Mtok$",
    "secret": (
        rf"^(env:{_NAME}|file:.+|command:[^ ].*|vault:[^#]+#.+|aws-secretsmanager:[^#]+(#.+)?|"
        r"azure-keyvault:[^/]+/[^/]+|gcp-secretmanager:projects/[^/]+/secrets/[^/]+/versions/[^/]+)$"
    ),
    "address": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})$",
    "url": r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
    "path": r"^[^\x00]+$",
    "weights": r"^(package:[A-Za-z0-9][A-Za-z0-9._-]*/[^/].*|file:.+)$",
    "date": r"^([0-9]{4})-([0-9]{2})-([0-9]{2})$",
}


def _match(unit: str, text: str, pattern: str = "") -> tuple[str, ...]:
    # `$` also matches before a final line break; `fullmatch` does not.
    found = re.fullmatch(PATTERNS[pattern or unit], text)
    if found is None:
        raise UnitError(unit)
    return tuple(group or "" for group in found.groups())


def _number(text: str) -> Decimal:
    return Decimal(text.replace("_", ""))


def _read_duration(text: str, unit: str = "duration") -> float:
    number, suffix = _match(unit, text, "duration")
    seconds = _number(number) * SECONDS[suffix]
    if seconds > _LONGEST_S:
        raise UnitError(unit, "longer than a hundred years")
    return float(seconds)


def _read_timeout(text: str) -> float:
    seconds = _read_duration(text, "timeout")
    if seconds == 0:
        raise UnitError("timeout", "zero would let nothing through")
    return seconds


def _read_whole(unit: str, amount: Decimal, most: int) -> int:
    whole = int(amount)
    if whole != amount:
        raise UnitError(unit, "not a whole number")
    if whole > most:
        raise UnitError(unit, "too large")
    return whole


def _read_size(text: str) -> int:
    number, suffix = _match("size", text)
    return _read_whole("size", _number(number) * BYTES[suffix], _MOST)


def _read_count(text: str, unit: str = "count") -> int:
    number, suffix = _match(unit, text, "count")
    return _read_whole(unit, _number(number) * _MULTIPLES[suffix], _MOST)


def _read_at_least_one(text: str) -> int:
    count = _read_count(text, "at_least_one")
    if count == 0:
        raise UnitError("at_least_one")
    return count


def _read_number(text: str) -> float:
    number = _number(*_match("number", text))
    if number > _MOST:
        raise UnitError("number", "too large")
    return float(number)


def _read_share(text: str) -> float:
    number, percent = _match("share", text)
    share = _number(number) / 100 if percent else _number(number)
    if share > 1:
        hint = f"did you mean {text}%?" if not percent and share <= 100 else ""
        raise UnitError("share", hint)
    return float(share)


def _read_rate(text: str) -> float:
    number, per = _match("rate", text)
    return float(_number(number) / SECONDS[per])


def _read_nanousd(unit: str, text: str) -> int:
    (number,) = _match(unit, text)
    nano = _number(number).scaleb(9)
    if nano != int(nano):
        raise UnitError(unit, "finer than a nano-dollar")
    if nano > _RICHEST_NANOUSD:
        raise UnitError(unit, "more than a billion dollars")
    return int(nano)


def _read_text(unit: str, text: str) -> str:
    _match(unit, text)
    return text


def _read_address(text: str) -> str:
    host, port = _match("address", text)
    if int(port) > 65535:
        raise UnitError("address")
    if host.startswith("["):
        import ipaddress

        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise UnitError("address") from None
    return text


def _read_url(text: str) -> str:
    from urllib.parse import urlsplit

    _match("url", text)
    try:
        parts = urlsplit(text)
        known = bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise UnitError("url")
    return text.rstrip("/")


def _read_date(text: str) -> str:
    from datetime import date

    year, month, day = _match("date", text)
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise UnitError("date", "no such day") from None


PARSERS: Mapping[str, Callable[[str], float | int | str]] = MappingProxyType(
    {
        "name": lambda text: _read_text("name", text),
        "model_name": lambda text: _read_text("model_name", text),
        "duration": _read_duration,
        "timeout": _read_timeout,
        "size": _read_size,
        "share": _read_share,
        "count": _read_count,
        "at_least_one": _read_at_least_one,
        "number": _read_number,
        "rate": _read_rate,
        "money": lambda text: _read_nanousd("money", text),
        "token_price": lambda text: _read_nanousd("token_price", text),
        "secret": lambda text: _read_text("secret", text),
        "address": _read_address,
        "url": _read_url,
        "path": lambda text: _read_text("path", text),
        "weights": lambda text: _read_text("weights", text),
        "date": _read_date,
    }
)
"""From a field's unit to the function that reads its text or raises `UnitError`."""
