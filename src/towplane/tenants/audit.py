"""Who changed a tenant, a project, a key or a past cost, when, and what it was before and after.

Works inside the transaction of the change, so that neither exists without the other. The laws:
entries are only ever added; no secret and no digest is in one; the number of the last entry is the
version of the accounts, for there is no change without an entry.
"""

from typing import Literal

import msgspec
import sqlalchemy as sa

__all__ = ["Action", "AuditEntry", "entries", "note", "version"]

Action = Literal[
    "tenant-created",
    "tenant-changed",
    "project-created",
    "project-changed",
    "key-created",
    "key-changed",
    "key-revoked",
    "key-rotated",
    "usage-repriced",
]
_SECRET = ("digest", "retired")


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change."""

    number: int
    at: float
    actor: str
    """Who: `cli:USER`, `api`, `plane`."""
    action: Action
    subject: str
    """The tenant's name, the project as `TENANT/PROJECT`, the key's public id, or
    `repricing/NUMBER`."""
    before: dict[str, object] | None
    after: dict[str, object] | None


def note(
    connection: sa.Connection,
    *,
    actor: str,
    action: Action,
    subject: str,
    before: msgspec.Struct | None,
    after: msgspec.Struct | None,
    now: float,
) -> None:
    """Add an entry."""
    connection.exec_driver_sql(
        "INSERT INTO audit (at_us, actor, action, subject, before, after) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (round(now * 1_000_000), actor, action, subject, _show(before), _show(after)),
    )


def version(connection: sa.Connection) -> int:
    """The number of the last entry; 0 before the first."""
    return int(
        connection.exec_driver_sql("SELECT coalesce(max(number), 0) FROM audit").scalar_one()
    )


def entries(connection: sa.Connection, most: int) -> list[AuditEntry]:
    """The last entries, newest first."""
    rows = connection.exec_driver_sql(
        "SELECT number, at_us, actor, action, subject, before, after FROM audit "
        "ORDER BY number DESC LIMIT ?",
        (most,),
    )
    return [
        AuditEntry(
            number=number,
            at=at_us / 1_000_000,
            actor=actor,
            action=action,
            subject=subject,
            before=None if before is None else msgspec.json.decode(before),
            after=None if after is None else msgspec.json.decode(after),
        )
        for number, at_us, actor, action, subject, before, after in rows
    ]


def _show(record: msgspec.Struct | None) -> str | None:
    if record is None:
        return None
    shown = msgspec.to_builtins(record)
    return msgspec.json.encode(
        {name: value for name, value in shown.items() if name not in _SECRET}
    ).decode()
