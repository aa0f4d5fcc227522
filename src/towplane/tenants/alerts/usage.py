"""What watched accounts used: one question about all months, one about each budget for good.

The law: the answer is what `consumption.used` says of the same account and window.
"""

from collections.abc import Callable, Iterable

import sqlalchemy as sa

from towplane.parts.storage import Database
from towplane.tenants import consumption
from towplane.tenants.alerts.watch import LATE_S, Watched
from towplane.tenants.windows import TOTAL, Account, Used, windows_at

__all__ = ["read_usage"]

_BY_DAY = (
    "SELECT day, tenant, key, sum(requests), sum(input + output), sum(cost_nanousd) "
    "FROM usage_by_day WHERE day >= ? GROUP BY day, tenant, key"
)


def read_usage(
    database: Database, accounts: Iterable[Watched], now: float
) -> Callable[[Account, str], Used]:
    """What each account used in the windows of now, in those just ended, and for good."""
    found: dict[tuple[Account, str], Used] = {}
    with database.read() as connection:
        projects = _projects(connection)
        first = min(windows_at(now).month, windows_at(now - LATE_S).month)
        rows = connection.exec_driver_sql(_BY_DAY, (first,))  # a month's name precedes its days
        for day, tenant, key, *amounts in rows:
            used = Used(*map(int, amounts))
            whose = [Account("tenant", tenant), Account("key", key)]
            if key in projects:
                whose.append(Account("project", f"{tenant}/{projects[key]}"))
            for account in whose:
                for window in (day, day[:7]):
                    found[account, window] = found.get((account, window), Used()).plus(used)
        for one in accounts:
            if one.budget.total_nanousd is not None:
                place = (one.account, TOTAL)
                found[place] = consumption.used(connection, one.account, TOTAL)
    return lambda account, window: found.get((account, window), Used())


def _projects(connection: sa.Connection) -> dict[str, str]:
    rows = connection.exec_driver_sql(
        "SELECT id, json_extract(record, '$.project') FROM keys "
        "WHERE json_extract(record, '$.project') <> ''"
    )
    return {row[0]: row[1] for row in rows}
