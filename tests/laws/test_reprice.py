"""Repricing: append-only, idempotent, and silent where nothing has changed."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.parts.storage import Database
from towplane.parts.usage import Detail, Usage
from towplane.tenants import audit
from towplane.tenants.journal import JournalWriter
from towplane.tenants.ledger import Ledger
from towplane.tenants.ledger.reprice import Repriced, RepricingWanted
from towplane.tenants.prices import Sheet, Step, cost_of, make_rates
from towplane.tenants.pricing.entries import PriceEntry, entry_at, merge
from towplane.tenants.windows import Account
from towplane.testing.events import NOON, opened, settled

DAY = 86_400
TODAY = "2026-11-23"
WEEK = RepricingWanted("2026-11-17", TODAY, actor="cli:ada", book="genai-prices 0.2.3")
NOW = NOON + 1000


def sheet(per_input: int, per_output: int, **more: Any) -> Sheet:
    rates = make_rates(per_input, per_output, **more)
    twice = make_rates(2 * per_input, 2 * per_output)
    batch = make_rates(per_input // 2, per_output // 2)
    classes: dict[Any, Any] = {
        "standard": (Step(-1, rates), Step(1000, twice)),
        "batch": (Step(-1, batch),),
    }
    return Sheet(classes, 10)


OLD = (
    PriceEntry(0.0, sheet(1_000_000, 4_000_000, cached_input=100_000), "book"),
    PriceEntry(NOON - 43_200, sheet(2_000_000, 8_000_000, cache_write=3_000_000), "book"),
)
CORRECTED = merge([PriceEntry(NOON - 43_200, sheet(500_000, 1_000_000), "document")], OLD)


def old(target: str, model: str) -> tuple[PriceEntry, ...]:
    return OLD


def corrected(target: str, model: str) -> tuple[PriceEntry, ...]:
    return CORRECTED


class Books:
    """A data_dir with a ledger, and attempts as they come."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "ledger.sqlite")
        self.ledger = Ledger(self.database, folder / "journal")
        self.writer = JournalWriter(folder / "journal" / "life-1")
        self.count = 0

    def attempt(self, usage: Usage, *, at: float = NOON, prices: Any = OLD, **more: Any) -> None:
        """An attempt as the account station settles it, by the prices of its moment."""
        self.count += 1
        attempt = f"r{self.count:03d}.1"
        entry = entry_at(prices, at)
        cost = cost_of(entry.sheet, usage) if entry is not None and entry.sheet else None
        self.writer.append(opened(attempt, at=at, **more))
        end = {"input": usage.input, "cached_input": usage.cached, "output": usage.output}
        self.writer.append(settled(attempt, cost_nanousd=cost, detail=usage.detail, **end))

    def reprice(self, prices: Any, *, apply: bool, wanted: RepricingWanted = WEEK) -> Repriced:
        self.ledger.fold()
        return self.ledger.reprice(prices, wanted, now=NOW, apply=apply)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def everything(self) -> list[list[tuple[Any, ...]]]:
        tables = ("attempts", "usage_by_day", "price_adjustments", "repricings", "audit")
        return [self.rows(f"SELECT * FROM {table}") for table in tables]

    def assert_sums(self) -> None:
        """Σ costs in force = Σ usage_by_day."""
        costs = "coalesce(sum(cost_nanousd), 0), "
        assert self.rows(
            f"SELECT model, {costs} sum(cost_nanousd IS NULL AND usage <> 'absent') "
            "FROM attempts GROUP BY 1"
        ) == self.rows(f"SELECT model, {costs} sum(unpriced) FROM usage_by_day GROUP BY 1")

    def close(self) -> None:
        self.writer.close()
        self.database.close()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.close()


tokens = st.integers(0, 3000)
usages = st.builds(
    Usage,
    tokens,
    tokens,
    tokens,
    st.none()
    | st.builds(
        Detail,
        cache_write=tokens,
        reasoning=tokens,
        searches=st.integers(0, 2),
        service=st.sampled_from(["standard", "batch", "priority", "provisioned"]),
    ),
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(usages, st.integers(0, 6)), max_size=12))
def test_the_prices_of_then_give_the_costs_of_then(had: list[tuple[Usage, int]]) -> None:
    with TemporaryDirectory() as folder:
        books = Books(Path(folder))
        for usage, days in had:
            books.attempt(usage, at=NOON - days * DAY)
        books.ledger.fold()
        before = books.everything()
        result = books.reprice(old, apply=True)
        assert (result.changed, result.difference_nanousd, result.number) == (0, 0, None)
        assert result.attempts == len(had)
        assert books.everything() == before
        books.close()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(usages, st.integers(0, 6)), max_size=12))
def test_repricing_twice_is_repricing_once(had: list[tuple[Usage, int]]) -> None:
    with TemporaryDirectory() as folder:
        books = Books(Path(folder))
        for usage, days in had:
            books.attempt(usage, at=NOON - days * DAY)
        foreseen = books.reprice(corrected, apply=False)
        done = books.reprice(corrected, apply=True)
        assert done.days == foreseen.days
        after = books.everything()
        assert books.reprice(corrected, apply=True).changed == 0
        assert books.everything() == after
        books.assert_sums()
        for day in done.days:
            assert day.after_nanousd - day.before_nanousd == day.difference_nanousd
        books.close()


def test_a_dry_run_writes_nothing(books: Books) -> None:
    books.attempt(Usage(100, 10))
    books.ledger.fold()
    before = books.everything()
    result = books.reprice(corrected, apply=False)
    assert (result.changed, result.number) == (1, None)
    assert books.everything() == before


def test_a_settled_row_stays_and_its_cost_in_force_is_the_new_one(books: Books) -> None:
    books.attempt(Usage(100, 10))
    books.reprice(corrected, apply=True)
    assert books.rows("SELECT cost_nanousd FROM attempt_numbers") == [(280,)]
    assert books.rows("SELECT cost_nanousd, settled_nanousd FROM attempts") == [(60, 280)]
    assert books.rows("SELECT cost_nanousd, before_nanousd FROM price_adjustments") == [(60, 280)]
    books.reprice(old, apply=True)
    assert books.rows("SELECT cost_nanousd, settled_nanousd FROM attempts") == [(280, 280)]
    assert [row[0] for row in books.rows("SELECT cost_nanousd FROM price_adjustments")] == [60, 280]


def test_budgets_and_reports_include_the_adjustments(books: Books) -> None:
    books.attempt(Usage(100, 10))
    result = books.reprice(corrected, apply=True)
    acme = Account("tenant", "acme")
    spent = [books.ledger.spent(acme, window) for window in (TODAY, "2026-11", "total")]
    assert spent == [60, 60, 60]
    (row,) = books.ledger.usage("tenant")
    assert row.cost_nanousd == 60
    assert result.difference_nanousd == -220


def test_what_had_no_price_gets_one_and_is_not_unpriced_any_more(books: Books) -> None:
    books.attempt(Usage(100, 10), prices=())
    (row,) = (books.ledger.fold(), books.ledger.usage("tenant"))[1]
    assert (row.cost_nanousd, row.unpriced) == (None, 1)
    result = books.reprice(old, apply=True)
    assert (result.days[0].newly_priced, result.days[0].before_nanousd) == (1, 0)
    (row,) = books.ledger.usage("tenant")
    assert (row.cost_nanousd, row.unpriced) == (280, 0)
    books.assert_sums()


def test_a_known_cost_is_never_replaced_by_an_unknown_one(books: Books) -> None:
    books.attempt(Usage(100, 10))
    result = books.reprice(lambda target, model: (), apply=True)
    assert (result.changed, result.days[0].unknown, result.days[0].after_nanousd) == (0, 1, 280)
    assert books.rows("SELECT cost_nanousd FROM attempts") == [(280,)]


def test_only_the_days_and_the_model_that_were_asked_for_are_priced_again(books: Books) -> None:
    for model, days in (("small", 0), ("large", 0), ("small", 1), ("small", 9)):
        books.attempt(Usage(100, 10), at=NOON - days * DAY, model=model)
    today = RepricingWanted(TODAY, TODAY, model="small")
    result = books.reprice(corrected, apply=True, wanted=today)
    assert [(day.day, day.model, day.changed) for day in result.days] == [(TODAY, "small", 1)]
    assert books.rows("SELECT count(*) FROM price_adjustments") == [(1,)]


def test_the_ledger_says_who_repriced_what(books: Books) -> None:
    books.attempt(Usage(100, 10))
    result = books.reprice(corrected, apply=True)
    said = "actor, since, until, model, book, attempts, difference_nanousd"
    row = ("cli:ada", "2026-11-17", TODAY, None, "genai-prices 0.2.3", 1, -220)
    assert books.rows(f"SELECT {said} FROM repricings") == [row]
    with books.database.read() as connection:
        (entry,) = audit.entries(connection, 10)
    assert (entry.actor, entry.action, entry.subject) == (
        "cli:ada",
        "usage-repriced",
        "repricing/1",
    )
    assert entry.after is not None
    assert entry.after["difference_nanousd"] == -220
    assert result.number == 1


def test_attempts_that_the_ledger_does_not_keep_are_counted_and_left(books: Books) -> None:
    for _ in range(3):
        books.attempt(Usage(100, 10))
    books.ledger.fold()
    books.ledger.prune(NOON + 1, most=2)
    result = books.reprice(corrected, apply=True)
    assert (result.attempts, result.changed, result.pruned) == (1, 1, 2)
    (row,) = books.ledger.usage("tenant")
    assert row.cost_nanousd == 2 * 280 + 60


def test_an_attempt_without_usage_is_not_priced(books: Books) -> None:
    books.writer.append(opened("x.1"))
    nothing = dict.fromkeys(("input", "cached_input", "output", "cost_nanousd"))
    books.writer.append(settled("x.1", usage="absent", **nothing))
    result = books.reprice(old, apply=True)
    assert (result.attempts, result.changed, result.pruned) == (0, 0, 0)


def test_many_attempts_are_priced_page_by_page(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towplane.tenants.ledger.reprice._PAGE", 2)
    for number in range(5):
        books.attempt(Usage(100 + number, 10))
    result = books.reprice(corrected, apply=True)
    assert (result.changed, result.number) == (5, 1)
    changed = books.rows("SELECT attempts, difference_nanousd FROM repricings")
    assert changed == [(5, result.difference_nanousd)]
    books.assert_sums()
