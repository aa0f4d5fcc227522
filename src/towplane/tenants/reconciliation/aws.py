"""Rows of an AWS Cost and Usage Report become lines: CUR 2.0, and legacy CUR.

Columns: AWS Data Exports user guide, "Cost and Usage Report (CUR) 2.0", and "Line item details" for
the legacy names, which become the newer ones here. Bedrock's usage types: Amazon Bedrock user
guide, "Understanding your Amazon Bedrock Cost and Usage Report data":
`{region}-{model}-{token-type}[-{tier}][-cross-region-global]`, with `-mantle-` before the token
type for the OpenAI-compatible endpoint. Models of other vendors are also sold as products of the
Marketplace, `Claude Sonnet 4.5 (Amazon Bedrock Edition)`, whose usage types
(`USE1-MP:USE1_InputTokenCount-Units`) say everything but the model and whose unit is a million.
"""

import re
from collections.abc import Iterable, Iterator
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

_EDITION = "(Amazon Bedrock Edition)"
_USAGE = frozenset(("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage"))
"""Of `line_item_line_item_type`; the others are money without usage."""

_USAGE_TYPE = re.compile(
    r"^(?P<region>[A-Z]{2,4}\d?)-(?P<model>.+?)-(?:mantle-)?"
    r"(?P<kind>cache-read-input|cache-write(?:-\w+?)?-input|input|output)-token(?:s|-count)"
    r"(?:-.*)?$",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"(?:\b(?P<number>\d[\d,]*)\s*(?P<short>[KM]\b)?|\b(?P<long>thousand|million)\b|^)\s*"
    r"(?:(?:input|output|cached?|read|write|text|prompt)\s+)*tokens?\b",
    re.IGNORECASE,
)
_TIMES = {"k": 1000, "m": 1_000_000, "thousand": 1000, "million": 1_000_000, "": 1}


def read_lines(rows: Iterable[Row]) -> Iterator[BillLine]:
    """The lines of Bedrock; other services are left out."""
    for row in rows:
        fields = {_field(name): value for name, value in row.items()}
        product = _product(fields)
        if "Bedrock" in str(fields.get("line_item_product_code", "")) or _EDITION in product:
            yield _line(fields, product)


def _line(fields: dict[str, Any], product: str) -> BillLine:
    usage_type = str(fields.get("line_item_usage_type") or "")
    description = str(fields.get("line_item_line_item_description") or "")
    model, kind = _what(usage_type, product)
    currency = str(fields.get("line_item_currency_code") or "USD")
    cost = amount_of(fields.get("line_item_unblended_cost"))
    is_usage = fields.get("line_item_line_item_type") in _USAGE
    is_tokens = is_usage and kind not in ("capacity", "other")
    quantity = amount_of(fields.get("line_item_usage_amount")) if is_tokens else None
    unit = str(fields.get("pricing_unit") or "")
    return BillLine(
        day=str(fields.get("line_item_usage_start_date") or "")[:10],
        model=model,
        kind=kind,
        tokens=tokens_of(quantity, _per_unit(unit, description)),
        nanousd=nanousd_of(cost) if currency == "USD" else None,
        words=" · ".join(word for word in (usage_type, description) if word),
        region=str(fields.get("product_region_code") or fields.get("product_region") or ""),
        is_usage=is_usage,
    )


def _what(usage_type: str, product: str) -> tuple[str, Kind]:
    """Which model, and what of it."""
    edition = product.partition(_EDITION)[0].strip() if _EDITION in product else ""
    if re.search(r"provisioned|modelunit|model-unit|reserved", usage_type, re.IGNORECASE):
        return edition, "capacity"
    found = _USAGE_TYPE.match(usage_type)
    if found is not None and not edition:
        return found["model"], _kind(found["kind"])
    words = re.sub(r"[^a-z]", "", usage_type.lower())
    if edition and "token" in words:
        return edition, _kind(words)
    return edition, "other"


def _kind(words: str) -> Kind:
    words = words.lower()
    if "cache" in words:
        return "cache_read" if "read" in words else "cache_write"
    return "output" if "output" in words else "input"


def _per_unit(unit: str, description: str) -> int | None:
    """Tokens in one unit: the unit says it, or the description does; None: neither."""
    for text in (unit, description):
        found = _UNIT.search(text)
        if found is not None:
            number = int((found["number"] or "1").replace(",", ""))
            return number * _TIMES[(found["short"] or found["long"] or "").lower()]
    return None


def _product(fields: dict[str, Any]) -> str:
    """The product's name, which is a column or one of the attributes of `product`."""
    attributes = fields.get("product")
    if isinstance(attributes, list):  # how Parquet shows a map
        attributes = dict(attributes)
    if isinstance(attributes, str):  # how CSV shows it: JSON
        found = re.search(r'"product_name"\s*:\s*"([^"]*)"', attributes)
        attributes = {"product_name": found[1]} if found else {}
    found_name = fields.get("product_product_name")
    if not found_name and isinstance(attributes, dict):
        found_name = attributes.get("product_name")
    return str(found_name or "")


def _field(name: str) -> str:
    """`lineItem/UsageType` of legacy CUR as `line_item_usage_type`."""
    if "/" not in name:
        return name.lower()
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.replace("/", "_")).lower()
