"""Tenants and keys: those the document declares and those made by command, kept in the database.

Several processes may use one database; `version` tells one what another changed. The laws: a tenant
of the document wins its name; a token is returned once, by the call that made it, and never stored
(but for the first key of a fresh plane, see `first_key`); every change is in the audit.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.parts.errors import BadRequest, Conflict, NotFound
from towplane.parts.names import is_name
from towplane.parts.storage import Database
from towplane.tenants import audit
from towplane.tenants.keys import (
    KeyRecord,
    KeyRing,
    RetiredSecret,
    TenantRecord,
    digest_of,
    load_pepper,
    mint,
)
from towplane.tenants.ledger.schema import open_schema
from towplane.tenants.spec import TenantSpec

__all__ = ["Accounts", "NewKey"]

_DAY_S = 86_400.0
_TELL_EXPIRED_S = 30 * _DAY_S
"""So long a retired secret is told that it has expired; after that it is unknown."""
_LONGEST_WORD = 200


class NewKey(NamedTuple):
    """A key with a fresh secret; `token` is not kept anywhere."""

    record: KeyRecord
    token: str

    def __repr__(self) -> str:
        return f"NewKey({self.record.id}, {self.record.tenant})"


class Accounts:
    """The tenants and keys of one data_dir; `declared` are those of the document in force."""

    def __init__(
        self,
        database: Database,
        data_dir: Path,
        declared: Mapping[str, TenantSpec],
        *,
        actor: str = "plane",
    ) -> None:
        open_schema(database)
        self._database = database
        self._declared = dict(declared)
        self._actor = actor
        with database.read() as connection:
            has_keys = connection.exec_driver_sql("SELECT 1 FROM keys").first() is not None
        # Without keys a new pepper harms nobody; with keys it would silently shut all of them out.
        self.pepper = load_pepper(data_dir / "keys.pepper", create=not has_keys)

    def version(self) -> int:
        """Grows with every change by any process; about 20 µs."""
        with self._database.read() as connection:
            return audit.version(connection)

    def ring(self) -> KeyRing:
        """A snapshot to identify callers with."""
        return KeyRing(self.keys(), self.tenants(), self.pepper)

    def changes(self, most: int = 100) -> list[audit.AuditEntry]:
        """The last changes, newest first."""
        with self._database.read() as connection:
            return audit.entries(connection, most)

    def tenants(self) -> list[TenantRecord]:
        """Every tenant, by name."""
        with self._database.read() as connection:
            found = {record.name: record for record in _created(connection)}
        for name, spec in self._declared.items():
            found[name] = TenantRecord(
                name=name,
                limits=spec.limits,
                budget=spec.budget,
                models=spec.models,
                unpriced=spec.unpriced,
                source="document",
            )
        return [found[name] for name in sorted(found)]

    def create_tenant(self, wanted: TenantRecord, *, now: float | None = None) -> TenantRecord:
        """Make a tenant that the document does not declare."""
        if not is_name(wanted.name):
            raise BadRequest(
                f"`{wanted.name[:80]}` cannot be a tenant's name",
                param="name",
                next_step="use letters, digits, `.`, `_` and `-`, at most 63, a letter or digit "
                "first",
            )
        if wanted.name in self._declared:
            raise Conflict(
                f"the document declares the tenant `{wanted.name}`",
                next_step=f"change `tenants.{wanted.name}` in the document instead",
            )
        now = time.time() if now is None else now
        record = msgspec.structs.replace(wanted, source="created", created_at=now)
        with self._database.write() as connection:
            if any(found.name == record.name for found in _created(connection)):
                raise Conflict(
                    f"the tenant `{record.name}` exists",
                    next_step="choose another name, or see `towplane tenants list`",
                )
            connection.exec_driver_sql(
                "INSERT INTO tenants VALUES (?, ?)", (record.name, _encode(record))
            )
            self._note(connection, "tenant-created", record.name, None, record, now)
        return record

    def keys(self, tenant: str | None = None) -> list[KeyRecord]:
        """Keys, dead ones included, oldest first."""
        if tenant is not None:
            self._require_tenant(tenant)
        with self._database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT record FROM keys WHERE tenant = coalesce(?, tenant)", (tenant,)
            )
            found = [msgspec.json.decode(row[0], type=KeyRecord) for row in rows]
        return sorted(found, key=lambda key: (key.created_at, key.id))

    def create_key(
        self, tenant: str, wanted: KeyRecord | None = None, *, now: float | None = None
    ) -> NewKey:
        """Make a key. Of `wanted` count its names, limits, budget, models and expiry."""
        self._require_tenant(tenant)
        now = time.time() if now is None else now
        wanted = KeyRecord(id="", tenant=tenant, digest=b"") if wanted is None else wanted
        _check(wanted, now)
        minted = mint()
        record = msgspec.structs.replace(
            wanted,
            id=minted.id,
            tenant=tenant,
            digest=digest_of(minted.token.encode(), self.pepper),
            retired=[],
            created_at=now,
            revoked_at=None,
        )
        with self._database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO keys VALUES (?, ?, ?)", (record.id, tenant, _encode(record))
            )
            self._note(connection, "key-created", record.id, None, record, now)
        return NewKey(record, minted.token)

    def revoke_key(self, key_id: str, *, now: float | None = None) -> KeyRecord:
        """Shut a key out, with every secret it ever had; again changes nothing."""
        now = time.time() if now is None else now
        with self._database.write() as connection:
            before = _key(connection, key_id)
            if before.revoked_at is not None:
                return before
            after = msgspec.structs.replace(before, revoked_at=now)
            self._update(connection, "key-revoked", before, after, now)
        return after

    def rotate_key(
        self, key_id: str, *, overlap_s: float = _DAY_S, now: float | None = None
    ) -> NewKey:
        """A new secret for a key; the one before works until the overlap is over."""
        now = time.time() if now is None else now
        with self._database.write() as connection:
            before = _key(connection, key_id)
            state = before.state(now)
            if state != "active":
                raise Conflict(
                    f"key {key_id} is {state} and cannot be rotated",
                    next_step=f"make a new one: towplane tenants keys create {before.tenant}",
                )
            minted = mint(key_id)
            # Each retired secret keeps its own end: a rotation never extends an earlier overlap.
            known = [old for old in before.retired if old.expires_at > now - _TELL_EXPIRED_S]
            retiring = RetiredSecret(digest=before.digest, expires_at=now + overlap_s)
            after = msgspec.structs.replace(
                before,
                digest=digest_of(minted.token.encode(), self.pepper),
                retired=[*known, retiring],
            )
            self._update(connection, "key-rotated", before, after, now)
        return NewKey(after, minted.token)

    def _update(
        self,
        connection: sa.Connection,
        action: audit.Action,
        before: KeyRecord,
        after: KeyRecord,
        now: float,
    ) -> None:
        connection.exec_driver_sql(
            "UPDATE keys SET record = ? WHERE id = ?", (_encode(after), after.id)
        )
        self._note(connection, action, after.id, before, after, now)

    def _note(
        self,
        connection: sa.Connection,
        action: audit.Action,
        subject: str,
        before: KeyRecord | TenantRecord | None,
        after: KeyRecord | TenantRecord,
        now: float,
    ) -> None:
        audit.note(
            connection,
            actor=self._actor,
            action=action,
            subject=subject,
            before=before,
            after=after,
            now=now,
        )

    def _require_tenant(self, name: str) -> None:
        names = [tenant.name for tenant in self.tenants()]
        if name not in names:
            known = f" (there are: {', '.join(names[:10])})" if names else ""
            raise NotFound(
                f"there is no tenant `{name[:80]}`{known}",
                next_step="see `towplane tenants list`, or create it with "
                "`towplane tenants create NAME`",
            )


def _check(wanted: KeyRecord, now: float) -> None:
    for field, word in (
        ("name", wanted.name),
        ("label", wanted.label),
        ("project", wanted.project),
    ):
        if len(word) > _LONGEST_WORD or not word.isprintable():
            raise BadRequest(
                f"a key's {field} has at most {_LONGEST_WORD} printable characters",
                param=field,
                next_step=f"choose a shorter {field}",
            )
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise BadRequest(
            "the key would have expired already",
            param="expires_at",
            next_step="choose a moment in the future",
        )


def _created(connection: sa.Connection) -> list[TenantRecord]:
    rows = connection.exec_driver_sql("SELECT record FROM tenants")
    return [msgspec.json.decode(row[0], type=TenantRecord) for row in rows]


def _key(connection: sa.Connection, key_id: str) -> KeyRecord:
    row = connection.exec_driver_sql("SELECT record FROM keys WHERE id = ?", (key_id,)).first()
    if row is None:
        raise NotFound(
            f"there is no key `{key_id[:80]}`",
            next_step="see `towplane tenants keys list`; an id is the middle part of a key",
        )
    return msgspec.json.decode(row[0], type=KeyRecord)


def _encode(record: KeyRecord | TenantRecord) -> str:
    return msgspec.json.encode(record).decode()
