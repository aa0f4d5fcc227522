"""Retries are a share of recent requests, plus a floor."""

from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.retry_budget import RetryBudget
from towplane.routing.spec import Retries

STEPS = st.lists(
    st.tuples(st.floats(0, 4), st.sampled_from(["request", "retry", "retry", "requests"])),
    min_size=1,
    max_size=120,
)


@settings(max_examples=60, deadline=None)
@given(
    STEPS,
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0, 3.0]),
    st.sampled_from([1.0, 10.0]),
)
def test_in_no_window_there_are_more_retries_than_their_share(
    steps: list[tuple[float, str]], share: float, floor: float, window_s: float
) -> None:
    """A window is ten slots, the one that runs included: time is no finer than that."""
    budget = RetryBudget(Retries(share=share, floor=floor, window_s=window_s))
    slot_s = window_s / 10
    requests: list[int] = []
    retries: list[int] = []
    now = 1000.0
    for wait_s, what in steps:
        now += wait_s
        slot = int(now / slot_s)
        if what == "retry":
            left = budget.left(now)
            taken = budget.take(now)
            assert taken == (left >= 1)
            if taken:
                retries.append(slot)
        else:
            for _ in range(10 if what == "requests" else 1):
                budget.request(now)
                requests.append(slot)
    for last in set(retries):
        inside = range(last - 9, last + 1)
        allowed = share * sum(slot in inside for slot in requests) + floor * window_s
        assert sum(slot in inside for slot in retries) <= allowed + 1e-9


def test_what_is_past_its_window_is_forgotten() -> None:
    budget = RetryBudget(Retries(share=0.5, floor=0.0, window_s=10.0))
    for _ in range(4):
        budget.request(1000.0)
    assert [budget.take(1000.0 + i) for i in range(3)] == [True, True, False]
    assert budget.left(1009.9) == 0.0
    assert budget.left(1010.0) == -1.0, "a retry is younger than its request"
    assert budget.left(1011.0) == 0.0
    assert not budget.take(1011.0)


def test_a_floor_allows_retries_without_traffic() -> None:
    budget = RetryBudget(Retries(share=0.0, floor=0.2, window_s=10.0))
    assert [budget.take(1000.0) for _ in range(3)] == [True, True, False]
    assert budget.take(1010.0)
