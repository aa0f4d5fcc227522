"""The rows of tenants, projects and keys: each a record as JSON beside what it is found by.

Works inside a transaction that somebody else owns, and decides nothing.
"""

import msgspec
import sqlalchemy as sa

from towplane.parts.errors import NotFound
from towplane.tenants.keys import KeyRecord, ProjectRecord, TenantRecord

__all__ = [
    "add_key",
    "add_project",
    "add_tenant",
    "find_key",
    "read_keys",
    "read_projects",
    "read_tenants",
    "save_key",
    "save_project",
    "save_tenant",
]


def read_tenants(connection: sa.Connection) -> list[TenantRecord]:
    """Those that were created."""
    rows = connection.exec_driver_sql("SELECT record FROM tenants")
    return [msgspec.json.decode(row[0], type=TenantRecord) for row in rows]


def add_tenant(connection: sa.Connection, record: TenantRecord) -> None:
    """One more."""
    connection.exec_driver_sql("INSERT INTO tenants VALUES (?, ?)", (record.name, _encode(record)))


def save_tenant(connection: sa.Connection, record: TenantRecord) -> None:
    """The same tenant, changed."""
    connection.exec_driver_sql(
        "UPDATE tenants SET record = ? WHERE name = ?", (_encode(record), record.name)
    )


def read_projects(connection: sa.Connection) -> list[ProjectRecord]:
    """Those that were created, of tenants of both kinds."""
    rows = connection.exec_driver_sql("SELECT record FROM projects ORDER BY tenant, name")
    return [msgspec.json.decode(row[0], type=ProjectRecord) for row in rows]


def add_project(connection: sa.Connection, record: ProjectRecord) -> None:
    """One more."""
    connection.exec_driver_sql(
        "INSERT INTO projects VALUES (?, ?, ?)", (record.tenant, record.name, _encode(record))
    )


def save_project(connection: sa.Connection, record: ProjectRecord) -> None:
    """The same project, changed."""
    connection.exec_driver_sql(
        "UPDATE projects SET record = ? WHERE tenant = ? AND name = ?",
        (_encode(record), record.tenant, record.name),
    )


def read_keys(connection: sa.Connection, tenant: str | None) -> list[KeyRecord]:
    """Keys of a tenant, or of all, oldest first."""
    rows = connection.exec_driver_sql(
        "SELECT record FROM keys WHERE tenant = coalesce(?, tenant)", (tenant,)
    )
    found = [msgspec.json.decode(row[0], type=KeyRecord) for row in rows]
    return sorted(found, key=lambda key: (key.created_at, key.id))


def find_key(connection: sa.Connection, key_id: str) -> KeyRecord:
    """The key with this public id. Raises NotFound."""
    row = connection.exec_driver_sql("SELECT record FROM keys WHERE id = ?", (key_id,)).first()
    if row is None:
        raise NotFound(
            f"there is no key `{key_id[:80]}`",
            next_step="see `towplane tenants keys list`; an id is the middle part of a key",
        )
    return msgspec.json.decode(row[0], type=KeyRecord)


def add_key(connection: sa.Connection, record: KeyRecord) -> None:
    """One more."""
    connection.exec_driver_sql(
        "INSERT INTO keys VALUES (?, ?, ?)", (record.id, record.tenant, _encode(record))
    )


def save_key(connection: sa.Connection, record: KeyRecord) -> None:
    """The same key, changed."""
    connection.exec_driver_sql(
        "UPDATE keys SET record = ? WHERE id = ?", (_encode(record), record.id)
    )


def _encode(record: KeyRecord | TenantRecord | ProjectRecord) -> str:
    return msgspec.json.encode(record).decode()
