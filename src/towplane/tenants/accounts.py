"""Tenants, projects and keys: those the document declares and those made by command, kept in the
database.

Several processes may use one database; `version` tells one what another changed. The laws: what
the document declares wins its name; a token is returned once, by the call that made it, and never
stored (but for the first key of a fresh plane, see `first_key`); every change is in the audit, with
what was before and after; a key's tenant and project never change, for its usage belongs to them.
"""

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.parts.errors import BadRequest, Conflict, NotFound
from towplane.parts.names import is_name
from towplane.parts.storage import Database
from towplane.tenants import account_rows as rows
from towplane.tenants import audit
from towplane.tenants.keys import (
    KeyRecord,
    KeyRing,
    ProjectRecord,
    RetiredSecret,
    TenantRecord,
    digest_of,
    load_pepper,
    mint,
)
from towplane.tenants.ledger.schema import open_schema
from towplane.tenants.spec import ProjectSpec, TenantSpec

__all__ = ["Accounts", "NewKey"]

_DAY_S = 86_400.0
_TELL_EXPIRED_S = 30 * _DAY_S
"""So long a retired secret is told that it has expired; after that it is unknown."""
_LONGEST_WORD = 200

Record = KeyRecord | TenantRecord | ProjectRecord


class NewKey(NamedTuple):
    """A key with a fresh secret; `token` is not kept anywhere."""

    record: KeyRecord
    token: str

    def __repr__(self) -> str:
        return f"NewKey({self.record.id}, {self.record.tenant})"


class Accounts:
    """The accounts of one data_dir; `declared` are the tenants of the document in force."""

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

    def acting_as(self, actor: str) -> "Accounts":
        """The same accounts; changes made by it are in the audit under this name."""
        other = copy.copy(self)
        other._actor = actor
        return other

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

    # Tenants

    def tenants(self) -> list[TenantRecord]:
        """Every tenant with its projects, by name."""
        with self._database.read() as connection:
            found = {record.name: record for record in rows.read_tenants(connection)}
            created = rows.read_projects(connection)
        found |= {name: _declared(name, spec) for name, spec in self._declared.items()}
        for project in created:
            tenant = found.get(project.tenant)
            if tenant is not None and project.name not in tenant.projects:
                projects = {**tenant.projects, project.name: _spec_of(project)}
                found[project.tenant] = msgspec.structs.replace(tenant, projects=projects)
        return [found[name] for name in sorted(found)]

    def create_tenant(self, wanted: TenantRecord, *, now: float | None = None) -> TenantRecord:
        """Make a tenant that the document does not declare."""
        _check_name("tenant", wanted.name)
        self._refuse_declared(wanted.name)
        now = time.time() if now is None else now
        record = msgspec.structs.replace(
            wanted, projects={}, alerts=None, source="created", created_at=now
        )
        with self._database.write() as connection:
            if any(found.name == record.name for found in rows.read_tenants(connection)):
                raise Conflict(
                    f"the tenant `{record.name}` exists",
                    next_step="choose another name, or see `towplane tenants list`",
                )
            rows.add_tenant(connection, record)
            self._note(connection, "tenant-created", record.name, None, record, now)
        return record

    def update_tenant(
        self,
        name: str,
        change: Callable[[TenantRecord], TenantRecord],
        *,
        now: float | None = None,
    ) -> TenantRecord:
        """Change limits, budget, models, priority of a tenant that the document does not declare.

        `change` gets the record as it is and returns it as it shall be.
        """
        self._refuse_declared(name)
        self._require_tenant(name)
        with self._database.write() as connection:
            before = next(one for one in rows.read_tenants(connection) if one.name == name)
            wanted = change(before)
            after = msgspec.structs.replace(
                before,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                unpriced=wanted.unpriced,
                priority=wanted.priority,
            )
            if after != before:
                rows.save_tenant(connection, after)
                self._note(connection, "tenant-changed", name, before, after, _at(now))
        return after

    # Projects

    def projects(self, tenant: str | None = None) -> list[ProjectRecord]:
        """Projects of a tenant, or of all, by tenant and name."""
        if tenant is not None:
            self._require_tenant(tenant)
        found: dict[tuple[str, str], ProjectRecord] = {}
        with self._database.read() as connection:
            found |= {(one.tenant, one.name): one for one in rows.read_projects(connection)}
        for owner, spec in self._declared.items():
            for name, project in spec.projects.items():
                found[owner, name] = ProjectRecord(
                    tenant=owner,
                    name=name,
                    limits=project.limits,
                    budget=project.budget,
                    models=project.models,
                    priority=project.priority,
                    source="document",
                )
        return [found[place] for place in sorted(found) if tenant in (None, place[0])]

    def create_project(self, wanted: ProjectRecord, *, now: float | None = None) -> ProjectRecord:
        """Make a project that the document does not declare."""
        _check_name("project", wanted.name)
        self._require_tenant(wanted.tenant)
        record = msgspec.structs.replace(wanted, source="created", created_at=_at(now))
        with self._database.write() as connection:
            created = {(one.tenant, one.name) for one in rows.read_projects(connection)}
            if self._is_declared(wanted) or (wanted.tenant, wanted.name) in created:
                raise Conflict(
                    f"the tenant `{wanted.tenant}` has a project `{wanted.name}`",
                    next_step=f"see `towplane tenants projects list {wanted.tenant}`",
                )
            rows.add_project(connection, record)
            subject = f"{record.tenant}/{record.name}"
            self._note(connection, "project-created", subject, None, record, _at(now))
        return record

    def update_project(
        self,
        tenant: str,
        name: str,
        change: Callable[[ProjectRecord], ProjectRecord],
        *,
        now: float | None = None,
    ) -> ProjectRecord:
        """Change limits, budget, models, priority of a project that was created."""
        with self._database.write() as connection:
            known = {one.name: one for one in self.projects(tenant)}
            before = known.get(name)
            if before is None:
                raise NotFound(
                    f"the tenant `{tenant}` has no project `{name[:80]}`",
                    next_step=f"see `towplane tenants projects list {tenant}`",
                )
            if before.source == "document":
                raise Conflict(
                    f"the document declares the project `{name}` of `{tenant}`",
                    next_step=f"change `tenants.{tenant}.projects.{name}` in the document instead",
                )
            wanted = change(before)
            after = msgspec.structs.replace(
                before,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                priority=wanted.priority,
            )
            if after != before:
                rows.save_project(connection, after)
                subject = f"{tenant}/{name}"
                self._note(connection, "project-changed", subject, before, after, _at(now))
        return after

    # Keys

    def keys(self, tenant: str | None = None) -> list[KeyRecord]:
        """Keys, dead ones included, oldest first."""
        if tenant is not None:
            self._require_tenant(tenant)
        with self._database.read() as connection:
            return rows.read_keys(connection, tenant)

    def create_key(
        self, tenant: str, wanted: KeyRecord | None = None, *, now: float | None = None
    ) -> NewKey:
        """Make a key. Of `wanted` count its names, limits, budget, models, priority, expiry."""
        owner = self._require_tenant(tenant)
        now = time.time() if now is None else now
        wanted = KeyRecord(id="", tenant=tenant, digest=b"") if wanted is None else wanted
        _check_key(wanted, now)
        _check_project(owner, wanted.project)
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
            rows.add_key(connection, record)
            self._note(connection, "key-created", record.id, None, record, now)
        return NewKey(record, minted.token)

    def update_key(
        self, key_id: str, change: Callable[[KeyRecord], KeyRecord], *, now: float | None = None
    ) -> KeyRecord:
        """Change a key's name, label, limits, budget, models, priority or expiry."""
        with self._database.write() as connection:
            before = rows.find_key(connection, key_id)
            if before.revoked_at is not None:
                raise Conflict(
                    f"key {key_id} is revoked and stays as it is",
                    next_step=f"make a new one: towplane tenants keys create {before.tenant}",
                )
            wanted = change(before)
            if wanted.expires_at != before.expires_at or wanted.name != before.name:
                _check_key(wanted, _at(now))
            after = msgspec.structs.replace(
                before,
                name=wanted.name,
                label=wanted.label,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                priority=wanted.priority,
                expires_at=wanted.expires_at,
            )
            if after != before:
                rows.save_key(connection, after)
                self._note(connection, "key-changed", key_id, before, after, _at(now))
        return after

    def revoke_key(self, key_id: str, *, now: float | None = None) -> KeyRecord:
        """Shut a key out, with every secret it ever had; again changes nothing."""
        now = _at(now)
        with self._database.write() as connection:
            before = rows.find_key(connection, key_id)
            if before.revoked_at is not None:
                return before
            after = msgspec.structs.replace(before, revoked_at=now)
            rows.save_key(connection, after)
            self._note(connection, "key-revoked", key_id, before, after, now)
        return after

    def rotate_key(
        self, key_id: str, *, overlap_s: float = _DAY_S, now: float | None = None
    ) -> NewKey:
        """A new secret for a key; the one before works until the overlap is over."""
        now = _at(now)
        with self._database.write() as connection:
            before = rows.find_key(connection, key_id)
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
            rows.save_key(connection, after)
            self._note(connection, "key-rotated", key_id, before, after, now)
        return NewKey(after, minted.token)

    # Private, in the order of use

    def _refuse_declared(self, name: str) -> None:
        if name in self._declared:
            raise Conflict(
                f"the document declares the tenant `{name}`",
                next_step=f"change `tenants.{name}` in the document instead",
            )

    def _is_declared(self, project: ProjectRecord) -> bool:
        spec = self._declared.get(project.tenant)
        return spec is not None and project.name in spec.projects

    def _require_tenant(self, name: str) -> TenantRecord:
        known = {tenant.name: tenant for tenant in self.tenants()}
        if name not in known:
            some = f" (there are: {', '.join(list(known)[:10])})" if known else ""
            raise NotFound(
                f"there is no tenant `{name[:80]}`{some}",
                next_step="see `towplane tenants list`, or create it with "
                "`towplane tenants create NAME`",
            )
        return known[name]

    def _note(
        self,
        connection: sa.Connection,
        action: audit.Action,
        subject: str,
        before: Record | None,
        after: Record,
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


def _at(now: float | None) -> float:
    return time.time() if now is None else now


def _declared(name: str, spec: TenantSpec) -> TenantRecord:
    return TenantRecord(
        name=name,
        limits=spec.limits,
        budget=spec.budget,
        models=spec.models,
        unpriced=spec.unpriced,
        priority=spec.priority,
        projects=dict(spec.projects),
        alerts=spec.alerts,
        source="document",
    )


def _spec_of(record: ProjectRecord) -> ProjectSpec:
    return ProjectSpec(
        limits=record.limits,
        budget=record.budget,
        models=record.models,
        priority=record.priority,
    )


def _check_name(what: str, name: str) -> None:
    if not is_name(name):
        raise BadRequest(
            f"`{name[:80]}` cannot be a {what}'s name",
            param="name",
            next_step="use letters, digits, `.`, `_` and `-`, at most 63, a letter or digit first",
        )


def _check_key(wanted: KeyRecord, now: float) -> None:
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


def _check_project(tenant: TenantRecord, project: str) -> None:
    """Where a tenant has projects, a mistyped one would have no limits at all."""
    if project and tenant.projects and project not in tenant.projects:
        raise BadRequest(
            f"`{tenant.name}` has no project `{project[:80]}` "
            f"(there are: {', '.join(list(tenant.projects)[:10])})",
            param="project",
            next_step="create it with `towplane tenants projects create`, or choose one of these",
        )
