"""How one target is chosen among several."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.policies import POLICIES, Candidate, Choice

CANDIDATES = st.lists(
    st.builds(Candidate, st.just("x"), st.integers(0, 5), st.integers(0, 9)), min_size=1, max_size=6
)


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
             Choice(1, "turn 2 of 3", ())),
        Case("the fewest in flight", ("least-in-flight", [(1, 3), (1, 1), (1, 2)], 0),
             Choice(1, "1 in flight, the fewest", (3.0, 1.0, 2.0))),
        Case("in flight by weight", ("least-in-flight", [(1, 2), (4, 4)], 0),
             Choice(1, "4 in flight, the fewest", (2.0, 1.0))),
        Case("ties go round", ("least-in-flight", [(1, 1), (1, 0), (1, 0)], 3),
             Choice(2, "0 in flight, the fewest", (1.0, 0.0, 0.0))),
        Case("weight nought is the last resort", ("least-in-flight", [(0, 0), (1, 9)], 0),
             Choice(1, "9 in flight, the fewest", (float("inf"), 9.0))),
        Case("weighted", ("weighted", [(3, 0), (1, 0)], 0),
             Choice(0, "weight 3 of 4", (0.75, 0.25))),
        Case("no weight at all", ("weighted", [(0, 0), (0, 0)], 1), Choice(1, "turn 2 of 2", ())),
    ],
    ids=lambda case: case.name,
)  # fmt: skip
def test_a_choice_and_its_reason(case: Case) -> None:
    policy, targets, turn = case.given
    candidates = [Candidate(f"t{i}", *values) for i, values in enumerate(targets)]
    assert POLICIES[policy](candidates, turn) == case.want


@given(st.sampled_from(sorted(POLICIES)), CANDIDATES, st.integers(0, 2**40))
def test_every_policy_chooses_one_that_is_there(
    policy: str, candidates: list[Candidate], turn: int
) -> None:
    choice = POLICIES[policy](candidates, turn)
    assert 0 <= choice.place < len(candidates)
    assert choice == POLICIES[policy](candidates, turn), "nothing is hidden"


@given(CANDIDATES, st.integers(0, 2**30))
def test_a_parked_target_is_not_chosen_by_weight(candidates: list[Candidate], turn: int) -> None:
    if any(candidate.weight for candidate in candidates):
        assert candidates[POLICIES["weighted"](candidates, turn).place].weight > 0


@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), st.integers(0, 2**30))
def test_weights_hold_over_short_runs(weights: list[int], start: int) -> None:
    """In a hundred turns no target is off its share by more than four."""
    candidates = [Candidate(str(i), weight, 0) for i, weight in enumerate(weights)]
    places = Counter(POLICIES["weighted"](candidates, start + i).place for i in range(100))
    for place, weight in enumerate(weights):
        assert abs(places[place] - 100 * weight / sum(weights)) <= 4


@given(st.integers(1, 7), st.integers(0, 2**40))
def test_round_robin_gives_everyone_the_same(count: int, start: int) -> None:
    candidates = [Candidate(str(i), 1, 0) for i in range(count)]
    places = Counter(POLICIES["round-robin"](candidates, start + i).place for i in range(3 * count))
    assert places == dict.fromkeys(range(count), 3)
