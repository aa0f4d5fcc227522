"""How many attempts a target takes, how long a wait will be, and who is told to come back."""

from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.concurrency import FALLS_TO, AdaptiveLimit
from towplane.routing.shedding import FEWEST, Pace, foretell, shed


@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 100), st.floats(0, 1)), max_size=300),
    st.integers(1, 8),
    st.integers(8, 64),
)
def test_an_adaptive_limit_stays_within_its_bounds(
    samples: list[tuple[float, int, float]], least: int, most: int
) -> None:
    limit = AdaptiveLimit(1.0, least=least, most=most)
    now = 0.0
    for ttft_s, in_flight, step_s in samples:
        now += step_s
        before = limit.limit
        grew = limit.observe(ttft_s, began_at=now - ttft_s, in_flight=in_flight, now=now)
        assert least <= limit.limit <= most
        assert grew == (limit.limit > before)
        if ttft_s > 1.0:
            assert limit.limit <= before


def test_it_grows_by_one_in_a_round_and_falls_once_in_a_round() -> None:
    limit = AdaptiveLimit(1.0, begin=20)
    for _ in range(22):
        limit.observe(0.5, began_at=0.0, in_flight=20, now=1.0)
    assert limit.limit == 21
    for _ in range(22):
        limit.observe(3.0, began_at=2.0, in_flight=20, now=5.0)
    assert limit.limit == int(21.05 * FALLS_TO)


def test_what_is_not_used_does_not_grow() -> None:
    limit = AdaptiveLimit(1.0, begin=20)
    for _ in range(1000):
        limit.observe(0.1, began_at=0.0, in_flight=5, now=1.0)
    assert limit.limit == 20


def test_two_workers_that_share_an_engine_come_to_equal_parts() -> None:
    """Chiu and Jain: one begins with nine times the other; the engine holds 60 within the SLO."""
    mine, other = AdaptiveLimit(1.0, begin=90), AdaptiveLimit(1.0, begin=10)
    for turn in range(400):
        now = float(turn)
        ttft_s = 0.5 if mine.limit + other.limit <= 60 else 2.0
        for limit in (mine, other):
            for _ in range(limit.limit):
                limit.observe(ttft_s, began_at=now, in_flight=limit.limit, now=now + 0.5)
    assert 45 <= mine.limit + other.limit <= 66
    assert abs(mine.limit - other.limit) <= 6


def test_nothing_is_foretold_before_enough_was_seen() -> None:
    pace = Pace()
    for _ in range(FEWEST - 1):
        pace.observe(2.0)
    assert pace.mean_s is None
    assert foretell(100, 4, pace.mean_s) is None
    assert shed(None, left_s=0.0) is None
    pace.observe(2.0)
    assert pace.mean_s == 2.0
    assert foretell(7, 4, pace.mean_s) == 4.0


@given(st.integers(0, 1000), st.integers(1, 100), st.floats(0.01, 60), st.floats(0, 600))
def test_who_comes_back_when_told_is_in_time_if_nobody_else_came(
    ahead: int, slots: int, mean_s: float, left_s: float
) -> None:
    wait_s = foretell(ahead, slots, mean_s)
    assert wait_s is not None
    refusal = shed(wait_s, left_s=left_s)
    if refusal is None:
        assert wait_s <= left_s
    elif refusal.after_s < 60:
        assert wait_s - refusal.after_s <= left_s + 1e-9


def test_an_slo_sheds_only_where_it_is_asked_for() -> None:
    assert shed(3.0, left_s=10.0) is None
    found = shed(3.0, left_s=10.0, slo_s=1.0)
    assert found is not None
    assert (found.reason, found.after_s) == ("slo", 2.0)
