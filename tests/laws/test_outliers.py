"""Outliers: who is much worse than the others is left out, and never more than the ceiling."""

from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.chooser import Chooser
from towplane.routing.demand import NOTHING
from towplane.routing.outliers import Done, LeaveOutliers, Outliers, most_out
from towplane.routing.spec import Outliers as Spec
from towplane.routing.spec import RouteSpec
from towplane.testing.rosters import make_roster

GOOD = Done(20, 0, 20, 4.0)
SPEC = Spec(volume=10, gap=0.2, slower=3, base_s=30.0, longest_s=75.0)


class Group:
    """Targets that do something in each interval."""

    def __init__(self, spec: Spec = SPEC) -> None:
        self.outliers = Outliers(spec)
        self.done: dict[str, Done] = {}
        self.now = 0.0

    def pass_by(self, **did: Done) -> list[str]:
        self.done = {n: self.done.get(n, Done()).plus(each) for n, each in did.items()}
        self.now += 10.0
        return self.outliers.look(self.done, self.now)


def test_a_target_that_fails_more_than_the_others_is_left_out() -> None:
    group = Group()
    bad = Done(20, 8, 12, 2.4)
    assert group.pass_by(a=GOOD, b=GOOD, c=GOOD) == []
    assert group.pass_by(a=bad, b=GOOD, c=GOOD) == ["a"]
    assert group.outliers.out == {"a": 50.0}


def test_a_target_that_is_slower_than_the_others_is_left_out() -> None:
    group = Group()
    group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    assert group.pass_by(a=GOOD._replace(waited_s=11.0), b=GOOD, c=GOOD) == []
    assert group.pass_by(a=GOOD._replace(waited_s=13.0), b=GOOD, c=GOOD) == ["a"]


def test_when_all_fail_nobody_is_an_outlier() -> None:
    group = Group()
    bad = Done(20, 15, 5, 1.0)
    group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    assert group.pass_by(a=bad, b=bad, c=bad) == []


def test_with_little_traffic_or_few_others_nobody_is_judged() -> None:
    bad = Done(20, 20, 0, 0.0)
    group = Group()
    group.pass_by(a=GOOD, b=GOOD)
    assert group.pass_by(a=bad, b=GOOD) == []
    group = Group()
    group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    assert group.pass_by(a=Done(9, 9), b=GOOD, c=GOOD) == []
    assert group.pass_by(a=bad, b=GOOD, c=Done(9)) == []


def test_each_time_in_succession_it_is_left_out_for_longer_up_to_a_bound() -> None:
    group = Group()
    bad = Done(20, 20)
    group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    spans = []
    for _ in range(40):
        if "a" in group.pass_by(a=bad, b=GOOD, c=GOOD):
            spans.append(group.outliers.out["a"] - group.now)
    assert spans[:4] == [30.0, 60.0, 75.0, 75.0]


def test_intervals_that_went_well_are_forgiven_one_by_one() -> None:
    group = Group()
    bad = Done(20, 20)
    group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    group.pass_by(a=bad, b=GOOD, c=GOOD)
    for _ in range(6):
        group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    assert group.pass_by(a=bad, b=GOOD, c=GOOD) == ["a"]
    assert group.outliers.out["a"] - group.now == 30.0


def test_of_many_outliers_the_worst_go_first() -> None:
    group = Group()
    did = dict.fromkeys("abcdefgh", GOOD)
    group.pass_by(**did)
    assert group.pass_by(**did | {"a": Done(20, 10), "b": Done(20, 15)}) == ["b"]


def test_a_target_that_began_anew_is_judged_by_all_it_did() -> None:
    group = Group()
    for _ in range(5):
        group.pass_by(a=GOOD, b=GOOD, c=GOOD)
    group.done["a"] = Done()
    assert group.pass_by(a=Done(20, 12, 8, 1.0), b=GOOD, c=GOOD) == ["a"]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.floats(0, 1)), min_size=8, max_size=8)),
    st.floats(0, 1),
)
def test_never_more_than_the_ceiling_is_left_out(
    rounds: list[list[tuple[int, float]]], most: float
) -> None:
    group = Group(Spec(volume=5, most=most))
    for each in rounds:
        did = {
            f"t{n}": Done(count, int(count * bad), count, count * bad)
            for n, (count, bad) in enumerate(each)
        }
        group.pass_by(**did)
        assert len(group.outliers.out) <= most_out(most, 8) < 8


def test_the_ceiling_is_a_share_but_one_and_never_all() -> None:
    assert [most_out(0.1, size) for size in (1, 2, 3, 10, 20, 35)] == [0, 1, 1, 1, 2, 3]
    assert most_out(1.0, 5) == 4


def test_who_is_left_out_is_chosen_only_where_nobody_else_is() -> None:
    spec = RouteSpec(targets=[], choose="round-robin", outliers=SPEC)
    roster = make_roster((1, 0), (1, 0), (1, 0))
    chooser = Chooser(spec, [roster])
    roster.outliers = {1: 50.0}
    picks = [chooser.pick(NOTHING, (), 10.0) for _ in range(6)]
    assert {pick.place for pick in picks if pick} == {0, 2}
    assert chooser.passed_over(0, NOTHING, 10.0) == {1: LeaveOutliers.name}
    last = chooser.pick(NOTHING, ("t0", "t2"), 10.0)
    assert last is not None
    assert last.place == 1
    assert {p.place for _ in range(6) if (p := chooser.pick(NOTHING, (), 50.0))} == {0, 1, 2}
