"""The rows of an invoice, read from the sums of the ledger one after the other.

Knows no format of a file. The laws: everything is read in one transaction, so that the rows belong
together; a tenant's rows stand together and add up to the tenant's sum, exactly in nano-dollars and
in cents; a cost that is not known is None and says so; memory holds eight bytes a row of one tenant
and nothing that grows with the ledger.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import msgspec

from towplane.parts.errors import BadRequest
from towplane.parts.storage import Database
from towplane.tenants.export.apportion import apportion

__all__ = ["CURRENCY", "DIMENSIONS", "Dimension", "ExportRow", "Sources", "Wanted", "export_rows",
           "read_dimensions"]  # fmt: skip

CURRENCY = "USD"
"""Prices are in dollars, and so is the ledger."""

Dimension = Literal["tenant", "project", "key", "label", "model", "target", "service", "day"]
DIMENSIONS: dict[Dimension, str] = {
    "tenant": "usage_by_day.tenant",
    "project": "coalesce(json_extract(keys.record, '$.project'), '')",
    "key": "key",
    "label": "coalesce(json_extract(keys.record, '$.label'), '')",
    "model": "model",
    "target": "target",
    "service": "service",
    "day": "day",
}

Sources = Callable[[str, str, str], Iterable[str]]
"""From a target and its first and last day to where its prices were read."""

_COUNTS = ("requests", "attempts", "input", "cached_input", "cache_write", "cache_write_1h",
           "output", "reasoning", "searches", "measured", "estimated", "absent",
           "unpriced")  # fmt: skip
_FROM = (
    "FROM usage_by_day LEFT JOIN keys ON keys.id = key "
    "WHERE usage_by_day.tenant = ? AND day BETWEEN ? AND ? "
)
_BATCH = 1000


class Wanted(NamedTuple):
    """Which usage, and what a row stands for."""

    since: str
    """First day, UTC."""
    until: str
    """Last day, included."""
    by: tuple[Dimension, ...] = ("tenant", "project", "key", "model", "day")
    tenant: str | None = None

    def dimensions(self) -> tuple[Dimension, ...]:
        """The tenant first, for amounts add up for each."""
        return ("tenant", *(name for name in self.by if name != "tenant"))


class ExportRow(msgspec.Struct, kw_only=True):
    """One row. Dimensions that are not asked for are None."""

    since: str
    until: str
    tenant: str
    project: str | None = None
    key: str | None = None
    label: str | None = None
    model: str | None = None
    target: str | None = None
    service: str | None = None
    day: str | None = None
    requests: int
    attempts: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    searches: int
    measured: int
    estimated: int
    """Attempts whose usage the plane counted itself."""
    absent: int
    """Attempts of which nobody knows what they used."""
    unpriced: int
    """Attempts with known usage and no known price: they are in no amount."""
    cost_nanousd: int | None
    """Exact; None: no cost is known."""
    amount_cents: int | None
    """Rounded so that a tenant's rows add up."""
    currency: str = CURRENCY
    price_source: str = ""
    remarks: str = ""
    """What a person should know before it is billed."""


def read_dimensions(words: Iterable[str]) -> tuple[Dimension, ...]:
    """The dimensions that these words name. Raises BadRequest."""
    found: list[Dimension] = []
    for word in words:
        if word not in DIMENSIONS:
            raise BadRequest(
                f"rows cannot be by `{word[:40]}`",
                param="by",
                next_step=f"choose of {', '.join(DIMENSIONS)}",
            )
        found.append(word)
    return tuple(dict.fromkeys(found))


@contextmanager
def export_rows(
    database: Database, wanted: Wanted, sources: Sources | None = None
) -> Iterator[Iterator[ExportRow]]:
    """The rows, in the order of their dimensions, while the transaction lasts."""
    with database.read() as connection:
        yield _rows(connection, wanted, sources or (lambda *_: ()))


def _rows(connection: Any, wanted: Wanted, sources: Sources) -> Iterator[ExportRow]:
    names = connection.exec_driver_sql(
        "SELECT DISTINCT tenant FROM usage_by_day WHERE day BETWEEN ? AND ? "
        "AND tenant = coalesce(?, tenant) ORDER BY tenant",
        (wanted.since, wanted.until, wanted.tenant),
    )
    known: dict[tuple[str, str, str], tuple[str, ...]] = {}

    def look(target: str, first: str, last: str) -> tuple[str, ...]:
        place = (target, first, last)
        if place not in known:
            if len(known) >= 10_000:
                known.clear()
            known[place] = tuple(sources(*place))
        return known[place]

    for (tenant,) in names.all():
        yield from _rows_of(connection, wanted, tenant, look)


def _rows_of(connection: Any, wanted: Wanted, tenant: str, sources: Sources) -> Iterator[ExportRow]:
    dimensions = wanted.dimensions()
    group = ", ".join(DIMENSIONS[name] for name in dimensions)
    order = f"GROUP BY {group} ORDER BY {group}"
    place = (tenant, wanted.since, wanted.until)
    costs = array("q")
    query = f"SELECT sum(cost_nanousd) {_FROM} {order}"
    for (cost,) in _stream(connection, query, place):
        costs.append(cost)
    amounts = apportion(costs)
    sums = ", ".join(f"sum({name})" for name in _COUNTS)
    query = (
        f"SELECT json_group_array(DISTINCT target), min(day), max(day), "
        f"sum(cost_nanousd), {sums}, {group} {_FROM} {order}"
    )
    for row, cents in zip(_stream(connection, query, place), amounts, strict=True):
        targets, first, last, cost, *counts = row[: 4 + len(_COUNTS)]
        found = dict(zip(dimensions, row[4 + len(_COUNTS) :], strict=True))
        yield _row(
            wanted,
            found | {_field(n): c for n, c in zip(_COUNTS, counts, strict=True)},
            cost,
            cents,
            sorted(
                {s for target in msgspec.json.decode(targets) for s in sources(target, first, last)}
            ),
        )


def _row(
    wanted: Wanted, fields: dict[str, Any], cost: int, cents: int, sources: list[str]
) -> ExportRow:
    row = ExportRow(
        since=wanted.since,
        until=wanted.until,
        cost_nanousd=cost,
        amount_cents=cents,
        price_source="; ".join(sources),
        **fields,
    )
    if not cost and row.measured + row.estimated == row.unpriced:
        row.cost_nanousd = row.amount_cents = None
    marks = (
        (row.estimated, "estimated by the plane"),
        (row.unpriced, "without a known price, not in the amount"),
        (row.absent, "of unknown usage, not in the amount"),
    )
    row.remarks = "; ".join(f"{count} attempts {words}" for count, words in marks if count)
    return row


def _field(column: str) -> str:
    return column if column in ExportRow.__struct_fields__ else f"{column}_tokens"


def _stream(connection: Any, query: str, values: tuple[str, ...]) -> Iterator[Any]:
    result = connection.execution_options(yield_per=_BATCH).exec_driver_sql(query, values)
    yield from result
