"""`towplane tenants prices`, `reprice` and `provisioned`: what they print and how they end."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from towplane.cli.main import run
from towplane.parts.errors import EXIT_DONE, EXIT_NO, EXIT_USAGE
from towplane.parts.storage import Database
from towplane.parts.usage import Detail
from towplane.tenants.journal import JournalWriter
from towplane.tenants.ledger import Ledger
from towplane.tenants.prices import Sheet, Step, make_rates
from towplane.tenants.pricing import book
from towplane.tenants.pricing.questions import Answer, BookEntry, Chapter, Question
from towplane.tenants.windows import day_of
from towplane.testing.events import opened, settled

USD = 10**9
NOW = time.time()
YESTERDAY = NOW - 86_400
DAY = day_of(YESTERDAY)
DOCUMENT = """\
plane: acme
providers:
  oai: {kind: openai, credentials: [{api_key: env:A}]}
  own: {kind: openai-compatible, endpoint: "http://10.0.0.7:8000/v1", prices: {m: [PRICE]},
        provisioned: [{models: [ptu], hourly: 1 USD, from: 2026-01-01}]}
routing:
  chat: {targets: [{provider: oai, model: gpt-5}]}
  code: {targets: [{provider: own, model: m}, {provider: own, model: ptu}]}
"""
PRICE = "{from: 2026-01-01, input: 1 USD/Mtok, output: 4 USD/Mtok, source: a contract}"


class Shell:
    """Runs commands on one document; its price book knows what `known` says."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.data_dir = folder / ".towplane"
        self.file = folder / "plane.yaml"
        self.write(PRICE)
        self.known = {"gpt-5": 2 * USD}
        self._capsys = capsys

    def write(self, price: str) -> None:
        self.file.write_text(DOCUMENT.replace("PRICE", price))

    def answer(self, questions: list[Question]) -> tuple[Chapter, str]:
        answers = [
            Answer(q, q.model, [BookEntry(None, _sheet(self.known[q.model]), "a page")])
            if q.model in self.known
            else Answer(q, None)
            for q in questions
        ]
        return Chapter("a-book 1", day_of(NOW), answers), ""

    def __call__(self, command: str, *, want: int = EXIT_DONE) -> tuple[str, str]:
        assert run([*command.split(), "--file", str(self.file)]) == want
        said = self._capsys.readouterr()
        return said.out, said.err

    def json(self, command: str, *, want: int = EXIT_DONE) -> Any:
        return json.loads(self(f"{command} --json", want=want)[0])

    def attempts(self, *usages: dict[str, Any]) -> None:
        """Attempts of yesterday, settled at the prices that they say."""
        writer = JournalWriter(self.data_dir / "journal" / "life-1")
        for number, usage in enumerate(usages):
            target = usage.pop("target", "own/m")
            begin = opened(
                f"r{number}.1",
                at=YESTERDAY,
                model="code",
                target=target,
                upstream_model=target.partition("/")[2],
            )
            writer.append(begin)
            writer.append(settled(f"r{number}.1", cached_input=0, **usage))
        writer.close()
        database = Database(self.data_dir / "ledger.sqlite")
        Ledger(database, self.data_dir / "journal").recover_dead(NOW)
        database.close()


def _sheet(per_input: int) -> Sheet:
    return Sheet({"standard": (Step(-1, make_rates(per_input, 4 * per_input)),)}, USD // 100)


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    made = Shell(tmp_path, capsys)
    monkeypatch.setattr(book, "_ask", made.answer)
    monkeypatch.setattr(book, "_installed", lambda: "a-book 1")
    return made


def test_prices_are_listed_with_who_says_so(shell: Shell) -> None:
    found = shell.json("tenants prices list")
    assert found["book"] == {
        "package": "a-book 1",
        "newest": day_of(NOW),
        "age_days": 0,
        "complaint": None,
    }
    rows = {row["target"]: row for row in found["prices"]}
    assert {name: row["from"] for name, row in rows.items()} == {
        "oai/gpt-5": "book",
        "own/m": "document",
        "own/ptu": "document",
    }
    assert (rows["own/m"]["since"], rows["own/m"]["source"]) == ("2026-01-01", "a contract")
    assert rows["own/ptu"]["is_provisioned"]
    assert rows["oai/gpt-5"]["since"] is None
    assert rows["oai/gpt-5"]["search_nanousd"] == 10_000_000
    per_mtok = rows["oai/gpt-5"]["classes"]["standard"][0]["nanousd_per_mtok"]
    assert (per_mtok["input"], per_mtok["output"]) == (2 * USD, 8 * USD)


def test_the_table_of_prices_reads_as_dollars(shell: Shell) -> None:
    out, err = shell("tenants prices list")
    lines = [line.split() for line in out.splitlines()]
    assert lines[1][:9] == [
        "oai/gpt-5", "standard", "–", "2.00", "2.00", "2.00", "2.00", "8.00", "search",
    ]  # fmt: skip
    assert lines[2][-2:] == ["a", "contract"]
    assert lines[3][:2] == ["own/ptu", "provisioned"]
    assert "USD per million tokens" in err


def test_prices_can_be_asked_for_one_model_and_an_earlier_day(shell: Shell) -> None:
    found = shell.json("tenants prices list --model code --at 2025-12-31")
    assert [(row["target"], row["from"]) for row in found["prices"]] == [
        ("own/m", None),
        ("own/ptu", None),
    ]
    shell("tenants prices list --at yesterday", want=EXIT_USAGE)


def test_a_check_is_good_when_every_target_has_a_price(shell: Shell) -> None:
    assert shell.json("tenants prices check")["ok"]
    assert "every target of every route has a price" in shell("tenants prices check")[0]


def test_a_check_fails_on_a_target_without_a_price_and_says_why(shell: Shell) -> None:
    shell.known = {}
    shell.write("{from: 2999-01-01, input: 1 USD/Mtok, output: 4 USD/Mtok}")
    found = shell.json("tenants prices check", want=EXIT_NO)
    assert found["unpriced"] == [
        {
            "target": "oai/gpt-5",
            "routes": ["chat"],
            "why": "neither the document nor the price book says one",
        },
        {"target": "own/m", "routes": ["code"], "why": "its first price begins later"},
    ]
    assert "docs/prices.md" in shell("tenants prices check", want=EXIT_NO)[1]


def test_a_book_that_is_missing_is_said_and_not_taken_for_free(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "_installed", lambda: None)
    found = shell.json("tenants prices check", want=EXIT_NO)
    assert "towplane[prices]" in found["book"]["complaint"]
    assert [row["target"] for row in found["unpriced"]] == ["oai/gpt-5"]


def test_repricing_shows_first_and_writes_when_told(shell: Shell) -> None:
    shell.attempts({"input": 1_000_000, "output": 0, "cost_nanousd": USD})
    shell.write(PRICE.replace("1 USD", "3 USD"))
    command = f"tenants reprice --from {DAY} --to {DAY}"
    (row,) = shell.json(command)["repricing"]["days"]
    assert (row["changed"], row["difference_nanousd"]) == (1, 2 * USD)
    out, err = shell(command)
    assert "$2.00" in out
    assert "--apply writes the adjustments" in err
    assert "repricing 1: 1 attempts, difference $2.00" in shell(f"{command} --apply")[0]
    assert shell.json(f"{command} --apply")["repricing"]["number"] is None
    (used,) = shell.json("tenants usage")["rows"]
    assert used["cost_nanousd"] == 3 * USD


def test_repricing_wants_its_days_in_order(shell: Shell) -> None:
    said = shell("tenants reprice --from 2026-11-02 --to 2026-11-01", want=EXIT_USAGE)[1]
    assert "--to 2026-11-01 is before --from 2026-11-02" in said


def test_a_day_of_capacity_is_shared_out_and_the_rest_is_idle(shell: Shell) -> None:
    shell.attempts(
        {"input": 300, "output": 0, "cost_nanousd": 0, "target": "own/ptu"},
        {"input": 100, "output": 0, "cost_nanousd": 0, "target": "own/m"},
    )
    found = shell.json(f"tenants provisioned --from {DAY} --to {day_of(NOW)}")
    assert [day["day"] for day in found["days"]] == [DAY], "today is not over"
    assert [(share["tenant"], share["cost_nanousd"]) for share in found["shares"]] == [
        ("acme", USD)
    ]
    assert found["days"][0]["idle_nanousd"] == 23 * USD
    out = shell(f"tenants provisioned --from {DAY} --to {DAY} --by-day")[0]
    assert "$23.00  95.8%" in out
    assert "$1.00" in out


def test_usage_shows_special_columns_only_where_something_is_in_them(shell: Shell) -> None:
    shell.attempts({"input": 10, "output": 5, "detail": Detail(reasoning=4, searches=2)})
    header = shell("tenants usage")[0].splitlines()[0].split()
    assert header == ["tenant", "requests", "attempts", "input", "cached", "searches",
                      "reasoning", "output", "usage", "cost"]  # fmt: skip
    (row,) = shell.json("tenants usage --by service")["rows"]
    assert (row["name"], row["reasoning_tokens"], row["searches"]) == ("standard", 4, 2)
