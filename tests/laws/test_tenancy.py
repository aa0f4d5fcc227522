"""Laws of the tenants, keys and usage as the admin port shows them, over the real database."""

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest

from towplane.api.tenancy import Tenancy
from towplane.api.tenant_views import (
    ChangedKey,
    ChangedProject,
    ChangedTenant,
    ExportQuery,
    UsageQuery,
    WantedKey,
    WantedProject,
    WantedTenant,
)
from towplane.parts.clock import Clock
from towplane.parts.errors import BadRequest, Conflict, NotFound
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.ledger import Ledger
from towplane.tenants.spec import Budget, Limits, TenantSpec
from towplane.testing.clock import FakeClock

DIGESTS = (b"digest", b"retired", b"pepper")


class Desk:
    """A tenancy over a fresh database, and what it told."""

    def __init__(self, folder: Path) -> None:
        database = Database(folder / "ledger.sqlite")
        declared = {"default": TenantSpec(limits=Limits(rpm=60))}
        self.accounts = Accounts(database, folder, declared)
        self.time = FakeClock()
        self.told: list[str] = []
        self.tenancy = Tenancy(
            lambda: self.accounts,
            Ledger(database, folder / "journal"),
            database,
            changed=lambda: self.told.append("changed"),
            fold=lambda: self.told.append("folded"),
            clock=Clock(self.time.monotonic, self.time.wall),
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_tenants_of_the_document_and_those_made_stand_in_one_list(desk: Desk) -> None:
    wanted = WantedTenant(name="acme", budget=Budget(monthly_nanousd=5), unpriced="allow")
    made = await desk.tenancy.create_tenant(wanted)
    assert (made.source, made.unpriced, made.created_at) == (
        "created",
        "allow",
        datetime.fromtimestamp(desk.time.wall(), UTC),
    )
    declared = (await desk.tenancy.tenants())[1]
    assert (declared.name, declared.source, declared.limits.rpm) == ("default", "document", 60)
    with pytest.raises(Conflict):
        await desk.tenancy.create_tenant(wanted)
    assert desk.told == ["changed"]


async def test_a_key_keeps_all_that_was_wanted_of_it(desk: Desk) -> None:
    ends = datetime.fromtimestamp(desk.time.wall() + 60, UTC)
    wanted = WantedKey(
        name="ci", label="night", project="x", limits=Limits(rpm=3), models=["a"], expires_at=ends
    )
    made = await desk.tenancy.create_key("default", wanted)
    (row,) = await desk.tenancy.keys("default")
    assert made.token.startswith(f"tp-{row.id}-")
    for field in WantedKey.__struct_fields__:
        assert getattr(row, field) == getattr(wanted, field)
    assert (await desk.tenancy.tenants())[0].active_keys == 1
    desk.time.advance(61)
    assert (await desk.tenancy.keys("default"))[0].state == "expired"
    assert (await desk.tenancy.tenants())[0].active_keys == 0


async def test_a_rotated_key_keeps_its_id_and_a_revoked_one_is_dead(desk: Desk) -> None:
    first = await desk.tenancy.create_key("default", WantedKey())
    second = await desk.tenancy.rotate_key(first.id, overlap_s=60)
    assert second.id == first.id
    assert second.token != first.token
    assert (await desk.tenancy.revoke_key(first.id)).state == "revoked"
    with pytest.raises(Conflict):
        await desk.tenancy.rotate_key(first.id, overlap_s=60)
    assert desk.told == ["changed"] * 3


async def test_no_token_and_no_digest_is_in_what_is_shown(desk: Desk) -> None:
    made = await desk.tenancy.create_key("default", WantedKey())
    shown = msgspec.json.encode([await desk.tenancy.keys("default"), await desk.tenancy.tenants()])
    assert made.token.encode() not in shown
    assert made.token.rpartition("-")[2].encode() not in shown
    assert not any(word in shown for word in DIGESTS)
    assert made.token not in repr(made)


async def test_who_is_not_there_is_said(desk: Desk) -> None:
    for ask in (
        desk.tenancy.keys("nobody"),
        desk.tenancy.create_key("nobody", WantedKey()),
        desk.tenancy.revoke_key("nothing"),
        desk.tenancy.rotate_key("nothing", overlap_s=0),
    ):
        with pytest.raises(NotFound):
            await ask
    assert desk.told == []


async def test_usage_is_folded_first_and_empty_is_empty(desk: Desk) -> None:
    query = UsageQuery(by="day", since=date(2026, 11, 1), until=date(2026, 11, 30))
    assert await desk.tenancy.usage(query) == []
    assert desk.told == ["folded"]


async def test_a_tenant_is_told_with_all_that_belongs_to_it(desk: Desk) -> None:
    tenancy = desk.tenancy.acting_as("console")
    budget = Budget(daily_nanousd=7, mode="soft")
    await tenancy.create_tenant(WantedTenant(name="acme", budget=Budget(monthly_nanousd=5)))
    await tenancy.create_tenant(WantedTenant(name="acme.two", limits=Limits(rpd=3)))
    project = await tenancy.create_project("acme", WantedProject(name="x", budget=budget))
    key = await tenancy.create_key("acme", WantedKey(project="x", limits=Limits(tpd=9, rpm=1)))
    found = await tenancy.tenant("acme")
    assert (found.tenant.projects, found.tenant.active_keys) == (["x"], 1)
    assert found.projects == [project]
    assert [one.id for one in found.keys] == [key.id]
    assert [(one.name, one.measure, one.limit, one.used, one.mode) for one in found.quotas] == [
        ("acme", "monthly", 5, 0, "hard"),
        ("acme/x", "daily", 7, 0, "soft"),
        (key.id, "tpd", 9, 0, "hard"),
    ]
    assert [(one.action, one.actor) for one in found.changes] == [
        ("key-created", "console"),
        ("project-created", "console"),
        ("tenant-created", "console"),
    ]
    assert found.alerts == []
    assert [one.name for one in await tenancy.quotas()] == ["acme", "acme.two"]
    with pytest.raises(NotFound):
        await tenancy.tenant("nobody")
    with pytest.raises(NotFound):
        await tenancy.alerts("nobody")


async def test_what_the_api_changes_is_audited_under_its_name(desk: Desk) -> None:
    made = await desk.tenancy.create_key("default", WantedKey())
    await desk.tenancy.rotate_key(made.id, overlap_s=60)
    await desk.tenancy.revoke_key(made.id)
    changes = await desk.tenancy.changes()
    assert [(one.action, one.actor) for one in changes] == [
        ("key-revoked", "api"),
        ("key-rotated", "api"),
        ("key-created", "api"),
    ]
    said = msgspec.json.encode(changes)
    assert made.token.encode() not in said
    assert not any(word in said for word in DIGESTS)


async def test_a_key_says_until_when_its_old_secret_works(desk: Desk) -> None:
    made = await desk.tenancy.create_key("default", WantedKey())
    assert (await desk.tenancy.keys())[0].overlap_until is None
    await desk.tenancy.rotate_key(made.id, overlap_s=60)
    until = datetime.fromtimestamp(desk.time.wall() + 60, UTC)
    assert (await desk.tenancy.keys())[0].overlap_until == until
    desk.time.advance(61)
    assert (await desk.tenancy.keys())[0].overlap_until is None


async def test_what_is_left_out_of_a_change_stays_and_what_is_there_replaces(desk: Desk) -> None:
    limits = Limits(rpm=1, rpd=2)
    await desk.tenancy.create_tenant(WantedTenant(name="acme", limits=limits, models=["a"]))
    row = await desk.tenancy.change_tenant("acme", ChangedTenant(budget=Budget(daily_nanousd=9)))
    assert (row.limits, row.budget.daily_nanousd, row.models) == (limits, 9, ["a"])
    row = await desk.tenancy.change_tenant("acme", ChangedTenant(limits=Limits(), models=None))
    assert (row.limits, row.models) == (Limits(), None)
    await desk.tenancy.create_project("acme", WantedProject(name="web"))
    project = await desk.tenancy.change_project("acme", "web", ChangedProject(priority="low"))
    assert project.priority == "low"
    key = await desk.tenancy.create_key("acme", WantedKey(name="ci", project="web"))
    ends = datetime.fromtimestamp(desk.time.wall() + 60, UTC)
    changed = await desk.tenancy.change_key(key.id, ChangedKey(label="night", expires_at=ends))
    assert (changed.name, changed.label, changed.expires_at) == ("ci", "night", ends)
    changed = await desk.tenancy.change_key(key.id, ChangedKey(expires_at=None))
    assert (changed.label, changed.expires_at) == ("night", None)
    with pytest.raises(Conflict):
        await desk.tenancy.change_tenant("default", ChangedTenant(limits=Limits()))
    changes = await desk.tenancy.changes(4)
    assert [row.action for row in changes] == [
        "key-changed", "key-changed", "key-created", "project-changed",
    ]  # fmt: skip
    assert changes[0].before is not None
    assert changes[0].before["label"] == "night"


async def test_an_export_is_a_file_that_is_whole_before_it_is_sent(desk: Desk) -> None:
    def query(**more: str) -> ExportQuery:
        fields = {"since": "2026-11-01", "until": "2026-11-30"} | more
        return msgspec.convert(fields, ExportQuery)

    for form, begins in (("csv", b"since,until,tenant,"), ("json", b"{"), ("parquet", b"PAR1")):
        found = await desk.tenancy.export(query(format=form))
        with found.file as file:
            assert file.read().startswith(begins)
        assert found.name == f"usage-2026-11-01-2026-11-30.{form}"
    with pytest.raises(BadRequest):
        await desk.tenancy.export(query(by="banana"))
    with pytest.raises(NotFound):
        await desk.tenancy.export(query(tenant="nobody"))
