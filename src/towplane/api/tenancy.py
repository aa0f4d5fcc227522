"""Tenants, keys and usage as the read model has them: a `TenancyView` that asks the database.

Each question runs in a thread, because the database may wait for its lock. Law: no digest and no
secret leaves here, but the token of a key just made.
"""

import asyncio
import copy
import tempfile
from collections.abc import Callable
from typing import BinaryIO, TypeVar, cast

from towplane.api import account_views as views
from towplane.api.tenant_views import (
    AuditRow,
    ChangedKey,
    ChangedProject,
    ChangedTenant,
    Download,
    ExportQuery,
    KeyRow,
    NewKey,
    ProjectRow,
    QuotaRow,
    TenantDetail,
    TenantRow,
    UsageQuery,
    WantedKey,
    WantedProject,
    WantedTenant,
)
from towplane.parts.clock import Clock
from towplane.parts.errors import NotFound
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.alerts import outbox
from towplane.tenants.alerts.message import Alert
from towplane.tenants.alerts.usage import read_usage
from towplane.tenants.export.rows import Sources, Wanted, export_rows, read_dimensions
from towplane.tenants.export.write import MEDIA_TYPES, write_rows
from towplane.tenants.keys import KeyRecord, ProjectRecord, TenantRecord
from towplane.tenants.ledger import Ledger, Only, UsageRow

__all__ = ["Tenancy"]

MOST = 100
"""Alerts and changes that are told at once."""
_LOOKED_AT = 5_000
"""Changes that are searched for those of one tenant."""

T = TypeVar("T")


class Tenancy:
    """Answers from the accounts and the ledger.

    `changed` is told of each change, in the loop; `fold` brings the ledger up to date, in a thread.
    """

    def __init__(
        self,
        people: Callable[[], Accounts],
        ledger: Ledger,
        database: Database,
        *,
        changed: Callable[[], None] = lambda: None,
        fold: Callable[[], None] = lambda: None,
        sources: Callable[[], Sources] = lambda: _no_sources,
        clock: Clock | None = None,
    ) -> None:
        self._people = people
        """Asked each time: a new document brings new accounts."""
        self._ledger = ledger
        self._database = database
        self._changed = changed
        self._fold = fold
        self._sources = sources
        """Asked each time: from a target and its days to where its prices were read."""
        self._clock = clock or Clock()
        self._actor = "api"

    def acting_as(self, actor: str) -> "Tenancy":
        """The same; changes made by it are in the audit under this name."""
        other = copy.copy(self)
        other._actor = actor
        return other

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        """Rows of the ledger, by spend; days ascend."""

        def ask() -> list[UsageRow]:
            self._fold()
            return self._ledger.usage(
                query.by,
                since=query.since.isoformat() if query.since else None,
                until=query.until.isoformat() if query.until else None,
                only=Only(**{name: getattr(query, name) for name in Only._fields}),
            )

        return await asyncio.to_thread(ask)

    async def tenants(self) -> list[TenantRow]:
        """Every tenant, by name, with the number of keys that open the door now."""

        def ask() -> list[TenantRow]:
            people = self._people()
            return views.tenant_rows(people.tenants(), people.keys(), self._clock.wall())

        return await asyncio.to_thread(ask)

    async def tenant(self, name: str) -> TenantDetail:
        """One tenant and all that belongs to it."""

        def ask() -> TenantDetail:
            people, now = self._people(), self._clock.wall()
            record = self._known(name)
            keys, projects = people.keys(name), people.projects(name)
            ids = {key.id for key in keys}
            changes = [
                views.audit_row(entry)
                for entry in people.changes(_LOOKED_AT)
                if entry.subject in ids or entry.subject.partition("/")[0] == name
            ]
            return TenantDetail(
                tenant=views.tenant_rows([record], keys, now)[0],
                projects=[views.project_row(one) for one in projects],
                keys=[views.key_row(one, now) for one in keys],
                quotas=self._quotas([record], keys, now),
                alerts=self._alerts(name),
                changes=changes[:MOST],
            )

        return await asyncio.to_thread(ask)

    async def create_tenant(self, wanted: WantedTenant) -> TenantRow:
        """A tenant that the document does not declare."""

        def make() -> TenantRow:
            record = TenantRecord(
                name=wanted.name,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                unpriced=wanted.unpriced,
                priority=wanted.priority,
            )
            now = self._clock.wall()
            return views.tenant_rows([self._acting().create_tenant(record, now=now)], [], now)[0]

        return await self._change(make)

    async def create_project(self, tenant: str, wanted: WantedProject) -> ProjectRow:
        """A project that the document does not declare."""

        def make() -> ProjectRow:
            record = ProjectRecord(
                tenant=tenant,
                name=wanted.name,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                priority=wanted.priority,
            )
            made = self._acting().create_project(record, now=self._clock.wall())
            return views.project_row(made)

        return await self._change(make)

    async def change_tenant(self, name: str, changed: ChangedTenant) -> TenantRow:
        """A tenant that was created is another from now on."""

        def change() -> TenantRow:
            now = self._clock.wall()
            record = self._acting().update_tenant(name, views.changes_of(changed), now=now)
            return views.tenant_rows([record], self._people().keys(name), now)[0]

        return await self._change(change)

    async def change_project(self, tenant: str, name: str, changed: ChangedProject) -> ProjectRow:
        """A project that was created is another from now on."""
        now = self._clock.wall()
        return await self._change(
            lambda: views.project_row(
                self._acting().update_project(tenant, name, views.changes_of(changed), now=now)
            )
        )

    async def change_key(self, key: str, changed: ChangedKey) -> KeyRow:
        """A key is another from now on; its secret stays."""
        now = self._clock.wall()
        return await self._change(
            lambda: views.key_row(
                self._acting().update_key(key, views.changes_of(changed), now=now), now
            )
        )

    async def export(self, query: ExportQuery) -> Download:
        """Usage as rows of an invoice, written to a file first: a client that takes its time holds
        no transaction."""
        wanted = Wanted(
            query.since.isoformat(),
            query.until.isoformat(),
            read_dimensions(query.by.split(",")),
            query.tenant,
        )

        def write() -> BinaryIO:
            if query.tenant is not None:
                self._known(query.tenant)
            self._fold()
            file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115  # who answers closes it
            with export_rows(self._database, wanted, self._sources()) as rows:
                write_rows(rows, wanted, query.format, file)
            file.seek(0)
            return file

        name = f"usage-{wanted.since}-{wanted.until}.{query.format}"
        return Download(await asyncio.to_thread(write), MEDIA_TYPES[query.format], name)

    async def quotas(self, tenant: str | None = None) -> list[QuotaRow]:
        """Limits over windows and what is used of them; of all tenants only their own."""

        def ask() -> list[QuotaRow]:
            now = self._clock.wall()
            if tenant is None:
                return self._quotas(self._people().tenants(), [], now, is_deep=False)
            return self._quotas([self._known(tenant)], self._people().keys(tenant), now)

        return await asyncio.to_thread(ask)

    async def alerts(self, tenant: str | None = None) -> list[Alert]:
        """Limits that came near, newest first."""

        def ask() -> list[Alert]:
            if tenant is not None:
                self._known(tenant)
            return self._alerts(tenant)

        return await asyncio.to_thread(ask)

    async def changes(self, most: int = MOST) -> list[AuditRow]:
        """The last changes of accounts, newest first."""
        found = await asyncio.to_thread(lambda: self._people().changes(max(0, most)))
        return [views.audit_row(entry) for entry in found]

    async def keys(self, tenant: str | None = None) -> list[KeyRow]:
        """Keys of a tenant, or of all, dead ones included, oldest first."""
        found = await asyncio.to_thread(lambda: self._people().keys(tenant))
        return [views.key_row(record, self._clock.wall()) for record in found]

    async def create_key(self, tenant: str, wanted: WantedKey) -> NewKey:
        """A new key, in force at once."""

        def make() -> NewKey:
            record = KeyRecord(
                id="",
                tenant=tenant,
                digest=b"",
                name=wanted.name,
                label=wanted.label,
                project=wanted.project,
                limits=wanted.limits,
                budget=wanted.budget,
                models=wanted.models,
                priority=wanted.priority,
                expires_at=wanted.expires_at.timestamp() if wanted.expires_at else None,
            )
            made = self._acting().create_key(tenant, record, now=self._clock.wall())
            return views.new_key(made)

        return await self._change(make)

    async def rotate_key(self, key: str, *, overlap_s: float) -> NewKey:
        """A new secret for a key; the one before works until the overlap is over."""
        now = self._clock.wall()
        return await self._change(
            lambda: views.new_key(self._acting().rotate_key(key, overlap_s=overlap_s, now=now))
        )

    async def revoke_key(self, key: str) -> KeyRow:
        """The key opens nothing any more, at once."""
        now = self._clock.wall()
        return await self._change(
            lambda: views.key_row(self._acting().revoke_key(key, now=now), now)
        )

    async def _change(self, act: Callable[[], T]) -> T:
        done = await asyncio.to_thread(act)
        self._changed()
        return done

    def _acting(self) -> Accounts:
        return self._people().acting_as(self._actor)

    def _known(self, name: str) -> TenantRecord:
        for record in self._people().tenants():
            if record.name == name:
                return record
        raise NotFound(f"there is no tenant `{name[:80]}`", next_step="see `/api/v1/tenants`")

    def _quotas(
        self,
        tenants: list[TenantRecord],
        keys: list[KeyRecord],
        now: float,
        *,
        is_deep: bool = True,
    ) -> list[QuotaRow]:
        self._fold()
        limited = views.limited_accounts(tenants, keys, is_deep=is_deep)
        used = read_usage(self._database, limited, now)
        return views.quota_rows(limited, used, now)

    def _alerts(self, tenant: str | None) -> list[Alert]:
        with self._database.read() as connection:
            return outbox.listed(connection, tenant, MOST)


def _no_sources(*_: str) -> tuple[str, ...]:
    return ()
