"""Tenants and keys in the database: the document wins, secrets are seen once, changes are told."""

import stat
from pathlib import Path

import msgspec
import pytest

from towplane.parts.errors import BadRequest, Conflict, NotFound, Platform, Unauthorised
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts, NewKey
from towplane.tenants.first_key import FIRST_KEY, ensure_first_key
from towplane.tenants.keys import KeyRecord, ProjectRecord, TenantRecord
from towplane.tenants.spec import Budget, Limits, ProjectSpec, TenantSpec

NOW = 1_795_435_200.0
ACME = TenantSpec(limits=Limits(rpm=600))


def accounts_of(folder: Path, **declared: TenantSpec) -> Accounts:
    return Accounts(Database(folder / "ledger.sqlite"), folder, declared, actor="cli:test")


def opens(accounts: Accounts, token: str, now: float = NOW) -> str:
    """The id of the key that `token` is, or why it is none."""
    try:
        return accounts.ring().identify(token.encode(), now).id
    except Unauthorised as refusal:
        return refusal.reason


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_tenant_of_the_document_and_a_created_one_stand_side_by_side(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    made = accounts.create_tenant(TenantRecord(name="globex", budget=Budget(daily_nanousd=5)))
    assert accounts.tenants() == [
        TenantRecord(name="acme", limits=Limits(rpm=600), source="document"),
        made,
    ]
    assert (made.source, made.budget) == ("created", Budget(daily_nanousd=5))


def test_a_tenant_of_the_document_wins_its_name(tmp_path: Path) -> None:
    accounts_of(tmp_path).create_tenant(TenantRecord(name="acme", limits=Limits(rpm=1)))
    (found,) = accounts_of(tmp_path, acme=ACME).tenants()
    assert (found.source, found.limits) == ("document", Limits(rpm=600))


def test_names_are_taken_once(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    accounts.create_tenant(TenantRecord(name="globex"))
    for name in ("acme", "globex"):
        with pytest.raises(Conflict):
            accounts.create_tenant(TenantRecord(name=name))
    for name in ("", "a b", "../etc", "a" * 64, "é", "a\n"):
        with pytest.raises(BadRequest):
            accounts.create_tenant(TenantRecord(name=name))


def test_a_new_key_opens_the_door_at_once_and_is_stored_nowhere(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    made = accounts.create_key("acme", now=NOW)
    assert opens(accounts, made.token) == made.record.id
    assert opens(accounts_of(tmp_path, acme=ACME), made.token) == made.record.id
    secret = made.token.rpartition("-")[2]
    assert secret.encode() not in all_bytes(tmp_path)
    assert secret not in repr(made)


def test_a_key_needs_its_tenant(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    with pytest.raises(NotFound, match="acme"):
        accounts.create_key("globex")
    with pytest.raises(NotFound):
        accounts.keys("globex")
    made = accounts.create_key("acme", now=NOW)
    assert opens(accounts_of(tmp_path), made.token) == "key-unknown"
    assert opens(accounts_of(tmp_path, acme=ACME), made.token) == made.record.id


def test_a_key_holds_what_was_asked_and_nothing_that_was_not(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    wanted = KeyRecord(
        id="mine", tenant="other", digest=b"mine", name="ci", project="web", models=["small"],
        limits=Limits(rpm=5), expires_at=NOW + 10, revoked_at=NOW - 10,
    )  # fmt: skip
    record = accounts.create_key("acme", wanted, now=NOW).record
    assert (record.tenant, record.name, record.project) == ("acme", "ci", "web")
    assert (record.limits, record.models) == (Limits(rpm=5), ["small"])
    assert (record.expires_at, record.revoked_at, record.created_at) == (NOW + 10, None, NOW)
    assert record.id != "mine"
    assert record.digest != b"mine"
    assert accounts.keys("acme") == accounts.keys() == [record]


@pytest.mark.parametrize(
    "changes", [{"name": "x" * 201}, {"label": "a\nb"}, {"project": "\x1b[2J"}, {"expires_at": NOW}]
)
def test_a_key_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    wanted = KeyRecord(id="", tenant="", digest=b"", **changes)  # type: ignore[arg-type]  # fields
    with pytest.raises(BadRequest) as caught:
        accounts.create_key("acme", wanted, now=NOW)
    assert caught.value.param == next(iter(changes))
    assert accounts.keys() == []


def test_a_revoked_key_stays_shut(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    made = accounts.create_key("acme", now=NOW)
    revoked = accounts.revoke_key(made.record.id, now=NOW)
    assert opens(accounts, made.token) == "key-revoked"
    assert accounts.revoke_key(made.record.id, now=NOW + 9) == revoked
    with pytest.raises(Conflict):
        accounts.rotate_key(made.record.id, now=NOW)
    with pytest.raises(NotFound):
        accounts.revoke_key("nobody")


def test_rotation_leaves_the_key_and_overlaps_its_secrets(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    first = accounts.create_key("acme", now=NOW)
    second = accounts.rotate_key(first.record.id, overlap_s=100, now=NOW)
    third = accounts.rotate_key(first.record.id, overlap_s=50, now=NOW + 10)

    def at(now: float) -> list[str]:
        return [opens(accounts, key.token, now) for key in (first, second, third)]

    id_ = first.record.id
    assert at(NOW + 59) == [id_, id_, id_]
    assert at(NOW + 61) == [id_, "key-expired", id_]
    assert at(NOW + 100) == ["key-expired", "key-expired", id_]
    later = NOW + 40 * 86_400
    fourth = accounts.rotate_key(id_, overlap_s=0, now=later)
    assert at(later) == ["key-unknown", "key-unknown", "key-expired"]
    assert opens(accounts, fourth.token, later) == id_
    assert len(accounts.keys()) == 1


def test_every_change_has_a_number_that_other_processes_see(tmp_path: Path) -> None:
    here, there = accounts_of(tmp_path, acme=ACME), accounts_of(tmp_path, acme=ACME)
    versions = [here.version()]
    there.create_tenant(TenantRecord(name="globex"))
    versions.append(here.version())
    made = there.create_key("globex")
    versions.append(here.version())
    there.rotate_key(made.record.id)
    versions.append(here.version())
    there.revoke_key(made.record.id)
    versions.append(here.version())
    assert versions == sorted(set(versions))
    there.revoke_key(made.record.id)
    assert here.version() == versions[-1]


def test_the_audit_says_who_changed_what_and_holds_no_digest(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    made = accounts.create_key("acme", now=NOW)
    accounts.rotate_key(made.record.id, now=NOW + 1)
    accounts.revoke_key(made.record.id, now=NOW + 2)
    entries = accounts.changes()
    assert [entry.action for entry in entries] == ["key-revoked", "key-rotated", "key-created"]
    assert {(entry.actor, entry.subject) for entry in entries} == {("cli:test", made.record.id)}
    last = entries[0]
    assert last.at == NOW + 2
    assert last.before is not None
    assert last.after is not None
    assert (last.before["revoked_at"], last.after["revoked_at"]) == (None, NOW + 2)
    text = msgspec.json.encode(entries)
    assert b"digest" not in text
    assert b"retired" not in text


def test_a_lost_pepper_is_told_and_not_replaced_while_there_are_keys(tmp_path: Path) -> None:
    accounts_of(tmp_path, acme=ACME).create_key("acme")
    (tmp_path / "keys.pepper").unlink()
    with pytest.raises(Platform, match="missing"):
        accounts_of(tmp_path, acme=ACME)


# The first key.


def test_a_fresh_plane_gets_a_first_key_and_finds_it_again(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, default=TenantSpec())
    token = ensure_first_key(accounts, tmp_path, now=NOW)
    assert token is not None
    assert opens(accounts, token) != "key-unknown"
    assert ensure_first_key(accounts, tmp_path, now=NOW + 1) == token
    assert stat.S_IMODE((tmp_path / FIRST_KEY).stat().st_mode) == 0o600


def test_a_plane_that_is_somebodys_gets_none(tmp_path: Path) -> None:
    for name, declared in (
        ("two", {"default": TenantSpec(), "acme": ACME}),
        ("other", {"acme": ACME}),
        ("none", {}),
    ):
        accounts = accounts_of(tmp_path / name, **declared)
        assert ensure_first_key(accounts, tmp_path / name, now=NOW) is None
        assert accounts.keys() == []


def test_a_first_key_that_is_dead_or_deleted_is_not_made_again(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, default=TenantSpec())
    token = ensure_first_key(accounts, tmp_path, now=NOW)
    (tmp_path / FIRST_KEY).unlink()
    assert ensure_first_key(accounts, tmp_path, now=NOW) is None
    (tmp_path / FIRST_KEY).write_text(f"{token}\n")
    assert ensure_first_key(accounts, tmp_path, now=NOW) == token
    accounts.revoke_key(accounts.keys()[0].id, now=NOW)
    assert ensure_first_key(accounts, tmp_path, now=NOW) is None


def test_a_new_key_does_not_show_its_token(tmp_path: Path) -> None:
    made = accounts_of(tmp_path, acme=ACME).create_key("acme")
    assert repr(made) == str(made) == f"NewKey({made.record.id}, acme)"
    assert isinstance(made, NewKey)


def test_projects_of_the_document_and_created_ones_belong_to_their_tenant(tmp_path: Path) -> None:
    web = ProjectSpec(limits=Limits(rpd=5), models=["a*"], priority="high")
    accounts = accounts_of(tmp_path, acme=TenantSpec(projects={"web": web}))
    accounts.create_project(ProjectRecord(tenant="acme", name="app", limits=Limits(rpm=1)))
    assert [(p.name, p.source) for p in accounts.projects("acme")] == [
        ("app", "created"),
        ("web", "document"),
    ]
    (tenant,) = accounts.tenants()
    assert tenant.projects == {"web": web, "app": ProjectSpec(limits=Limits(rpm=1))}
    for name in ("web", "app"):
        with pytest.raises(Conflict):
            accounts.create_project(ProjectRecord(tenant="acme", name=name))
    with pytest.raises(BadRequest):
        accounts.create_project(ProjectRecord(tenant="acme", name="a/b"))
    with pytest.raises(NotFound):
        accounts.create_project(ProjectRecord(tenant="nobody", name="x"))


def test_a_mistyped_project_is_refused_where_there_are_projects(tmp_path: Path) -> None:
    """Its key would have no limits of a project at all."""
    accounts = accounts_of(tmp_path, acme=TenantSpec(projects={"web": ProjectSpec()}), bare=ACME)
    for tenant, project, is_fine in (
        ("acme", "web", True),
        ("acme", "", True),
        ("acme", "wbe", False),
        ("bare", "any word", True),
    ):
        wanted = KeyRecord(id="", tenant=tenant, digest=b"", project=project)
        if is_fine:
            assert accounts.create_key(tenant, wanted).record.project == project
        else:
            with pytest.raises(BadRequest):
                accounts.create_key(tenant, wanted)


def test_what_is_changed_is_in_the_audit_with_what_was_before(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=ACME)
    accounts.create_tenant(TenantRecord(name="globex", limits=Limits(rpm=1)))
    accounts.create_project(ProjectRecord(tenant="globex", name="web"))
    key = accounts.create_key("globex").record
    change = msgspec.structs.replace
    accounts.update_tenant("globex", lambda one: change(one, limits=Limits(rpm=2)))
    accounts.update_project("globex", "web", lambda one: change(one, priority="low"))
    accounts.update_key(key.id, lambda one: change(one, label="night", project="x", tenant="acme"))
    accounts.update_key(key.id, lambda one: one)
    after = accounts.keys("globex")[0]
    assert (after.label, after.project, after.tenant) == ("night", "", "globex"), "for good"
    told = [(entry.action, entry.subject) for entry in accounts.changes(3)]
    assert told == [
        ("key-changed", key.id),
        ("project-changed", "globex/web"),
        ("tenant-changed", "globex"),
    ]
    entry = accounts.changes(3)[2]
    assert entry.before is not None
    assert entry.after is not None
    found = [shown["limits"] for shown in (entry.before, entry.after)]
    assert [msgspec.convert(limits, Limits).rpm for limits in found] == [1, 2]


def test_what_the_document_declares_is_changed_in_the_document(tmp_path: Path) -> None:
    accounts = accounts_of(tmp_path, acme=TenantSpec(projects={"web": ProjectSpec()}))
    with pytest.raises(Conflict):
        accounts.update_tenant("acme", lambda one: one)
    with pytest.raises(Conflict):
        accounts.update_project("acme", "web", lambda one: one)
    with pytest.raises(NotFound):
        accounts.update_project("acme", "gone", lambda one: one)
    key = accounts.create_key("acme").record
    accounts.revoke_key(key.id)
    with pytest.raises(Conflict):
        accounts.update_key(key.id, lambda one: one)
