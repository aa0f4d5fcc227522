"""Slow start: who comes back has less in flight than the others, whatever the policy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.chooser import Chooser
from towplane.routing.demand import NOTHING
from towplane.routing.policies import POLICIES
from towplane.routing.roster import Roster
from towplane.routing.slow_start import SlowStart, share_at
from towplane.routing.spec import RouteSpec
from towplane.testing.rosters import make_roster

RAMP = SlowStart(30.0)


def looked_at(*targets: tuple[int, int]) -> Roster:
    """Targets of which nobody is suspected any more, as the chooser leaves them."""
    roster = make_roster(*targets)
    assert not roster.barred(0.0)
    return roster


def test_the_share_grows_from_a_tenth_to_all() -> None:
    assert [round(share_at(age, 30.0), 2) for age in (-1, 0, 10, 30, 99)] == [0.1, 0.1, 0.4, 1, 1]


def test_a_newcomer_has_its_share_of_the_others_load_and_at_least_one() -> None:
    roster = looked_at((1, 20), (1, 20), (1, 0))
    roster.loads[2].returned(100.0)
    assert RAMP.bars(roster, NOTHING, 100.0) == []
    roster.loads[2].began()
    assert RAMP.bars(roster, NOTHING, 100.0) == []
    roster.loads[2].began()
    assert RAMP.bars(roster, NOTHING, 100.0) == [2]
    assert RAMP.bars(roster, NOTHING, 110.0) == []


def test_weights_count() -> None:
    roster = looked_at((1, 20), (1, 20), (2, 4))
    roster.loads[2].returned(100.0)
    assert RAMP.bars(roster, NOTHING, 100.0) == [2]
    assert RAMP.bars(roster, NOTHING, 102.0) == []


def test_after_the_ramp_it_is_like_the_others() -> None:
    roster = looked_at((1, 20), (1, 90))
    roster.loads[1].returned(100.0)
    assert not RAMP.bars(roster, NOTHING, 130.0)
    assert not roster.newcomers


def test_when_all_have_just_come_nobody_is_held_back() -> None:
    roster = looked_at((1, 20), (1, 90))
    for load in roster.loads:
        load.returned(100.0)
    assert RAMP.bars(roster, NOTHING, 100.0) == ()


def test_a_new_roster_knows_who_came_lately() -> None:
    roster = looked_at((1, 20), (1, 90))
    roster.loads[1].returned(100.0)
    again = type(roster)(roster.seats, lambda _place, _now: True)
    assert again.newcomers == {1: 100.0}


@pytest.mark.parametrize("choose", [name for name in POLICIES if name != "weighted"])
def test_it_holds_for_every_policy(choose: str) -> None:
    spec = RouteSpec(targets=[], choose=choose, slow_start_s=30.0)
    roster = looked_at(*[(1, 0)] * 4)
    chooser = Chooser(spec, [roster])
    roster.loads[3].returned(0.5)
    for number in range(120):
        pick = chooser.pick(NOTHING, (), 1.0)
        assert pick is not None
        roster.loads[pick.place].began()
        others = sum(roster.in_flight[:3]) / 3
        most = max(1.0, share_at(0.5, 30.0) * others)
        assert roster.in_flight[3] <= most, number


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=2, max_size=8), st.floats(0, 60))
def test_whoever_is_no_newcomer_is_never_barred(loads: list[int], age: float) -> None:
    roster = looked_at(*((1, load) for load in loads))
    roster.loads[0].returned(100.0)
    assert set(RAMP.bars(roster, NOTHING, 100.0 + age)) <= {0}
