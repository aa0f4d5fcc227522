"""How a value is written in `plane.yaml`: as text for people, as JSON Schema for editors.

The counterpart of `parts.units`, needed only where a document is explained, not where it is read.

The law: what `format_value` writes, the unit's parser reads as the same value; and a schema accepts
what the parser accepts, as far as a pattern can say it.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from towplane.parts.units import BYTES, PATTERNS, SECONDS

__all__ = ["SCHEMAS", "format_value"]


def format_value(unit: str, value: float | int | str) -> str:
    """The shortest text that a document may write for `value`."""
    if isinstance(value, str):
        return value
    exact = Decimal(repr(value))
    match unit:
        case "duration" | "timeout":
            return _divide(
                exact, {name: SECONDS[name] for name in ("d", "h", "m", "s", "ms", "us")}
            )
        case "size":
            steps = {f" {name}": Decimal(BYTES[name]) for name in ("TiB", "GiB", "MiB", "KiB", "B")}
            return _divide(exact, steps)
        case "share":
            return f"{_digits(exact * 100)}%"
        case "number":
            return _digits(exact)
        case "rate":
            return _format_rate(value)
        case "money":
            return f"{_digits(exact.scaleb(-9))} USD"
        case "token_price":
            return f"{_digits(exact.scaleb(-9))} USD/Mtok"
    return str(value)


def _divide(exact: Decimal, steps: Mapping[str, Decimal]) -> str:
    """In the largest step of which it is a whole number, else in the smallest."""
    if exact == 0:
        steps = {name: step for name, step in steps.items() if name in ("s", " B")}
    name, step = next(
        ((name, step) for name, step in steps.items() if exact % step == 0), [*steps.items()][-1]
    )
    return f"{_digits(exact / step)}{name}"


def _format_rate(value: float) -> str:
    for name in ("s", "m", "h"):
        count = round(value * float(SECONDS[name]))
        if float(Decimal(count) / SECONDS[name]) == value:
            return f"{count}/{name}"
    return f"{_digits(Decimal(repr(value)))}/s"


def _digits(exact: Decimal) -> str:
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _whole(pattern: str, least: int) -> Mapping[str, object]:
    integer = {"type": "integer", "minimum": least}
    return {"anyOf": [integer, {"type": "string", "pattern": PATTERNS[pattern]}]}


def _pattern(unit: str) -> Mapping[str, object]:
    return {"type": "string", "pattern": PATTERNS[unit]}


SCHEMAS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "name": _pattern("name"),
        "model_name": _pattern("model_name"),
        "duration": _pattern("duration"),
        "timeout": {**_pattern("duration"), "not": {"pattern": r"^0(\.0+)? ?(us|ms|s|m|h|d)$"}},
        "size": _whole("size", 0),
        "share": {
            "anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, _pattern("share")],
        },
        "count": _whole("count", 0),
        "at_least_one": _whole("count", 1),
        "number": {"anyOf": [{"type": "number", "minimum": 0}, _pattern("number")]},
        "rate": _pattern("rate"),
        "money": _pattern("money"),
        "token_price": _pattern("token_price"),
        "secret": _pattern("secret"),
        "address": _pattern("address"),
        "url": _pattern("url"),
        "path": _pattern("path"),
        "weights": _pattern("weights"),
        "date": _pattern("date"),
    }
)
"""From a unit to the JSON Schema (draft 2020-12) of what a document may write."""
