"""What accounts used in a window, as the ledger has it: where a quota's pool starts, and what is
known of a worker that died.

Reads inside a transaction that somebody else owns. A project is its keys. The law: what one account
used is the same whether it is summed over days or over workers.
"""

from collections.abc import Collection

import sqlalchemy as sa

from towplane.tenants.windows import TOTAL, Account, Used

__all__ = ["overflow_used", "used", "used_by_worker"]

_SUMS = (
    "SELECT coalesce(sum(requests), 0), coalesce(sum(input + output), 0), "
    "coalesce(sum(cost_nanousd), 0) FROM usage_by_day WHERE "
)
_BY_TARGET = (
    "SELECT target, coalesce(sum(requests), 0), coalesce(sum(input + output), 0), "
    "coalesce(sum(cost_nanousd), 0) FROM usage_by_day WHERE model = :model"
)
_OF = {
    "tenant": "tenant = :name",
    "key": "key = :name",
    "project": "tenant = :tenant AND key IN (SELECT id FROM keys WHERE tenant = :tenant "
    "AND json_extract(record, '$.project') = :project)",
}
_BY_WORKER = (
    "SELECT spend_by_writer.tenant, key, json_extract(keys.record, '$.project'), day, requests, "
    "tokens, cost_nanousd FROM spend_by_writer LEFT JOIN keys ON keys.id = key "
    "WHERE incarnation = ?"
)


def used(connection: sa.Connection, account: Account, window: str) -> Used:
    """What an account used in a window (a name of `windows.Windows`)."""
    tenant, _, project = account.name.partition("/")
    query = _SUMS + _OF[account.kind]
    if window != TOTAL:
        query += " AND day BETWEEN :first AND :last"  # a month's name holds those of its days
    row = connection.execute(
        sa.text(query),
        {
            "name": account.name,
            "tenant": tenant,
            "project": project,
            "first": window,
            "last": window + "~",
        },
    ).one()
    return Used(*map(int, row))


def overflow_used(
    connection: sa.Connection, model: str, providers: Collection[str], window: str
) -> Used:
    """What a route's attempts at targets of these providers used in a window."""
    query = _BY_TARGET
    if window != TOTAL:
        query += " AND day BETWEEN :first AND :last"
    rows = connection.execute(
        sa.text(query + " GROUP BY target"),
        {"model": model, "first": window, "last": window + "~"},
    )
    found = Used()
    for target, *amounts in rows:
        if target.partition("/")[0] in providers:
            found = found.plus(Used(*map(int, amounts)))
    return found


def used_by_worker(connection: sa.Connection, incarnation: str) -> dict[tuple[Account, str], Used]:
    """What one worker used, by account and by each window its attempts belong to."""
    found: dict[tuple[Account, str], Used] = {}
    rows = connection.exec_driver_sql(_BY_WORKER, (incarnation,))
    for tenant, key, project, day, requests, tokens, nanousd in rows:
        amount = Used(requests, tokens, nanousd)
        accounts = [Account("tenant", tenant), Account("key", key)]
        if project:
            accounts.append(Account("project", f"{tenant}/{project}"))
        for account in accounts:
            for window in (day, day[:7], TOTAL):
                found[account, window] = found.get((account, window), Used()).plus(amount)
    return found
