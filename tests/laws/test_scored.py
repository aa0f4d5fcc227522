"""The policy that weighs scores: what engines say, what they have seen, what is under way."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.routing.demand import NOTHING, Demand
from towplane.routing.policies.scored import Scored
from towplane.routing.roster import Roster
from towplane.routing.signals import Signals
from towplane.routing.spec import RouteSpec, Scoring
from towplane.testing.rosters import make_roster

PROMPT = Demand(tokens=1000, output=100, blocks=tuple(range(1, 11)))


def scored(*in_flight: int, **weights: float) -> tuple[Roster, Scored]:
    roster = make_roster(*[(1, count) for count in in_flight])
    return roster, Scored(roster, RouteSpec(targets=[], scoring=Scoring(**weights)))


def tell(roster: Roster, place: int, read_at: float = 0.0, **said: Any) -> None:
    roster.loads[place].told(Signals(read_at=read_at, **said))


def choose(policy: Scored, demand: Demand = NOTHING, turn: int = 0, now: float = 0.0) -> int:
    place = policy.choose(demand, (), turn, now)
    assert policy.weigh(demand, (), turn, now).place == place
    return place


def test_the_shortest_queue_wins_among_equals() -> None:
    roster, policy = scored(0, 0, 0)
    for place, waiting in enumerate((4, 1, 9)):
        tell(roster, place, running=8, waiting=waiting, kv_used=0.5)
    assert choose(policy) == 1


def test_the_emptier_cache_wins_among_equals() -> None:
    roster, policy = scored(0, 0, 0)
    for place, used in enumerate((0.9, 0.8, 0.2)):
        tell(roster, place, running=8, waiting=0, kv_used=used)
    assert choose(policy) == 2


def test_who_has_seen_the_prompt_wins_among_equals() -> None:
    _, policy = scored(0, 0, 0)
    policy.began(1, PROMPT, 0.0)
    assert [choose(policy, PROMPT, turn) for turn in range(3)] == [1, 1, 1]
    assert "has seen 100% of the prompt" in policy.weigh(PROMPT, (), 0, 0.0).reason


def test_a_full_engine_loses_the_prompt_that_it_has_seen() -> None:
    roster, policy = scored(0, 0)
    policy.began(0, PROMPT, 0.0)
    tell(roster, 0, running=256, waiting=40, kv_used=1.0)
    tell(roster, 1, running=3, waiting=0, kv_used=0.1)
    assert choose(policy, PROMPT) == 1


def test_without_signals_a_hot_prompt_spreads() -> None:
    """While somebody is idle, nobody has more than 1.5 × (mean + 1)."""
    roster, policy = scored(*[0] * 6)
    for turn in range(90):
        place = choose(policy, PROMPT, turn)
        policy.began(place, PROMPT, 0.0)
        roster.loads[place].began()
        if not min(roster.in_flight):
            assert max(roster.in_flight) <= 1.5 * (sum(roster.in_flight) / 6 + 1) + 1
    assert sum(count > 0 for count in roster.in_flight) > 2


def test_workers_do_not_all_rush_to_an_engine_that_was_idle_a_moment_ago() -> None:
    """What was sent since the engine spoke counts as waiting there."""
    roster, policy = scored(0, 0)
    tell(roster, 0, running=0, waiting=0, kv_used=0.3)
    tell(roster, 1, running=2, waiting=2, kv_used=0.3)
    places = []
    for turn in range(8):
        place = choose(policy, NOTHING, turn)
        places.append(place)
        roster.loads[place].began()
    assert 1 in places


def test_old_news_is_unknown_and_not_nought() -> None:
    roster, policy = scored(5, 1)
    tell(roster, 0, running=0, waiting=0, kv_used=0.0)
    tell(roster, 1, running=9, waiting=9, kv_used=1.0)
    assert choose(policy, now=1.0) == 0
    assert choose(policy, now=60.0) == 1


def test_what_one_engine_does_not_say_is_stood_in_for() -> None:
    roster, policy = scored(0, 9, queue=0.0)
    tell(roster, 0, running=1, waiting=0)
    tell(roster, 1, running=1, waiting=0)
    assert choose(policy) == 0


@pytest.mark.parametrize(
    ("others", "want"),
    [
        ({"adapters": frozenset({"tax"}), "adapters_most": 1}, "law"),
        ({"adapters": frozenset({"law"}), "adapters_most": 1}, "other"),
    ],
)
def test_an_adapter_goes_to_whom_runs_it(others: dict[str, Any], want: str) -> None:
    roster, policy = scored(0, 0)
    tell(roster, 0, adapters=frozenset({"law" if want == "law" else "x"}), adapters_most=1)
    tell(roster, 1, **others)
    assert choose(policy, Demand(adapter="law")) == (0 if want == "law" else 1)


def test_room_for_an_adapter_goes_before_waiting_for_it() -> None:
    roster, policy = scored(0, 0)
    tell(roster, 0, adapters=frozenset({"x"}), adapters_most=1, adapters_waiting=frozenset({"law"}))
    tell(roster, 1, adapters=frozenset({"x"}), adapters_most=4)
    assert choose(policy, Demand(adapter="law")) == 1


def test_who_runs_the_adapter_is_found_among_many() -> None:
    roster, policy = scored(*[0] * 100, lora=20.0)
    tell(roster, 77, adapters=frozenset({"law"}), adapters_most=1)
    assert {choose(policy, Demand(adapter="law"), turn) for turn in range(9)} == {77}


def test_cost_and_latency_count_when_they_are_weighed() -> None:
    roster, policy = scored(0, 0, cost=1.0)
    roster.loads[0].costs((1000, 0, 1000))
    assert choose(policy, PROMPT) == 0
    roster.loads[1].costs((500, 0, 500))
    assert choose(policy, PROMPT) == 1
    roster, policy = scored(0, 0, latency=1.0)
    roster.loads[0].answers(0, 2.0, 0.0)
    roster.loads[1].answers(0, 0.5, 0.0)
    assert choose(policy) == 1


@given(
    st.lists(st.integers(0, 9), min_size=9, max_size=40),
    st.integers(0, 2**40),
    st.data(),
)
def test_of_many_the_pick_is_the_best_of_the_shortlist(
    loads: list[int], turn: int, data: st.DataObject
) -> None:
    _, policy = scored(*loads)
    for place in data.draw(st.lists(st.integers(0, len(loads) - 1), max_size=6)):
        policy.began(place, PROMPT, 0.0)
    barred = data.draw(st.sets(st.integers(0, len(loads) - 1), max_size=len(loads) - 2))
    choice = policy.weigh(PROMPT, barred, turn, 0.0)
    known = [score for score in choice.scores if score is not None]
    assert choice.scores[choice.place] == max(known)
    assert min(2, len(loads) - len(barred)) <= len(known) <= max(8, len(loads) - len(barred))
    assert not any(choice.scores[place] is not None for place in barred)
    assert all(0.0 <= score <= 1.0 for score in known)


def test_the_least_loaded_is_on_the_shortlist_of_a_fleet_that_is_looked_at_whole() -> None:
    _, policy = scored(*[5] * 100, 0, *[5] * 99)
    assert {choose(policy, turn=turn) for turn in range(50)} == {100}


def test_of_a_thousand_the_least_loaded_is_found_in_its_share_of_turns() -> None:
    _, policy = scored(*[5] * 500, 0, *[5] * 499)
    found = sum(choose(policy, turn=turn) == 500 for turn in range(1000))
    assert 200 <= found <= 320
