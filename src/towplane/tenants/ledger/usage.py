"""Questions to the ledger: who used what in which days, and what is spent of a window.

Reads inside a transaction that somebody else owns. Most answers come from the sums by day, which
are kept for good; those about credentials come from the attempts, as far back as these are kept. A
project and a label are those that the key has. The law: a cost that is not known is None, and a sum
that leaves some out says how many.
"""

import calendar
import time
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.tenants.ledger.schema import keys, usage_by_day
from towplane.tenants.windows import DAY_S, TOTAL, Account, windows_at

__all__ = ["Only", "UsageBy", "UsageRow", "balances", "spent", "usage"]

UsageBy = Literal[
    "tenant", "project", "key", "label", "model", "target", "service", "credential", "day"
]


class Only(NamedTuple):
    """Which usage is asked for; None: whatever it is."""

    tenant: str | None = None
    project: str | None = None
    """`TENANT/PROJECT`, or the project's name alone."""
    key: str | None = None
    label: str | None = None
    model: str | None = None
    target: str | None = None
    service: str | None = None
    credential: str | None = None


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one tenant, project, key, label, model, target, service class, credential or day
    used."""

    name: str
    requests: int
    attempts: int
    measured: int
    """Attempts whose usage the upstream told."""
    estimated: int
    """Attempts whose usage the plane counted itself."""
    absent: int
    """Attempts of which nobody knows what they used."""
    input_tokens: int
    cached_input_tokens: int
    """Inside the input tokens."""
    output_tokens: int
    cache_write_tokens: int = 0
    """Inside the input tokens, like all that begins or ends with `input`; written to a cache of
    five minutes."""
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    """Inside the output tokens."""
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    tool_input_tokens: int = 0
    searches: int = 0
    """Calls of tools of the provider's own."""
    cost_nanousd: int | None
    """Of the attempts with a known cost; None where there is none."""
    unpriced: int
    """Attempts with known usage and no known price; their cost is not in `cost_nanousd`."""


def usage(
    connection: sa.Connection,
    *,
    by: UsageBy,
    since: str | None,
    until: str | None,
    only: Only,
) -> list[UsageRow]:
    """Rows by spend, then name; days ascend. `since` and `until` are days, both included."""
    source = usage_by_day
    if by == "credential" or only.credential is not None:
        source = _attempts(since, until)
    table = source.c
    name = _name_of(by, table)
    columns = [
        sa.func.sum(table[field.removesuffix("_tokens")]).label(field)
        for field in UsageRow.__struct_fields__
        if field != "name"
    ]
    query = sa.select(name.label("name"), *columns).group_by(name)
    if by in ("project", "label") or only.project is not None or only.label is not None:
        query = query.select_from(source.outerjoin(keys, keys.c.id == table.key))
    query = query.order_by(*([name] if by == "day" else [sa.desc("cost_nanousd"), name]))
    if since is not None:
        query = query.where(table.day >= since)
    if until is not None:
        query = query.where(table.day <= until)
    for column, wanted in only._asdict().items():
        if wanted is not None:
            is_short = column == "project" and "/" not in wanted
            found = _of_key("project") if is_short else _name_of(column, table)
            query = query.where(found == wanted)
    return [_row(dict(row)) for row in connection.execute(query).mappings()]


def _name_of(by: str, table: Any) -> "sa.ColumnElement[Any]":
    if by == "project":
        return table.tenant + "/" + _of_key("project")  # type: ignore[no-any-return]
    return _of_key("label") if by == "label" else table[by]


def _of_key(field: str) -> "sa.ColumnElement[str]":
    return sa.func.coalesce(sa.func.json_extract(keys.c.record, f"$.{field}"), "")


def _attempts(since: str | None, until: str | None) -> Any:
    """Attempts in the form of the sums by day, each as a row of its own."""
    columns: dict[str, Any] = {
        "day": "strftime('%Y-%m-%d', at_us / 1000000, 'unixepoch')",
        "requests": "id LIKE '%.1'",
        "attempts": "1",
        "unpriced": "usage <> 'absent' AND cost_nanousd IS NULL",
    }
    columns |= {kind: f"usage = '{kind}'" for kind in ("measured", "estimated", "absent")}
    columns |= {
        column.name: f"coalesce({column.name}, 0)"
        for column in usage_by_day.columns
        if column.name not in columns and not column.primary_key
    }
    columns |= {name: name for name in ("tenant", "key", "model", "target", "service")}
    columns["credential"] = "credential"
    chosen: list[Any] = [sa.literal_column(sql).label(name) for name, sql in columns.items()]
    query: sa.Select[Any] = sa.select(*chosen)
    query = query.select_from(sa.table("attempts"))
    # By time and not by name of the day, so that few rows are looked at closely.
    if since is not None:
        query = query.where(sa.literal_column("at_us") >= _micros(since, 0))
    if until is not None:
        query = query.where(sa.literal_column("at_us") < _micros(until, 1))
    return query.subquery()


def _micros(day: str, days_after: int) -> int:
    return (calendar.timegm(time.strptime(day, "%Y-%m-%d")) + days_after * DAY_S) * 1_000_000


def spent(connection: sa.Connection, account: Account, window: str) -> int:
    """The known cost of what `account` had in `window` (a name of `windows.Windows`)."""
    table = usage_by_day.c
    column = table.tenant if account.kind == "tenant" else table.key
    query = sa.select(sa.func.coalesce(sa.func.sum(table.cost_nanousd), 0)).where(
        column == account.name
    )
    if window != TOTAL:
        query = query.where(table.day.between(window, window + "~"))  # a month holds its days
    return int(connection.execute(query).scalar_one())


def balances(connection: sa.Connection, now: float) -> dict[tuple[Account, str], int]:
    """What every account has spent in the windows that hold `now`; those without spend are out."""
    table = usage_by_day.c
    today = windows_at(now)
    totals: dict[tuple[Account, str], int] = {}
    for window in today:
        query = sa.select(table.tenant, table.key, sa.func.sum(table.cost_nanousd))
        if window != TOTAL:
            query = query.where(table.day.between(window, window + "~"))
        for tenant, key, cost in connection.execute(query.group_by(table.tenant, table.key)):
            for account in (Account("tenant", tenant), Account("key", key)):
                totals[account, window] = totals.get((account, window), 0) + int(cost)
    return totals


def spent_by_incarnation(
    connection: sa.Connection, incarnation: str
) -> dict[tuple[Account, str], int]:
    """What one worker has spent, by account and by each window its attempts belong to."""
    totals: dict[tuple[Account, str], int] = {}
    rows = connection.exec_driver_sql(
        "SELECT tenant, key, day, cost_nanousd FROM spend_by_writer WHERE incarnation = ?",
        (incarnation,),
    )
    for tenant, key, day, cost in rows:
        for place in _places(tenant, key, day):
            totals[place] = totals.get(place, 0) + cost
    return totals


def _places(tenant: str, key: str, day: str) -> Iterator[tuple[Account, str]]:
    for account in (Account("tenant", tenant), Account("key", key)):
        for window in (day, day[:7], TOTAL):
            yield account, window


def _row(row: dict[str, object]) -> UsageRow:
    found = msgspec.convert(row, UsageRow)
    costed = found.measured + found.estimated - found.unpriced
    if costed == 0 and not found.cost_nanousd:
        return msgspec.structs.replace(found, cost_nanousd=None)
    return found
