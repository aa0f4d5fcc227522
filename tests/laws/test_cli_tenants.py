"""`towplane tenants`: what it prints, what it stores, how it fails."""

import json
from pathlib import Path
from typing import Any

import pytest

from towplane.cli.main import run
from towplane.parts.errors import EXIT_DONE, EXIT_NO, EXIT_USAGE
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.journal import JournalWriter
from towplane.tenants.ledger import Ledger
from towplane.tenants.spec import TenantSpec
from towplane.testing.events import opened, settled

DOCUMENT = """\
plane: first-light
providers:
  up: {kind: openai-compatible, endpoint: "http://127.0.0.1:9/v1", credentials: [{api_key: env:X}]}
routing:
  small: {targets: [{provider: up}]}
tenants:
  default: {limits: {rpm: 600}, budget: {monthly: 20 USD}}
"""


class Shell:
    """Runs commands on one document."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir = folder / ".towplane"
        self.file = folder / "plane.yaml"
        self.file.write_text(DOCUMENT)
        self._capsys = capsys

    def __call__(self, command: str, *more: str, want: int = EXIT_DONE) -> tuple[str, str]:
        assert run([*command.split(), *more, "--file", str(self.file)]) == want
        said = self._capsys.readouterr()
        return said.out, said.err

    def json(self, command: str, *more: str, want: int = EXIT_DONE) -> Any:
        return json.loads(self(command, *more, "--json", want=want)[0])

    def accounts(self) -> Accounts:
        database = Database(self.data_dir / "ledger.sqlite")
        return Accounts(database, self.data_dir, {"default": TenantSpec()})


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_a_created_tenant_is_listed_beside_those_of_the_document(shell: Shell) -> None:
    made = shell.json("tenants create globex --rpm 1_000 --tpm 200k --daily", "0.5 USD")
    assert made["limits"].items() >= {"rpm": 1000, "tpm": 200_000, "concurrency": None}.items()
    assert made["budget"]["daily"] == 500_000_000
    listed = shell.json("tenants list")["tenants"]
    assert [(row["name"], row["source"]) for row in listed] == [
        ("default", "document"),
        ("globex", "created"),
    ]
    table, _ = shell("tenants list")
    assert "1,000 requests/min, 200,000 tokens/min" in table
    assert "$20.00 a month" in table


def test_a_new_key_is_alone_on_standard_output_and_works(shell: Shell) -> None:
    out, err = shell("tenants keys create default --name ci")
    token = out.strip()
    assert shell.accounts().ring().identify(token.encode(), 0).name == "ci"
    assert "this once" in err
    assert token.rpartition("-")[2] not in shell("tenants keys list", "--json")[0] + err


def test_a_key_is_listed_rotated_and_revoked(shell: Shell) -> None:
    made = shell.json("tenants keys create default --expires 30d --model small --total", "1 USD")
    rotated = shell.json(f"tenants keys rotate {made['id']} --overlap 1h")
    assert rotated["id"] == made["id"]
    assert rotated["token"] != made["token"]
    (row,) = shell.json("tenants keys list default")["keys"]
    assert row["state"] == "active"
    assert row["overlap_until"] is not None
    assert (row["models"], row["budget"]["total"]) == (["small"], 10**9)
    assert row["expires_at"].endswith("Z")
    assert "active, rotating" in shell("tenants keys list")[0]
    assert shell.json(f"tenants keys revoke {made['id']}")["state"] == "revoked"
    assert shell.json("tenants list")["tenants"][0]["active_keys"] == 0


def test_a_change_names_who_made_it(shell: Shell) -> None:
    shell("tenants create globex")
    (entry,) = shell.accounts().changes()
    assert entry.actor.startswith("cli:")


@pytest.mark.parametrize(
    ("command", "code", "want"),
    [
        ("tenants create default", "conflict", EXIT_NO),
        ("tenants create a/b", "bad_request", EXIT_USAGE),
        ("tenants create globex --rpm lots", "bad_request", EXIT_USAGE),
        ("tenants create globex --daily 5", "bad_request", EXIT_USAGE),
        ("tenants keys create nobody", "not_found", EXIT_NO),
        ("tenants keys create default --expires yesterday", "bad_request", EXIT_USAGE),
        ("tenants keys create default --expires 2020-01-01", "bad_request", EXIT_USAGE),
        ("tenants keys list nobody", "not_found", EXIT_NO),
        ("tenants keys revoke nothing", "not_found", EXIT_NO),
        ("tenants keys rotate nothing", "not_found", EXIT_NO),
        ("tenants usage --since 2026-02-30", "bad_request", EXIT_USAGE),
        ("tenants usage --by banana", "usage", EXIT_USAGE),
    ],
)
def test_what_cannot_be_done_says_why_and_what_next(
    shell: Shell, command: str, code: str, want: int
) -> None:
    error = shell.json(command, want=want)["error"]
    assert error["code"] == code
    assert error["message"]
    assert error["next"]
    assert shell(command, want=want)[1].startswith("error: ")


def test_usage_says_what_is_unknown_and_what_is_not_folded_yet(shell: Shell) -> None:
    database = Database(shell.data_dir / "ledger.sqlite")
    ledger = Ledger(database, shell.data_dir / "journal")
    writer = JournalWriter(shell.data_dir / "journal" / "one", segment_bytes=128 * 1024)
    for attempt, tenant, cost in (
        ("a.1", "acme", 1_500_000_000),
        ("a.2", "acme", None),
        ("b.1", "globex", None),
    ):
        writer.append(opened(attempt, tenant=tenant))
        writer.append(settled(attempt, cost_nanousd=cost))
    ledger.fold()
    writer.append(opened("c.1"))

    told = shell.json("tenants usage")
    assert told["lag_events"] == 1
    assert [(row["name"], row["cost_nanousd"], row["unpriced"]) for row in told["rows"]] == [
        ("acme", 1_500_000_000, 1),
        ("globex", None, 1),
    ]
    out, err = shell("tenants usage")
    assert "$1.50 + unpriced: 1 attempt\n" in out
    assert out.endswith("unpriced: 1 attempt\n")
    assert "1 events of the journal are not in these sums yet" in err
    assert shell.json("tenants usage --by day --since 2026-11-23")["rows"][0]["name"] == (
        "2026-11-23"
    )
    assert shell.json("tenants usage --since 2026-11-24")["rows"] == []
    writer.close()


def test_usage_is_exported_for_invoices(shell: Shell) -> None:
    writer = JournalWriter(shell.data_dir / "journal" / "one", segment_bytes=128 * 1024)
    writer.append(opened("r1.1", tenant="default", key="k"))
    writer.append(settled("r1.1", cost_nanousd=15_000_000))
    Ledger(Database(shell.data_dir / "ledger.sqlite"), shell.data_dir / "journal").fold()
    command = "tenants export --from 2020-01-01 --to 2040-01-01 --by model"
    out = shell.data_dir / "out.json"
    shell(f"{command} --format json --out {out}")
    (row,) = json.loads(out.read_bytes())["rows"]
    assert (row["tenant"], row["cost_nanousd"], row["amount"]) == ("default", 15_000_000, "0.02")
    shell("tenants export --from 2026-01-02 --to 2026-01-01", want=EXIT_USAGE)
    shell("tenants export --from 2026-01-01 --to 2026-01-02 --by banana", want=EXIT_USAGE)


def test_projects_are_created_changed_and_listed(shell: Shell) -> None:
    made = shell.json("tenants projects create default web --limit rpd=10k --model", "small*")
    assert (made["limits"]["rpd"], made["models"]) == (10_000, ["small*"])
    shell("tenants projects update default web --limit rpd=none --limit mode=soft --model all")
    (row,) = shell.json("tenants projects list default")["projects"]
    assert (row["limits"]["rpd"], row["limits"]["mode"], row["models"]) == (None, "soft", None)
    key = shell.json("tenants keys create default --project web")
    assert shell.json(f"tenants keys update {key['id']} --priority low")["priority"] == "low"
    shell("tenants keys create default --project wbe", want=EXIT_USAGE)
    shell("tenants create globex")
    changed = shell.json("tenants update globex --budget", "monthly=5 USD", "--budget", "mode=soft")
    assert (changed["budget"]["monthly"], changed["budget"]["mode"]) == (5 * 10**9, "soft")
    for words in ("--limit rpx=1", "--limit rpd", "--limit mode=none", "--priority urgent"):
        shell(f"tenants update globex {words}", want=EXIT_USAGE)
    shell("tenants update default --limit rpd=1", want=EXIT_NO)
    assert shell.json("tenants alerts") == {"alerts": []}
