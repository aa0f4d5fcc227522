"""Capacity paid for by the hour: what is shared out and what is idle add up to what is paid."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.storage import Database
from towplane.parts.usage import Detail
from towplane.tenants.journal import JournalWriter
from towplane.tenants.ledger import Ledger
from towplane.tenants.pricing.provisioned import (
    Capacity,
    CapacityUse,
    days_between,
    share_exactly,
    share_out,
)
from towplane.testing.events import NOON, opened, settled

USD = 10**9
TODAY = "2026-11-23"
DAYS = ["2026-11-22", TODAY]
PTU = Capacity("azure-eu", ("gpt-4.1",), 10 * USD, "2026-01-01")
PRICES = {"gpt-4.1": (2 * USD, 8 * USD)}
"""On demand, 2 and 8 dollars per million tokens: an output token weighs as 4 of the input."""


def use(
    tenant: str, input: int, output: int = 0, *, hour: int | None = 12, cached: int = 0
) -> CapacityUse:
    return CapacityUse(TODAY, hour, tenant, "chat", "gpt-4.1", input, cached, output)


def bill(capacity: Capacity, uses: list[CapacityUse]) -> dict[str, int]:
    """The cost of each tenant on one day, and what was idle."""
    (day,), shares = share_out(capacity, uses, [TODAY], PRICES)
    found = {share.tenant: share.cost_nanousd for share in shares}
    assert sum(found.values()) == day.used_nanousd
    assert day.used_nanousd + day.idle_nanousd == day.cost_nanousd
    return {**found, "idle": day.idle_nanousd}


@given(st.integers(0, 10**15), st.lists(st.integers(0, 10**12), max_size=20))
def test_parts_add_up_and_none_is_off_by_a_whole_unit(amount: int, weights: list[int]) -> None:
    parts = share_exactly(amount, weights)
    total = sum(weights)
    assert sum(parts) == (amount if total else 0)
    for part, weight in zip(parts, weights, strict=True):
        assert not total or abs(part * total - amount * weight) < total


some_uses = st.lists(
    st.builds(
        CapacityUse,
        st.sampled_from(DAYS),
        st.integers(0, 23) | st.none(),
        st.sampled_from(["acme", "globex", "initech"]),
        st.sampled_from(["chat", "code"]),
        st.sampled_from(["gpt-4.1", "other"]),
        st.integers(0, 10**7),
        st.integers(0, 10**7),
        st.integers(0, 10**7),
    ),
    max_size=20,
)


@given(some_uses, st.integers(0, 10**12), st.none() | st.integers(0, 10**6))
def test_shares_and_idle_add_up_to_what_is_paid(
    uses: list[CapacityUse], hourly: int, tpm: int | None
) -> None:
    capacity = Capacity("ptu", ("gpt-4.1", "other"), hourly, "2026-01-01", tpm=tpm)
    days, shares = share_out(capacity, uses, DAYS, PRICES)
    assert [day.day for day in days] == DAYS
    for day in days:
        of_day = [share for share in shares if share.day == day.day]
        assert day.cost_nanousd == 24 * hourly
        assert sum(share.cost_nanousd for share in of_day) == day.used_nanousd
        assert day.used_nanousd + day.idle_nanousd == day.cost_nanousd
        assert day.idle_nanousd >= 0
        assert all(share.cost_nanousd >= 0 for share in of_day)
    assert sum(share.input_tokens for share in shares) == sum(use.input for use in uses)


def test_an_hour_goes_to_those_who_used_it_and_other_hours_are_idle() -> None:
    assert bill(PTU, [use("acme", 300), use("globex", 100)]) == {
        "acme": 7_500_000_000,
        "globex": 2_500_000_000,
        "idle": 230 * USD,
    }
    assert bill(PTU, [use("acme", 1), use("globex", 1, hour=13)]) == {
        "acme": 10 * USD,
        "globex": 10 * USD,
        "idle": 220 * USD,
    }


def test_output_weighs_as_its_price_and_cached_input_nothing() -> None:
    assert bill(PTU, [use("acme", 0, 100), use("globex", 400)])["acme"] == 5 * USD
    assert bill(PTU, [use("acme", 400, cached=400), use("globex", 1)])["acme"] == 0


def test_without_a_price_output_weighs_four_times() -> None:
    (_,), shares = share_out(PTU, [use("acme", 0, 100), use("globex", 400)], [TODAY], {})
    assert [share.cost_nanousd for share in shares] == [5 * USD, 5 * USD]


def test_where_the_throughput_is_known_unused_throughput_is_idle() -> None:
    """60,000 input tokens are a quarter of what 4,000 tokens a minute are in an hour."""
    capacity = PTU._replace(tpm=4_000)
    assert bill(capacity, [use("acme", 60_000)])["acme"] == 2_500_000_000
    assert bill(capacity, [use("acme", 10**9)])["acme"] == 10 * USD


def test_a_day_of_which_only_the_sums_are_known_is_shared_out_as_one() -> None:
    assert bill(PTU, [use("acme", 300, hour=None), use("globex", 100, hour=None)]) == {
        "acme": 180 * USD,
        "globex": 60 * USD,
        "idle": 0,
    }


def test_nobody_pays_for_days_before_it_began_and_after_it_ended() -> None:
    capacity = PTU._replace(since="2026-11-22", until=TODAY)
    days, shares = share_out(capacity, [use("acme", 1)], ["2026-11-21", *DAYS], PRICES)
    assert [day.day for day in days] == ["2026-11-22"]
    assert shares == []


def test_days_are_counted_with_both_ends() -> None:
    assert days_between("2026-02-28", "2026-03-01") == ["2026-02-28", "2026-03-01"]
    assert days_between("2026-03-01", "2026-02-28") == []


# What the ledger tells.


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    database = Database(tmp_path / "ledger.sqlite")
    found = Ledger(database, tmp_path / "journal")
    writer = JournalWriter(tmp_path / "journal" / "life-1")
    for number, (at, target, service) in enumerate(
        [
            (NOON, "azure/gpt", "provisioned"),
            (NOON + 60, "azure/gpt", "provisioned"),
            (NOON + 3600, "azure/gpt", "standard"),
            (NOON, "azure/other", "provisioned"),
            (NOON - 86_400, "azure/gpt", "provisioned"),
        ]
    ):
        attempt = f"r{number}.1"
        writer.append(opened(attempt, at=at, target=target))
        writer.append(settled(attempt, detail=Detail(service=service)))  # type: ignore[arg-type]
    found.fold()
    yield found
    writer.close()
    database.close()


def test_uses_are_told_by_hour(ledger: Ledger) -> None:
    uses = ledger.capacity_uses(["azure/gpt"], since=TODAY, until=TODAY)
    assert sorted(uses, key=lambda use: use.hour or 0) == [
        CapacityUse(TODAY, 12, "acme", "small", "gpt", 180, 20, 40),
        CapacityUse(TODAY, 13, "acme", "small", "gpt", 90, 10, 20),
    ]


def test_only_what_the_answers_called_provisioned_where_they_tell(ledger: Ledger) -> None:
    uses = ledger.capacity_uses(["azure/gpt"], since=TODAY, until=TODAY, only_marked=True)
    assert [(use.hour, use.input) for use in uses] == [(12, 180)]


def test_uses_of_pruned_days_are_told_by_day(ledger: Ledger) -> None:
    ledger.prune(NOON + 1)
    uses = ledger.capacity_uses(["azure/gpt"], since="2026-11-22", until=TODAY)
    assert sorted((use.day, use.hour, use.input) for use in uses if use.hour is None) == [
        ("2026-11-22", None, 90),
        (TODAY, None, 270),
    ]
    assert len(uses) == 2
