"""Units of limits: pools at the coordinator, shares in the workers."""

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.tenants.leases import RATE_SHARE_S, RATE_WINDOW_S, Measure, Pool, Share

BACK_S = RATE_WINDOW_S + RATE_SHARE_S


@dataclass(frozen=True)
class Case:
    name: str
    given: tuple[Measure, int, int, float, int]
    """Measure, limit, already out, end of the window by the wall clock, units wanted."""
    want: float | None


@pytest.mark.parametrize(
    "case",
    [
        Case("never, if it is more than the limit", ("rpm", 10, 0, math.inf, 11), None),
        Case("when the oldest grants come back", ("rpm", 10, 10, math.inf, 3), BACK_S - 5),
        Case("at the end of the day", ("daily", 10, 10, 500.0, 1), 400.0),
        Case("never, of a budget for good", ("total", 10, 10, math.inf, 1), None),
        Case("in a moment, of requests at the same time", ("concurrency", 10, 10, 0.0, 1), 1.0),
    ],
    ids=lambda case: case.name,
)
def test_a_refusal_says_when_to_come_back(case: Case) -> None:
    measure, limit, out, ends_at, need = case.given
    pool = Pool(measure, limit, ends_at=ends_at)
    if out:
        assert pool.grant(1, out, now=0.0, workers=1) == out
    assert pool.retry_after_s(need, now=5.0, wall=100.0) == case.want


def test_a_lone_worker_gets_all_and_many_leave_something_for_the_others() -> None:
    assert Pool("total", 1000).grant(1, 10, 0.0, workers=1) == 1000
    pool = Pool("total", 1000)
    assert [pool.grant(worker, 10, 0.0, workers=4) for worker in (1, 2, 3, 4)] == [125, 109, 95, 83]
    assert pool.free(0.0) == 1000 - 125 - 109 - 95 - 83


def test_too_few_units_are_not_given_in_part() -> None:
    pool = Pool("concurrency", 3)
    assert pool.grant(1, 4, 0.0, workers=1) == 0
    assert (pool.out, pool.held) == (0, {})


def test_units_of_a_rate_come_back_a_minute_after_they_were_granted() -> None:
    pool = Pool("rpm", 10)
    assert pool.grant(1, 4, 0.0, workers=2) == 4
    assert pool.grant(2, 6, 30.0, workers=2) == 6
    assert [pool.free(at) for at in (60.9, 61.0, 90.9, 91.0)] == [0, 4, 4, 10]
    assert pool.held == {}


def test_unused_units_of_a_rate_are_taken_off_what_the_worker_itself_got_last() -> None:
    pool = Pool("tpm", 100)
    pool.grant(1, 40, 0.0, workers=9)
    pool.grant(1, 20, 10.0, workers=9)
    pool.grant(2, 40, 20.0, workers=9)
    pool.give_back(1, 30, 20.5)
    assert [pool.free(at) for at in (20.5, 61.0, 71.0, 81.0)] == [30, 60, 60, 100]


def test_a_long_request_does_not_lend_its_minute_again() -> None:
    """Reserved at 0, most of it unused, over at 50: it comes off the grant of its own time."""
    pool = Pool("tpm", 200)
    assert pool.grant(1, 100, 0.0, workers=9) == 100
    assert pool.grant(1, 100, 49.0, workers=9) == 100
    pool.give_back(1, 90, 50.0, age_s=50.0)
    assert [pool.free(at) for at in (50.0, 61.0, 109.9, 110.0)] == [90, 100, 100, 200]


def test_what_returns_after_its_minute_is_not_there_twice() -> None:
    pool = Pool("tpm", 100)
    pool.grant(1, 100, 0.0, workers=1)
    assert pool.free(61.0) == 100
    pool.give_back(1, 90, 200.0, age_s=200.0)
    assert pool.free(200.0) == 100


def test_a_debt_is_out_for_a_minute_or_as_long_as_its_budget() -> None:
    rate, budget = Pool("tpm", 100), Pool("daily", 100)
    for pool in (rate, budget):
        pool.grant(1, 100, 0.0, workers=1)
        pool.give_back(1, -500, 10.0)
        assert pool.free(10.0) == -500
    assert (rate.free(61.0), rate.free(71.0)) == (-400, 100)
    assert budget.free(10**6) == -500


def test_a_dead_worker_leaves_what_it_spent() -> None:
    pool = Pool("monthly", 1000, spent=100)
    pool.grant(1, 300, 0.0, workers=9)
    pool.grant(2, 300, 0.0, workers=9)
    pool.worker_died(1, spent=120)
    assert (pool.free(0.0), pool.held) == (1000 - 100 - 300 - 120, {2: 300})


def test_a_dead_workers_rate_comes_back_with_its_minute() -> None:
    pool = Pool("rpm", 10)
    pool.grant(1, 10, 0.0, workers=1)
    pool.worker_died(1, spent=0)
    assert (pool.free(60.0), pool.free(61.0)) == (0, 10)


def test_a_share_never_lends_a_rate_that_was_reserved_and_not_used() -> None:
    share = Share("tenant/acme/tpm/", "tpm")
    share.settle(30, taken_at=10.2)
    share.settle(20, taken_at=10.9)
    share.settle(5, taken_at=11.5)
    assert share.free == 0
    assert share.past(20.0) == [(50, 9.0), (5, 8.0)]
    assert share.past(20.0) == []


def test_a_share_keeps_what_was_used_above_the_reservation_as_a_debt() -> None:
    share = Share("tenant/acme/tpm/", "tpm")
    share.settle(-30, taken_at=0.0)
    assert (share.free, share.debt(), share.free, share.debt()) == (-30, -30, 0, 0)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[float, int, int]]:
    """Moments, workers, needs; ascending."""
    at, found = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        at += draw(st.sampled_from([0.0, 0.125, 1.0, 7.0, 31.0, 61.0]))
        found.append((at, draw(st.integers(1, 3)), draw(st.integers(1, 60))))
    return found


@settings(max_examples=100, deadline=None)
@given(histories(), st.data())
def test_in_no_minute_more_is_used_of_a_rate_than_its_limit(
    history: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    """Whatever is returned, and however late: what was used stays counted for a minute."""
    limit = 100
    pool = Pool("tpm", limit)
    used: list[tuple[float, int]] = []
    late: list[tuple[float, int, int]] = []
    for now, worker, need in history:
        for taken_at, who, unused in late:
            pool.give_back(who, unused, now, age_s=now - taken_at)
        late.clear()
        granted = pool.grant(worker, need, now, workers=3)
        if not granted:
            assert pool.free(now) < need
            continue
        uses = data.draw(st.integers(0, need))
        used.append((now, uses))
        if granted > need:
            pool.give_back(worker, granted - need, now)
        if uses < need:
            late.append((now, worker, need - uses))
        for start, _ in used:
            in_minute = sum(units for at, units in used if start <= at < start + RATE_WINDOW_S)
            assert in_minute <= limit
    assert pool.free(history[-1][0] + BACK_S) == limit
    assert pool.held == {}
