"""Records of accounts drawn as the structs of `api.views`. Pure: values in, values out.

Law: no digest and no secret leaves here, but the token of a key just made.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

from towplane.api.tenant_views import AuditRow, KeyRow, NewKey, ProjectRow, QuotaRow, TenantRow
from towplane.tenants import accounts
from towplane.tenants.alerts.watch import Watched, watched
from towplane.tenants.audit import AuditEntry
from towplane.tenants.keys import KeyRecord, ProjectRecord, TenantRecord
from towplane.tenants.measures import MEASURES, MONEY, TOKENS, limits_of, mode_of, used_of
from towplane.tenants.spec import Alerts
from towplane.tenants.windows import Account, Used, windows_at

__all__ = [
    "audit_row",
    "changes_of",
    "key_row",
    "limited_accounts",
    "new_key",
    "project_row",
    "quota_rows",
    "tenant_rows",
]

R = TypeVar("R", bound=msgspec.Struct)


def tenant_rows(
    tenants: Iterable[TenantRecord], keys: Iterable[KeyRecord], now: float
) -> list[TenantRow]:
    """Tenants with the number of their keys that open the door."""
    active = Counter(key.tenant for key in keys if key.state(now) == "active")
    return [
        TenantRow(
            name=record.name,
            source=record.source,
            limits=record.limits,
            budget=record.budget,
            models=record.models,
            unpriced=record.unpriced,
            priority=record.priority,
            projects=sorted(record.projects),
            created_at=_moment(record.created_at),
            active_keys=active[record.name],
        )
        for record in tenants
    ]


def project_row(record: ProjectRecord) -> ProjectRow:
    """One project."""
    return ProjectRow(
        tenant=record.tenant,
        name=record.name,
        source=record.source,
        limits=record.limits,
        budget=record.budget,
        models=record.models,
        priority=record.priority,
        created_at=_moment(record.created_at),
    )


def key_row(record: KeyRecord, now: float) -> KeyRow:
    """One key, without its secret."""
    overlaps = [old.expires_at for old in record.retired if old.expires_at > now]
    state = record.state(now)
    return KeyRow(
        id=record.id,
        tenant=record.tenant,
        state=state,
        name=record.name,
        label=record.label,
        project=record.project,
        limits=record.limits,
        budget=record.budget,
        models=record.models,
        priority=record.priority,
        created_at=_moment(record.created_at),
        overlap_until=_moment(max(overlaps)) if overlaps and state == "active" else None,
        expires_at=_moment(record.expires_at),
        revoked_at=_moment(record.revoked_at),
    )


def new_key(made: accounts.NewKey) -> NewKey:
    """A key with its token, this once."""
    return NewKey(id=made.record.id, tenant=made.record.tenant, token=made.token)


def audit_row(entry: AuditEntry) -> AuditRow:
    """One change."""
    return AuditRow(
        number=entry.number,
        at=datetime.fromtimestamp(entry.at, UTC),
        actor=entry.actor,
        action=entry.action,
        subject=entry.subject,
        before=entry.before,
        after=entry.after,
    )


def changes_of(changed: msgspec.Struct) -> Callable[[R], R]:
    """What turns a record into what is wanted: the fields that are set replace those it has."""
    fields = {
        name: value.timestamp() if isinstance(value, datetime) else value
        for name, value in msgspec.structs.asdict(changed).items()
        if value is not msgspec.UNSET
    }
    return lambda record: msgspec.structs.replace(record, **fields)


def limited_accounts(
    tenants: list[TenantRecord], keys: list[KeyRecord], *, is_deep: bool
) -> list[Watched]:
    """The accounts with a limit over a window; `is_deep`: projects and keys, too."""
    nobody = Alerts(at=[1.0])  # whether somebody is told is no matter here
    plain = [_without_alerts(one) for one in tenants]
    found = watched(plain, keys if is_deep else [], nobody)
    return [one for one in found if is_deep or one.account.kind == "tenant"]


def quota_rows(
    limited: Iterable[Watched], used: Callable[[Account, str], Used], now: float
) -> list[QuotaRow]:
    """Each limit of a day, a month or for good, and what is used of it."""
    windows = windows_at(now)
    return [
        QuotaRow(
            kind=one.account.kind,  # type: ignore[arg-type]  # providers have no such limits
            name=one.account.name,
            measure=limit.measure,
            unit=_unit(MEASURES[limit.measure].unit),
            window=limit.window,
            limit=limit.amount,
            used=used_of(limit.measure, used(one.account, limit.window)),
            mode=mode_of(limit.measure, one.limits, one.budget),
        )
        for one in limited
        for limit in limits_of(one.limits, one.budget, windows, soft=True)
        if limit.window
    ]


def _without_alerts(record: TenantRecord) -> TenantRecord:
    return msgspec.structs.replace(record, alerts=None)


def _unit(unit: int) -> Literal["requests", "tokens", "nanousd"]:
    return "nanousd" if unit == MONEY else "tokens" if unit == TOKENS else "requests"


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
