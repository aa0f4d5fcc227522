"""Rows of a Google Cloud Billing export become lines: JSON lines or CSV from BigQuery.

Columns: Cloud Billing documentation, "Structure of Standard data export": `service.description`,
`sku.description`, `usage_start_time`, `usage.amount`, `usage.unit`, `cost`, `cost_type`,
`currency`, `currency_conversion_rate`. In CSV a dot may be an underscore. The kind of token is in
the SKU's description: `Gemini 2.5 Flash GA Text Input - Predictions`, ` Gemini 2.5 Flash GA Input
Text Caching` (the blank is theirs), `Gemini 2.5 Pro Thinking Text Output - Predictions`, `… Caching
Storage` by the hour (Cloud Billing Catalog, service C7E2-9256-1C43, 2026). `usage.amount` counts
tokens where the unit is a count.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
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

_SERVICES = ("vertex ai", "gemini", "generative language")
_COUNTS = frozenset(("count", "requests", "token", "tokens", ""))
"""Of `usage.unit`: billing shows a count as `requests`."""
_NOISE = frozenset(
    ("text", "audio", "image", "video", "input", "output", "predictions", "prediction", "caching",
     "cached", "cache", "ga", "thinking", "global", "regional", "batch", "priority", "flex",
     "short", "long", "tokens", "token", "count", "on", "off", "generate", "content", "live",
     "hit", "read", "write", "hits", "writes", "and", "for", "vertex", "ai", "model", "online",
     "preview", "api")
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z0-9.]+")


def read_lines(rows: Iterable[Row]) -> Iterator[BillLine]:
    """The lines of Vertex AI and of the Gemini API; other services are left out."""
    for row in rows:
        fields = _flat(row)
        service = str(fields.get("service_description") or "").lower()
        if any(word in service for word in _SERVICES):
            yield _line(fields)


def _line(fields: dict[str, Any]) -> BillLine:
    sku = str(fields.get("sku_description") or "").strip()
    unit = str(fields.get("usage_unit") or "").lower()
    model, kind = _what(sku)
    is_usage = str(fields.get("cost_type") or "regular") == "regular"
    if unit not in _COUNTS:
        kind = "capacity" if unit in ("seconds", "hour", "h", "mo", "month") else "other"
    is_tokens = is_usage and kind not in ("capacity", "other")
    quantity = amount_of(fields.get("usage_amount")) if is_tokens else None
    return BillLine(
        day=_day(fields.get("usage_start_time")),
        model=model,
        kind=kind,
        tokens=tokens_of(quantity, 1),
        nanousd=nanousd_of(_dollars(fields)),
        words=sku,
        region=str(fields.get("location_region") or ""),
        is_usage=is_usage,
    )


def _what(sku: str) -> tuple[str, Kind]:
    """Which model, and what of it."""
    words = [word for word in _WORD.findall(sku) if word.strip(".")]
    lower = {word.lower() for word in words}
    model = " ".join(word for word in words if word.lower() not in _NOISE)
    kind: Kind = "other"
    if "storage" in lower or "provisioned" in lower or "throughput" in lower:
        return "", "capacity"
    if {"caching", "cached", "cache"} & lower:
        kind = "cache_write" if {"write", "writes"} & lower else "cache_read"
    elif "output" in lower:
        kind = "output"
    elif "input" in lower:
        kind = "input"
    return ("", kind) if kind == "other" else (model, kind)


def _dollars(fields: dict[str, Any]) -> Decimal | None:
    """The cost before credits, which are no usage; exports carry the rate they converted with."""
    cost = amount_of(fields.get("cost"))
    if cost is None or str(fields.get("currency") or "USD") == "USD":
        return cost
    rate = amount_of(fields.get("currency_conversion_rate"))
    return cost / rate if rate else None


def _day(value: Any) -> str:
    if isinstance(value, datetime):
        return (
            value.astimezone(UTC).date().isoformat() if value.tzinfo else value.date().isoformat()
        )
    text = str(value or "").replace(" UTC", "+00:00").replace("Z", "+00:00")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text[:10]
    return at.astimezone(UTC).date().isoformat() if at.tzinfo else at.date().isoformat()


def _flat(row: Row, lead: str = "") -> dict[str, Any]:
    """`{"sku": {"description": …}}` and `sku.description` as `sku_description`."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        place = lead + str(name).lower().replace(".", "_")
        if isinstance(value, dict):
            found |= _flat(value, f"{place}_")
        else:
            found[place] = value
    return found
