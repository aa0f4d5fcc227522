"""The export for invoices: it adds up to the cent, says what is missing, and does not grow."""

import csv
import io
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.errors import BadRequest, Unsupported
from towplane.parts.storage import Database
from towplane.tenants.accounts import Accounts
from towplane.tenants.export import write
from towplane.tenants.export.apportion import NANO_PER_CENT, apportion
from towplane.tenants.export.rows import (
    DIMENSIONS,
    ExportRow,
    Wanted,
    export_rows,
    read_dimensions,
)
from towplane.tenants.export.write import as_csv, as_json, as_parquet, write_file
from towplane.tenants.keys import KeyRecord
from towplane.tenants.ledger.schema import open_schema, usage_by_day
from towplane.tenants.spec import TenantSpec

CENT = NANO_PER_CENT
NOVEMBER = Wanted("2026-11-01", "2026-11-30")


@given(st.lists(st.integers(0, 10**13), max_size=60))
def test_the_cents_of_the_rows_are_the_cents_of_the_sum(costs: list[int]) -> None:
    amounts = apportion(costs)
    assert sum(amounts) == (2 * sum(costs) + CENT) // (2 * CENT)
    for cost, amount in zip(costs, amounts, strict=True):
        assert cost // CENT <= amount <= cost // CENT + (cost % CENT > 0)
    up = [c % CENT for c, a in zip(costs, amounts, strict=True) if a > c // CENT]
    down = [c % CENT for c, a in zip(costs, amounts, strict=True) if a == c // CENT]
    assert not up or not down or min(up) >= max(down)


def test_of_equal_remainders_the_first_rows_get_the_cent() -> None:
    assert list(apportion([CENT // 2] * 4)) == [1, 1, 0, 0]
    assert list(apportion([CENT // 3] * 3)) == [1, 0, 0]
    assert list(apportion([])) == []
    assert list(apportion([0, 0])) == [0, 0]
    assert list(apportion([1])) == [0]


class Books:
    """A database with sums by day."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = Database(folder / "ledger.sqlite")
        open_schema(self.database)

    def add(self, *rows: dict[str, Any]) -> None:
        fields = {column.name: 0 for column in usage_by_day.columns}
        names: dict[str, Any] = {
            "day": "2026-11-05", "tenant": "acme", "key": "k", "model": "m", "target": "p/m",
            "service": "standard", "requests": 1, "attempts": 1, "measured": 1,
        }  # fmt: skip
        with self.database.write() as connection:
            connection.execute(usage_by_day.insert(), [fields | names | row for row in rows])

    def rows(self, wanted: Wanted = NOVEMBER, **more: Any) -> list[ExportRow]:
        with export_rows(self.database, wanted, **more) as found:
            return list(found)


@pytest.fixture
def books(tmp_path: Path) -> Books:
    return Books(tmp_path)


def table(books: Books, wanted: Wanted = NOVEMBER) -> list[dict[str, str]]:
    with export_rows(books.database, wanted) as rows:
        text = b"".join(as_csv(rows, wanted)).decode()
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text)))


def test_each_tenants_rows_add_up_to_its_own_sum(books: Books) -> None:
    third = CENT // 3 + 1
    books.add(
        *({"tenant": t, "day": f"2026-11-{d:02}", "cost_nanousd": third}
          for t in ("acme", "globex") for d in range(1, 10))
    )  # fmt: skip
    rows = books.rows()
    for tenant in ("acme", "globex"):
        of_one = [row for row in rows if row.tenant == tenant]
        assert sum(row.cost_nanousd or 0 for row in of_one) == 9 * third
        assert sum(row.amount_cents or 0 for row in of_one) == 3
    assert [row.day for row in rows[:9]] == [f"2026-11-{d:02}" for d in range(1, 10)]


def test_what_is_estimated_unpriced_or_unknown_is_said_beside_the_amount(books: Books) -> None:
    books.add(
        {"model": "a", "measured": 0, "estimated": 2, "attempts": 2, "cost_nanousd": CENT},
        {"model": "b", "measured": 3, "unpriced": 3, "attempts": 3},
        {"model": "c", "measured": 2, "unpriced": 1, "absent": 1, "cost_nanousd": 5 * CENT},
        {"model": "d", "measured": 1},
    )
    a, b, c, d = books.rows(NOVEMBER._replace(by=("model",)))
    assert (a.amount_cents, a.remarks) == (1, "2 attempts estimated by the plane")
    assert (b.cost_nanousd, b.amount_cents) == (None, None)
    assert b.remarks == "3 attempts without a known price, not in the amount"
    assert c.amount_cents == 5
    assert "1 attempts of unknown usage" in c.remarks
    assert (d.cost_nanousd, d.amount_cents, d.remarks) == (0, 0, ""), "free is not unknown"
    shown = table(books, NOVEMBER._replace(by=("model",)))
    assert [row["amount"] for row in shown] == ["0.01", "", "0.05", "0.00"]


def test_projects_and_labels_are_those_of_the_keys(books: Books) -> None:
    accounts = Accounts(books.database, books.folder, {"acme": TenantSpec()})
    wanted = KeyRecord(id="", tenant="acme", digest=b"", project="web", label="night")
    key = accounts.create_key("acme", wanted).record.id
    books.add({"key": key, "cost_nanousd": CENT}, {"key": "gone", "cost_nanousd": 2 * CENT})
    rows = books.rows(NOVEMBER._replace(by=("project", "label")))
    found = [(row.project, row.label, row.amount_cents, row.key) for row in rows]
    assert found == [("", "", 2, None), ("web", "night", 1, None)]


def test_only_the_days_and_the_tenant_that_are_wanted(books: Books) -> None:
    books.add(*({"day": day} for day in ("2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01")))
    books.add({"tenant": "globex"})
    assert [row.day for row in books.rows(NOVEMBER._replace(tenant="acme"))] == [
        "2026-11-01",
        "2026-11-30",
    ]
    assert len({row.tenant for row in books.rows()}) == 2


def test_where_a_price_was_read_is_asked_for_the_days_of_the_row(books: Books) -> None:
    asked = []

    def sources(*place: str) -> list[str]:
        asked.append(place)
        return [f"list of {place[0]}"]

    books.add(
        {"day": "2026-11-02", "target": "p/m, n"},
        {"day": "2026-11-09", "target": "q/m"},
        {"day": "2026-11-09", "target": "q/m", "service": "batch"},
    )
    (row,) = books.rows(NOVEMBER._replace(by=()), sources=sources)
    assert row.price_source == "list of p/m, n; list of q/m"
    assert asked == [("p/m, n", "2026-11-02", "2026-11-09"), ("q/m", "2026-11-02", "2026-11-09")]


def test_every_dimension_can_be_asked_for_and_no_other_word() -> None:
    assert read_dimensions(["day", "model", "day"]) == ("day", "model")
    assert read_dimensions(DIMENSIONS) == tuple(DIMENSIONS)
    for word in ("", "cost; DROP TABLE keys", "Tenant"):
        with pytest.raises(BadRequest):
            read_dimensions([word])


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x", "\tx", '=HYPERLINK("x")', 'a","b', "ü"])
def test_no_cell_is_a_formula_and_every_name_comes_back(books: Books, name: str) -> None:
    books.add({"model": name})
    (row,) = table(books)
    assert row["model"].removeprefix("'") == name
    assert row["model"][0] not in "=+-@\t\r"


def test_json_has_the_same_rows_and_the_sum_of_each_tenant(books: Books) -> None:
    books.add(*({"day": f"2026-11-{d:02}", "cost_nanousd": CENT // 3} for d in range(1, 4)))
    with export_rows(books.database, NOVEMBER) as rows:
        found = json.loads(b"".join(as_json(rows, NOVEMBER)))
    assert found["currency"] == "USD"
    assert [row["amount"] for row in found["rows"]] == ["0.01", "0.00", "0.00"]
    assert found["totals"] == [{"tenant": "acme", "cost_nanousd": 9_999_999, "amount": "0.01"}]
    assert [row["amount"] for row in table(books)] == ["0.01", "0.00", "0.00"]
    assert json.loads(b"".join(as_json([], NOVEMBER)))["rows"] == []


def test_parquet_holds_decimals_and_whole_numbers(books: Books) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    books.add({"cost_nanousd": 123 * CENT}, {"model": "x", "unpriced": 1})
    with export_rows(books.database, NOVEMBER) as rows:
        out = io.BytesIO()
        as_parquet(rows, NOVEMBER, out)
    found = parquet.read_table(io.BytesIO(out.getvalue())).to_pylist()
    assert [row["amount"] for row in found] == [Decimal("1.23"), None]
    assert [row["cost_nanousd"] for row in found] == [123 * CENT, None]
    assert found[0]["currency"] == "USD"


def test_without_its_package_parquet_says_how_to_get_it(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str, extra: str) -> Any:
        raise Unsupported("missing", next_step=f"pip install 'towplane[{extra}]'")

    monkeypatch.setattr(write, "load_extra", missing)
    path = books.folder / "out.parquet"
    with pytest.raises(Unsupported, match="missing"):
        write_file([], NOVEMBER, "parquet", path)
    assert [one.name for one in books.folder.iterdir() if "out" in one.name] == []


def test_a_file_is_whole_or_not_there(books: Books) -> None:
    path = books.folder / "out.csv"

    def broken() -> Any:
        yield from books.rows()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_file(broken(), NOVEMBER, "csv", path)
    assert not path.exists()
    write_file(books.rows(), NOVEMBER, "csv", path)
    assert path.read_bytes().startswith(b"since,until,tenant,project,key,model,day,requests,")


def test_memory_does_not_grow_with_the_ledger(books: Books) -> None:
    """Eight bytes a row: the file is larger than what its making holds."""
    books.add(
        *({"key": f"k{n}", "day": f"2026-11-{n % 28 + 1:02}", "cost_nanousd": n * 7919}
          for n in range(10_000))
    )  # fmt: skip
    tracemalloc.start()
    try:
        with export_rows(books.database, NOVEMBER) as rows:
            size = sum(len(part) for part in as_csv(rows, NOVEMBER))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 900_000
    assert peak < 900_000
