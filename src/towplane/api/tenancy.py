"""Tenants, keys and usage as the read model has them: a `TenancyView` that asks the database.

Each question runs in a thread, because the database may wait for its lock. Law: no digest and no
secret leaves here, but the token of a key just made.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from towplane.api.views import (
    KeyRow,
    NewKey,
    TenantRow,
    UsageQuery,
    UsageRow,
    WantedKey,
    WantedTenant,
)
from towplane.parts.clock import Clock
from towplane.tenants import accounts
from towplane.tenants.keys import KeyRecord, TenantRecord
from towplane.tenants.ledger import Ledger, Only

__all__ = ["Tenancy"]

T = TypeVar("T")


class Tenancy:
    """Answers from the accounts and the ledger.

    `changed` is told of each change, in the loop; `fold` brings the ledger up to date, in a thread.
    """

    def __init__(
        self,
        people: Callable[[], accounts.Accounts],
        ledger: Ledger,
        *,
        changed: Callable[[], None] = lambda: None,
        fold: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self._people = people
        """Asked each time: a new document brings new accounts."""
        self._ledger = ledger
        self._changed = changed
        self._fold = fold
        self._clock = clock or Clock()

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
            people, now = self._people(), self._clock.wall()
            keys = people.keys()
            active = Counter(key.tenant for key in keys if key.state(now) == "active")
            return [_tenant_row(record, active[record.name]) for record in people.tenants()]

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
            )
            return _tenant_row(self._people().create_tenant(record, now=self._clock.wall()), 0)

        return await self._change(make)

    async def keys(self, tenant: str) -> list[KeyRow]:
        """Keys of a tenant, dead ones included, oldest first."""
        found = await asyncio.to_thread(lambda: self._people().keys(tenant))
        return [_key_row(record, self._clock.wall()) for record in found]

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
                expires_at=wanted.expires_at.timestamp() if wanted.expires_at else None,
            )
            return _new_key(self._people().create_key(tenant, record, now=self._clock.wall()))

        return await self._change(make)

    async def rotate_key(self, key: str, *, overlap_s: float) -> NewKey:
        """A new secret for a key; the one before works until the overlap is over."""
        now = self._clock.wall()
        return await self._change(
            lambda: _new_key(self._people().rotate_key(key, overlap_s=overlap_s, now=now))
        )

    async def revoke_key(self, key: str) -> KeyRow:
        """The key opens nothing any more, at once."""
        now = self._clock.wall()
        return await self._change(lambda: _key_row(self._people().revoke_key(key, now=now), now))

    async def _change(self, act: Callable[[], T]) -> T:
        done = await asyncio.to_thread(act)
        self._changed()
        return done


def _tenant_row(record: TenantRecord, active_keys: int) -> TenantRow:
    return TenantRow(
        name=record.name,
        source=record.source,
        limits=record.limits,
        budget=record.budget,
        models=record.models,
        unpriced=record.unpriced,
        created_at=_moment(record.created_at),
        active_keys=active_keys,
    )


def _key_row(record: KeyRecord, now: float) -> KeyRow:
    return KeyRow(
        id=record.id,
        tenant=record.tenant,
        state=record.state(now),
        name=record.name,
        label=record.label,
        project=record.project,
        limits=record.limits,
        budget=record.budget,
        models=record.models,
        created_at=_moment(record.created_at),
        expires_at=_moment(record.expires_at),
        revoked_at=_moment(record.revoked_at),
    )


def _new_key(made: accounts.NewKey) -> NewKey:
    return NewKey(id=made.record.id, tenant=made.record.tenant, token=made.token)


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
