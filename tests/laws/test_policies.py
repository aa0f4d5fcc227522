"""How one target is chosen among several."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.demand import NOTHING, Demand
from towplane.routing.policies import POLICIES, Choice, Policy
from towplane.routing.roster import Roster
from towplane.routing.spec import RouteSpec, Slo
from towplane.testing.rosters import make_roster

TARGETS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9)), min_size=2, max_size=6)


def policy_of(name: str, roster: Roster, **options: Any) -> Policy:
    return POLICIES[name](roster, RouteSpec(targets=[], **options))


@dataclass(frozen=True)
class Case:
    name: str
    given: tuple[str, list[tuple[int, int]], int]
    """Policy; weight and attempts in flight of each target; turn."""
    want: Choice


@pytest.mark.parametrize(
    "case",
    [
        Case("each in its turn", ("round-robin", [(1, 9), (1, 0), (1, 0)], 4),
             Choice(1, "turn 2 of 3")),
        Case("the fewest in flight", ("least-in-flight", [(1, 3), (1, 1), (1, 2)], 0),
             Choice(1, "1 in flight, the fewest", (3.0, 1.0, 2.0))),
        Case("in flight by weight", ("least-in-flight", [(1, 2), (4, 4)], 0),
             Choice(1, "4 in flight, the fewest", (2.0, 1.0))),
        Case("ties go round", ("least-in-flight", [(1, 1), (1, 0), (1, 0)], 3),
             Choice(2, "0 in flight, the fewest", (1.0, 0.0, 0.0))),
        Case("weight nought is the last resort", ("least-in-flight", [(0, 0), (1, 9)], 0),
             Choice(1, "9 in flight, the fewest", (None, 9.0))),
        Case("weighted", ("weighted", [(3, 0), (1, 0)], 0),
             Choice(0, "weight 3 of 4", (0.75, 0.25))),
        Case("no weight at all", ("weighted", [(0, 0), (0, 0)], 1), Choice(1, "turn 2 of 2")),
    ],
    ids=lambda case: case.name,
)  # fmt: skip
def test_a_choice_and_its_reason(case: Case) -> None:
    name, targets, turn = case.given
    policy = policy_of(name, make_roster(*targets))
    assert policy.weigh(NOTHING, (), turn, 0.0) == case.want


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    """Of few keys, so that they meet; conversations, some longer than others."""
    blocks = tuple(
        draw(st.sampled_from([7, 8])) * 100 + at for at in range(draw(st.integers(0, 5)))
    )
    return Demand(
        tokens=draw(st.integers(0, 9)) * 100,
        output=draw(st.integers(0, 9)) * 100,
        session=draw(st.integers(0, 4)),
        prefix=draw(st.sampled_from([0, 1, 2**40 + 1, 2**64 - 1])),
        blocks=blocks,
    )


def live(policy: Policy, roster: Roster, data: st.DataObject) -> float:
    """Attempts begin, answer and end anywhere; prices change. Returns the time at the end."""
    now = 0.0
    for _ in range(data.draw(st.integers(0, 12))):
        now += data.draw(st.sampled_from([0.0, 0.5, 60.0, 4000.0]))
        place = data.draw(st.integers(0, len(roster) - 1))
        load = roster.loads[place]
        work = policy.began(place, data.draw(demands()), now)
        assert work >= 0
        load.began(work)
        load.costs(data.draw(st.sampled_from([None, (1, 1, 1), (3, 1, 2), (0, 0, 0)])))
        if data.draw(st.booleans()):
            load.answers(work, data.draw(st.sampled_from([0.0, 0.1, 9.0])), now)
            work = 0
        if data.draw(st.booleans()):
            load.ended(work)
    return now


@given(st.sampled_from(sorted(POLICIES)), TARGETS, st.integers(0, 2**40), st.data())
def test_every_policy_chooses_one_that_may_be_chosen_and_says_so(
    name: str, targets: list[tuple[int, int]], turn: int, data: st.DataObject
) -> None:
    """`weigh` names what `choose` takes; asking twice changes nothing; nobody barred is taken, and
    nobody parked while somebody else may be."""
    barred = data.draw(st.sets(st.integers(0, len(targets) - 1), max_size=len(targets) - 2))
    roster = make_roster(*targets)
    policy = policy_of(name, roster, slo=Slo(ttft_s=1.0))
    now = live(policy, roster, data)
    demand = data.draw(demands())
    place = policy.choose(demand, barred, turn, now)
    assert 0 <= place < len(targets)
    assert place not in barred
    choice = policy.weigh(demand, barred, turn, now)
    assert choice.place == place
    assert choice.reason
    assert len(choice.scores) in (0, len(targets))
    assert policy.choose(demand, barred, turn, now) == place
    others = [weight for at, (weight, _) in enumerate(targets) if at not in barred]
    if any(others):
        assert targets[place][0] > 0


@given(st.sampled_from(sorted(POLICIES)), TARGETS, st.integers(0, 2**40), st.data())
def test_what_was_learned_goes_with_the_names(
    name: str, targets: list[tuple[int, int]], turn: int, data: st.DataObject
) -> None:
    """The same targets in another order are chosen alike, where no tie is broken by place."""
    roster = make_roster(*targets)
    policy = policy_of(name, roster)
    now = live(policy, roster, data)
    demand = data.draw(demands())
    before = policy.weigh(demand, (), turn, now)
    order = data.draw(st.permutations(range(len(targets))))
    turned = Roster([roster.seats[at] for at in order], lambda place, now: True)
    heir = policy_of(name, turned)
    heir.adopt(policy)
    after = heir.weigh(demand, (), turn, now)
    if name != "power-of-two" and before.scores:  # it draws other pairs, and shows only these
        for score, at in zip(after.scores, order, strict=True):
            was = before.scores[at]
            assert score == (was if was is None else pytest.approx(was))


@given(st.sampled_from(["least-in-flight", "peak-ewma", "least-cost", "least-work", "prefix"]))
def test_ties_are_spread(name: str) -> None:
    policy = policy_of(name, make_roster(*[(1, 0)] * 150))
    places = Counter(policy.choose(NOTHING, (), turn, 0.0) for turn in range(300))
    assert places == dict.fromkeys(range(150), 2)


@given(TARGETS, st.integers(0, 2**30))
def test_a_parked_target_is_not_chosen_by_weight(targets: list[tuple[int, int]], turn: int) -> None:
    if any(weight for weight, _ in targets):
        place = policy_of("weighted", make_roster(*targets)).choose(NOTHING, (), turn, 0.0)
        assert targets[place][0] > 0


@given(st.lists(st.integers(0, 5), min_size=2, max_size=5).filter(any), st.integers(0, 2**30))
def test_weights_hold_over_short_runs(weights: list[int], start: int) -> None:
    """In a hundred turns no target is off its share by more than four."""
    policy = policy_of("weighted", make_roster(*((weight, 0) for weight in weights)))
    places = Counter(policy.choose(NOTHING, (), start + i, 0.0) for i in range(100))
    for place, weight in enumerate(weights):
        assert abs(places[place] - 100 * weight / sum(weights)) <= 4


@given(st.integers(2, 7), st.integers(0, 2**40))
def test_round_robin_gives_everyone_the_same(count: int, start: int) -> None:
    policy = policy_of("round-robin", make_roster(*[(1, 0)] * count))
    places = Counter(policy.choose(NOTHING, (), start + i, 0.0) for i in range(3 * count))
    assert places == dict.fromkeys(range(count), 3)
