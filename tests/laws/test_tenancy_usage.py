"""Usage by project, label, service class and credential, and quotas counted from the ledger."""

from pathlib import Path

import pytest

from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.consumption import used, used_by_worker
from towplane.tenants.journal import JournalWriter
from towplane.tenants.keys import KeyRecord
from towplane.tenants.ledger import Ledger, Only, UsageBy
from towplane.tenants.spec import ProjectSpec, TenantSpec
from towplane.tenants.windows import Account, Used
from towplane.testing.events import opened, settled

NOON = 1_795_435_200.0
DAY = "2026-11-23"


class Books:
    """A ledger of two tenants whose keys have projects and labels."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "ledger.sqlite")
        projects = {"web": ProjectSpec(), "app": ProjectSpec()}
        declared = {"acme": TenantSpec(projects=projects), "globex": TenantSpec(projects=projects)}
        accounts = Accounts(self.database, folder, declared)
        self.ledger = Ledger(self.database, folder / "journal")
        self.writer = JournalWriter(folder / "journal" / "worker1", segment_bytes=128 * 1024)
        self.keys: dict[str, str] = {}
        for name, tenant, project, label in (
            ("w1", "acme", "web", "day"),
            ("w2", "acme", "web", "night"),
            ("a", "acme", "app", "night"),
            ("n", "acme", "", ""),
            ("g", "globex", "web", "day"),
        ):
            wanted = KeyRecord(id="", tenant=tenant, digest=b"", project=project, label=label)
            self.keys[name] = accounts.create_key(tenant, wanted).record.id
        for number, (name, cost, credential) in enumerate(
            (("w1", 1, "c1"), ("w2", 2, "c2"), ("a", 4, "c1"), ("n", 8, None), ("g", 16, "c2"))
        ):
            tenant = "globex" if name == "g" else "acme"
            id = f"r{number}.1"
            self.writer.append(opened(id, tenant=tenant, key=self.keys[name], at=NOON))
            end = settled(id, cost_nanousd=cost, input=10, output=cost, credential=credential)
            self.writer.append(end)
        self.ledger.fold()

    def told(self, by: UsageBy, **only: str) -> dict[str, int | None]:
        rows = self.ledger.usage(by, only=Only(**only))
        return {row.name: row.cost_nanousd for row in rows}


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def test_projects_of_two_tenants_are_two(books: Books) -> None:
    want = {"acme/web": 3, "acme/app": 4, "acme/": 8, "globex/web": 16}
    assert books.told("project") == want
    assert books.told("tenant", project="web") == {"acme": 3, "globex": 16}
    assert books.told("tenant", project="acme/web") == {"acme": 3}
    assert books.told("key", project="acme/web", label="night") == {books.keys["w2"]: 2}


def test_labels_and_credentials_are_told_apart(books: Books) -> None:
    assert books.told("label") == {"day": 17, "night": 6, "": 8}
    assert books.told("credential") == {"c1": 5, "c2": 18, "": 8}
    assert books.told("project", credential="c1") == {"acme/web": 1, "acme/app": 4}
    assert books.told("service") == {"standard": 31}


def test_every_grouping_has_the_same_sums(books: Books) -> None:
    groups: list[UsageBy] = ["tenant", "project", "key", "label", "model", "service", "credential"]
    for by in (*groups, "target", "day"):
        rows = books.ledger.usage(by, since=DAY, until=DAY)
        sums = [sum(getattr(row, name) for row in rows) for name in ("requests", "input_tokens")]
        assert sums == [5, 50], by
        assert sum(row.cost_nanousd or 0 for row in rows) == 31
        assert books.ledger.usage(by, since="2026-11-24") == []
        assert books.ledger.usage(by, until="2026-11-22") == []


def test_a_quota_begins_at_what_the_ledger_counts(books: Books) -> None:
    with books.database.read() as connection:
        for account, want in (
            (Account("tenant", "acme"), Used(4, 55, 15)),
            (Account("project", "acme/web"), Used(2, 23, 3)),
            (Account("key", books.keys["g"]), Used(1, 26, 16)),
            (Account("project", "acme/gone"), Used()),
        ):
            for window in (DAY, DAY[:7], "total"):
                assert used(connection, account, window) == want
                by_worker = used_by_worker(connection, "worker1")
                assert by_worker.get((account, window), Used()) == want
            assert used(connection, account, "2026-11-24") == Used()
        assert used_by_worker(connection, "worker2") == {}
