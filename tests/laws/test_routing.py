"""Laws of routing's pure parts: breaker, retry budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.breaker import Breaker, Standing
from towplane.routing.retry_budget import RetryBudget
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.routing.spec import Retries

SPEC = BreakerSpec(failures=3, share=0.5, volume=10, window_s=10.0, open_s=5.0, longest_s=12.0)

# ---- the breaker


def _opened(at: float) -> Breaker:
    breaker = Breaker(SPEC)
    for _ in range(SPEC.failures):
        assert breaker.admits(at)
        breaker.failed(at)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_does_not() -> None:
    breaker = Breaker(BreakerSpec(failures=3, volume=1000))
    for _ in range(4):
        breaker.failed(0.0)
        breaker.failed(0.0)
        breaker.succeeded(0.0)
        breaker.succeeded(0.0)
    assert breaker.state == "closed"
    assert _opened(0.0).state == "open"


def test_a_share_of_failures_opens_it_once_there_are_enough() -> None:
    breaker = Breaker(BreakerSpec(failures=100, share=0.5, volume=10))
    for _ in range(4):
        breaker.failed(0.0)
        breaker.succeeded(0.0)
    assert breaker.standing(0.0).state == "closed"
    breaker.succeeded(0.0)
    breaker.failed(0.0)
    assert breaker.standing(0.0).state == "open"


def test_failures_of_long_ago_do_not_count() -> None:
    breaker = Breaker(BreakerSpec(failures=100, share=0.5, volume=4, window_s=10.0))
    for at in (0.0, 20.0, 40.0, 60.0, 80.0):
        breaker.failed(at)
    assert breaker.state == "closed"


def test_half_open_it_lets_one_attempt_through() -> None:
    breaker = _opened(0.0)
    assert not breaker.admits(4.9)
    assert breaker.admits(5.0)
    breaker.started()
    assert not breaker.admits(5.1)
    breaker.succeeded(6.0)
    assert breaker.admits(6.0)
    assert breaker.state == "closed"


def test_each_failed_probe_doubles_the_pause_up_to_the_longest() -> None:
    breaker, now, pauses = _opened(0.0), 0.0, []
    for _ in range(4):
        pauses.append(breaker.retry_after_s(now))
        now += pauses[-1]
        assert breaker.admits(now)
        breaker.started()
        breaker.failed(now)
    assert pauses == [5.0, 10.0, 12.0, 12.0]
    assert breaker.trips == 5


def test_a_probe_without_a_verdict_leaves_room_for_another() -> None:
    breaker = _opened(0.0)
    assert breaker.admits(5.0)
    breaker.started()
    breaker.abandoned()
    assert breaker.admits(5.0)


@given(st.lists(st.sampled_from(["ask", "start", "well", "ill", "gone", "wait"]), max_size=40))
def test_who_only_looks_sees_what_would_be_admitted(steps: list[str]) -> None:
    breaker, now = Breaker(SPEC), 0.0
    for step in steps:
        match step:
            case "ask":
                breaker.admits(now)
            case "start":
                if breaker.admits(now):
                    breaker.started()
            case "well":
                breaker.succeeded(now)
            case "ill":
                breaker.failed(now)
            case "gone":
                breaker.abandoned()
            case "wait":
                now += 2.0
        before = breaker.state
        looked = breaker.standing(now)
        assert breaker.state == before
        assert looked.admits == breaker.admits(now)


def test_other_settings_reach_a_breaker_that_stays() -> None:
    breaker = Breaker(SPEC)
    breaker.failed(0.0)
    breaker.retune(BreakerSpec(failures=2, open_s=1.0))
    breaker.failed(0.0)
    assert breaker.standing(0.25) == Standing("open", 0.75, is_probing=False)


# ---- the retry budget


def test_retries_are_a_share_of_requests_and_a_floor() -> None:
    budget = RetryBudget(Retries(share=0.2, floor=1.0, window_s=10.0))
    for _ in range(50):
        budget.request(100.0)
    assert sum(budget.take(100.0) for _ in range(100)) == 20  # 0.2 × 50 + 1 × 10


@pytest.mark.parametrize("later_s", [10.0, 11.0, 1000.0])
def test_after_a_window_all_begins_anew(later_s: float) -> None:
    budget = RetryBudget(Retries(share=0.5, floor=0.0, window_s=10.0))
    for _ in range(10):
        budget.request(100.0)
    assert sum(budget.take(100.0) for _ in range(100)) == 5
    assert budget.left(100.0 + later_s) == 0
    budget.request(100.0 + later_s)
    budget.request(100.0 + later_s)
    assert budget.take(100.0 + later_s)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_it_never_allows_more_than_its_share(steps: list[tuple[bool, float]]) -> None:
    """Over any stretch shorter than the window."""
    budget, now, requests, retries = RetryBudget(Retries(share=0.25, floor=0.5)), 1000.0, 0, 0
    for is_request, pause_s in steps:
        now += pause_s / 100
        if is_request:
            budget.request(now)
            requests += 1
        else:
            retries += budget.take(now)
        assert retries <= 0.25 * requests + 0.5 * 10.0
