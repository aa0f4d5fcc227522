"""Rows of an Azure Cost Management export become lines: actual and amortised cost, and FOCUS.

Columns: Microsoft Learn, "Cost and usage details file schema" for Enterprise Agreement and for
Microsoft Customer Agreement, which differ in capitals, and "FOCUS cost and usage details file
schema". Meters are named by abbreviations: `gpt 4o 0806 Inp glbl Tokens`,
`gpt-4o-mini-0718-Outp-glbl Tokens`, `5.4 opt Dz 1M Tokens`, `GPT 5.1 cd inp Gl 1M Tokens`,
`Provisioned Managed Global Unit` (Azure Retail Prices API, service `Foundry Models`, 2026).

Exports do not agree on whether `Quantity` counts tokens or units of a thousand. Each row tells: its
cost is its quantity times its price, or a thousandth of that.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from towplane.tenants.reconciliation.bill import (
    BillLine,
    Kind,
    amount_of,
    nanousd_of,
    tokens_of,
)
from towplane.tenants.reconciliation.files import Row

__all__ = ["read_lines"]

_CATEGORIES = ("azure openai", "foundry models", "openai")
_INPUT = frozenset(("inp", "input", "in", "prompt"))
_OUTPUT = frozenset(("outp", "output", "opt", "out", "completion"))
_CACHED = frozenset(("cached", "cd", "cchd", "cache"))
_PLACES = frozenset(("glbl", "gl", "global", "regnl", "regional", "rgnl", "dz", "dzn", "dzone",
                     "datazone", "data", "zone", "local", "std", "standard"))  # fmt: skip
_NOISE = frozenset(("tokens", "token", "1k", "1m", "batch", "pp", "priority", "flex", "shortco",
                    "longco", "az"))  # fmt: skip
_CAPACITY = frozenset(("provisioned", "ptu"))
_UNIT = re.compile(r"^([\d.,]+)?\s*([KM])?\b", re.IGNORECASE)
_VERSION = re.compile(r"(0[1-9]|1[0-2])[0-3]\d")
_TIMES = {"": 1, "k": 1000, "m": 1_000_000}


def read_lines(rows: Iterable[Row]) -> Iterator[BillLine]:
    """The lines of Azure OpenAI and Foundry models; other services are left out."""
    for row in rows:
        fields = {name.lower(): value for name, value in row.items() if name}
        category = " ".join(
            _text(fields, name)
            for name in ("metercategory", "metersubcategory", "x_skumetercategory",
                         "x_skumetersubcategory", "servicename")
        ).lower()  # fmt: skip
        if any(word in category for word in _CATEGORIES):
            yield _line(fields)


def _line(fields: dict[str, Any]) -> BillLine:
    meter = _text(fields, "metername", "x_skumetername", "skumeter")
    product = _text(fields, "metersubcategory", "x_skumetersubcategory", "product", "productname")
    model, kind = _what(meter, product)
    is_usage = _text(fields, "chargetype", "chargecategory").lower() in ("usage", "")
    cost, dollars = _cost(fields)
    is_tokens = is_usage and kind not in ("capacity", "other")
    return BillLine(
        day=_day(_text(fields, "date", "usagedatetime", "usagedate", "chargeperiodstart")),
        model=model,
        kind=kind,
        tokens=_tokens(fields, meter, cost) if is_tokens else None,
        nanousd=nanousd_of(dollars),
        words=" · ".join(word for word in (product, meter) if word),
        region=_text(fields, "resourcelocation", "regionid", "meterregion"),
        is_usage=is_usage,
    )


def _what(meter: str, product: str) -> tuple[str, Kind]:
    """Which model, and what of it."""
    words = [word for word in re.split(r"[\s\-_]+", meter) if word]
    lower = [word.lower() for word in words]
    if _CAPACITY & set(lower):
        return "", "capacity"
    kind: Kind = "other"
    if "tokens" in lower or "token" in lower:
        has_cache = bool(_CACHED & set(lower))
        if _OUTPUT & set(lower):
            kind = "output"
        elif has_cache:
            kind = "cache_write" if "write" in lower else "cache_read"
        elif _INPUT & set(lower):
            kind = "input"
    left_out = _INPUT | _OUTPUT | _CACHED | _PLACES | _NOISE | {"write"}
    model = [word for word in words if word.lower() not in left_out]
    model = [word for word in model if not _VERSION.fullmatch(word)]
    if model and model[0][:1].isdigit() and "gpt" in product.lower():
        model.insert(0, "gpt")  # `5.4 opt Dz`: only the product says whose number it is
    return " ".join(model), kind


def _tokens(fields: dict[str, Any], meter: str, cost: Decimal | None) -> int | None:
    consumed = amount_of(fields.get("consumedquantity"))
    if consumed is not None:
        return tokens_of(consumed, _size(_text(fields, "consumedunit")))
    quantity = amount_of(fields.get("quantity"))
    size = _size(_text(fields, "unitofmeasure") or meter)
    price = amount_of(fields.get("effectiveprice")) or amount_of(fields.get("unitprice"))
    if quantity and price and cost and size and size > 1:
        # Of the two readings the one whose amount is nearer to the cost; they are far apart.
        in_units, in_tokens = quantity * price, quantity * price / size
        if abs(in_tokens - cost) < abs(in_units - cost):
            size = 1
    return tokens_of(quantity, size)


def _size(unit: str) -> int | None:
    """`1K`, `1M`, `1K Tokens`, `Tokens`: tokens in one unit."""
    found = _UNIT.match(unit)
    number = amount_of(found[1]) if found is not None and found[1] else Decimal(1)
    if found is None or number is None:
        return None
    return int(number * _TIMES[(found[2] or "").lower()])


def _cost(fields: dict[str, Any]) -> tuple[Decimal | None, Decimal | None]:
    """In the currency of the bill, and in dollars if that is known."""
    cost = None
    for name in ("costinbillingcurrency", "cost", "pretaxcost", "billedcost"):
        cost = amount_of(fields.get(name)) if cost is None else cost
    dollars = amount_of(fields.get("costinusd"))
    currency = _text(fields, "billingcurrency", "billingcurrencycode", "currency").upper()
    if dollars is None and currency in ("USD", ""):
        dollars = cost
    return cost, dollars


def _day(text: str) -> str:
    """`11/05/2026` of CSV exports and ISO 8601 of the others."""
    found = re.match(r"^(\d{1,2})/(\d{1,2})/(\d{4})", text)
    return f"{found[3]}-{int(found[1]):02}-{int(found[2]):02}" if found is not None else text[:10]


def _text(fields: dict[str, Any], *names: str) -> str:
    for name in names:
        if fields.get(name):
            return str(fields[name])
    return ""
