"""What is to be told about limits, and what became of it: the table `alerts`.

Works inside a transaction that somebody else owns. The laws: a share of a limit is noted once in a
window, however often it is looked at and whoever restarts; what was noted and not ended is due
again, so that every message is sent at least once; a tenant whose webhook hangs delays no other.
"""

import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from towplane.tenants.alerts.message import Alert
from towplane.tenants.alerts.watch import PPM, Crossing

__all__ = ["MOST_WAITING", "Due", "due", "end", "listed", "note", "prune", "try_later"]

MOST_WAITING = 10_000
"""Messages that may wait; what comes on top is listed as failed."""
_PER_TENANT = 2
"""Messages of one tenant that may be on their way at once."""
_KEEP_S = 90 * 86_400.0

_INSERT = (
    "INSERT OR IGNORE INTO alerts (id, kind, account, tenant, measure, window, share_ppm, amount, "
    "used, at_us, state, tries, due_us, trouble) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)"
)
_COLUMNS = (
    "number, id, at_us, tenant, kind, account, measure, window, share_ppm, amount, used, state, "
    "tries, ended_us, trouble"
)
_DUE = (
    f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER "  # noqa: S608  # our own names
    "(PARTITION BY tenant ORDER BY due_us, number) AS place FROM alerts "
    "WHERE state = 'waiting' AND due_us <= ?) WHERE place <= ? ORDER BY due_us LIMIT ?"
)
_LIST = (
    f"SELECT {_COLUMNS} FROM alerts WHERE tenant = coalesce(?, tenant) "  # noqa: S608  # as above
    "ORDER BY number DESC LIMIT ?"
)


class Due(NamedTuple):
    """A message that should be sent now."""

    number: int
    alert: Alert


def note(connection: sa.Connection, found: Iterable[tuple[Crossing, bool]], now: float) -> int:
    """Note what has been reached, and whether there is a webhook to tell; how much was new."""
    rows = list(found)
    if not rows:
        return 0
    waiting = connection.exec_driver_sql(
        "SELECT count(*) FROM alerts WHERE state = 'waiting'"
    ).scalar_one()
    new = 0
    for crossing, has_webhook in rows:
        is_full = waiting >= MOST_WAITING
        state = "listed" if not has_webhook else "failed" if is_full else "waiting"
        trouble = "too many messages wait" if state == "failed" else ""
        count = connection.exec_driver_sql(
            _INSERT,
            (
                f"alert_{secrets.token_hex(12)}",
                crossing.account.kind,
                crossing.account.name,
                crossing.tenant,
                crossing.measure,
                crossing.window,
                crossing.share_ppm,
                crossing.amount,
                crossing.used,
                _us(now),
                state,
                _us(now),
                trouble,
            ),
        ).rowcount
        new += count
        waiting += count if state == "waiting" else 0
    return new


def due(connection: sa.Connection, now: float, most: int) -> list[Due]:
    """What should be sent now: few of each tenant, so that all have their turn."""
    rows = connection.exec_driver_sql(_DUE, (_us(now), _PER_TENANT, most))
    return [Due(row[0], _alert(row)) for row in rows]


def end(connection: sa.Connection, number: int, state: str, now: float, trouble: str = "") -> None:
    """It was taken, or is given up, or there is nobody to tell any more."""
    connection.exec_driver_sql(
        "UPDATE alerts SET state = ?, ended_us = ?, trouble = ?, tries = tries + ? "
        "WHERE number = ?",
        (state, _us(now), trouble, int(state != "listed"), number),
    )


def try_later(connection: sa.Connection, number: int, due_at: float, trouble: str) -> None:
    """It failed and is tried again."""
    connection.exec_driver_sql(
        "UPDATE alerts SET tries = tries + 1, due_us = ?, trouble = ? WHERE number = ?",
        (_us(due_at), trouble, number),
    )


def listed(connection: sa.Connection, tenant: str | None, most: int) -> list[Alert]:
    """What was noted, newest first."""
    return [_alert(row) for row in connection.exec_driver_sql(_LIST, (tenant, most))]


def prune(connection: sa.Connection, now: float) -> None:
    """Forget what is long over; what is known of a budget for good stays, lest it be told again."""
    connection.exec_driver_sql(
        "DELETE FROM alerts WHERE at_us < ? AND window <> 'total' AND state <> 'waiting'",
        (_us(now - _KEEP_S),),
    )


def _alert(row: Any) -> Alert:
    (_, id, at_us, tenant, kind, name, measure, window, ppm, amount, used, state, tries, ended,
     trouble) = row  # fmt: skip
    return Alert(
        id=id,
        at=_moment(at_us),
        tenant=tenant,
        kind=kind,
        name=name,
        measure=measure,
        window=window,
        share=ppm / PPM,
        limit=amount,
        used=used,
        state=state,
        tries=tries,
        ended_at=None if ended is None else _moment(ended),
        trouble=trouble,
    )


def _us(at: float) -> int:
    return round(at * 1_000_000)


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us / 1_000_000, UTC)
