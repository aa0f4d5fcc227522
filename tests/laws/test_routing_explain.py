"""Laws of `explain`: it says what the gateway would do, and why not otherwise."""

from typing import Any, cast
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.gateway.counters import edges_for
from towplane.gateway.messages import Placed, RouteInfo, TargetInfo
from towplane.gateway.pool import TargetPool
from towplane.gateway.route_state import RouteState
from towplane.gateway.target_state import ProviderState, TargetState
from towplane.gateway.turn import Turn
from towplane.routing.breaker import Breaker
from towplane.routing.demand import NOTHING
from towplane.routing.explain import Explanation, Group, Place, Seen, Step, explain, why_not
from towplane.routing.policies import POLICIES
from towplane.routing.spec import Breaker as BreakerSpec
from towplane.routing.spec import RouteSpec
from towplane.testing.rosters import explained

NOW = 1000.0


def _place(seen: Seen, score: float | None = None) -> Place:
    why = why_not(seen)
    return Place(
        target=seen.name,
        weight=seen.weight,
        in_flight=seen.in_flight,
        usable=not why,
        why_not=why,
        score=score,
    )


def test_the_only_target_is_taken_without_comparing() -> None:
    one = Seen(name="a", in_flight=9)
    assert explained("least-in-flight", [[one]], turn=0, most=3) == Explanation(
        groups=[Group(number=0, places=[_place(one)])],
        steps=[Step(target="a", group=0, cause="first", reason="the only target")],
    )


def test_it_goes_on_as_a_request_would_whose_attempts_fail() -> None:
    busy, free, spare = Seen(name="a", in_flight=4), Seen(name="b", in_flight=1), Seen(name="c")
    found = explained("least-in-flight", [[busy, free], [spare]], turn=0, most=3)
    assert [(step.target, step.group, step.cause) for step in found.steps] == [
        ("b", 0, "first"),
        ("a", 0, "retry"),
        ("c", 1, "fallback"),
    ]
    assert [place.score for place in found.groups[0].places] == [4, 1]
    assert found.steps[0].reason == "1 in flight, the fewest"


def test_no_more_attempts_are_foretold_than_a_request_may_have() -> None:
    group = [Seen(name=name) for name in "abcd"]
    assert len(explained("round-robin", [group], turn=0, most=2).steps) == 2


def test_a_route_without_a_usable_target_has_no_step() -> None:
    found = explained("weighted", [[Seen(name="a", state="starting")]], turn=0)
    assert found.steps == []
    assert [place.why_not for place in found.groups[0].places] == ["starting"]


@pytest.mark.parametrize(
    ("seen", "want"),
    [
        (Seen(name="a"), ""),
        (Seen(name="a", state="failed", reason="no weights"), "failed: no weights"),
        (Seen(name="a", parked_s=1.25), "it asked to be left alone for 1.2 s more"),
        (
            Seen(name="a", breaker="open", probe_in_s=3.14),
            "its breaker is open; one attempt may probe it in 3.1 s",
        ),
        (Seen(name="a", breaker="open", probe_in_s=0.0), ""),
        (Seen(name="a", breaker="half-open"), ""),
        (
            Seen(name="a", breaker="half-open", is_probing=True),
            "its breaker is half-open, and an attempt is probing it",
        ),
    ],
)
def test_every_reason_is_said_in_words(seen: Seen, want: str) -> None:
    assert why_not(seen) == want


def test_a_score_that_is_no_number_is_absent() -> None:
    """A parked target's is infinite, which JSON does not know."""
    found = explained("least-in-flight", [[Seen(name="a"), Seen(name="b", weight=0)]], turn=0)
    assert [place.score for place in found.groups[0].places] == [0, None]


# ---- explain and the gateway decide alike

_targets = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["ready", "ready", "ready", "starting"]),
        "in_flight": st.integers(0, 4),
        "parked": st.sampled_from([0.0, 0.0, NOW + 1.5, NOW - 1]),
        "breaker": st.sampled_from(["closed", "closed", "open", "due", "probing"]),
        "weight": st.integers(0, 3),
    }
)


@given(
    st.sampled_from(sorted(POLICIES)),
    st.lists(st.lists(_targets, min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(0, 50),
)
def test_what_is_explained_is_what_the_gateway_does(
    choose: str, groups: list[list[dict[str, Any]]], turn: int
) -> None:
    """To the last fallback, whatever state the targets are in."""
    state = _route(choose, groups)
    chooser = state.chooser
    chooser.turn = turn - 1
    seen = [
        [target.seen(place.weight, NOW) for target, place in zip(targets, placed, strict=True)]
        for targets, placed in zip(state.groups, state.info.groups, strict=True)
    ]
    foretold = explain(chooser, seen, demand=NOTHING, now=NOW, turn=turn, most=20).steps
    assert explained(choose, seen, turn=turn, most=20).steps == foretold, "seen from elsewhere"
    tried: list[str] = []
    while pick := chooser.pick(NOTHING, tried, NOW):
        tried.append(state.groups[pick.group][pick.place].info.name)
    assert [step.target for step in foretold] == tried


def _route(choose: str, groups: list[list[dict[str, Any]]]) -> RouteState:
    names = [[f"t{i}-{j}" for j, _ in enumerate(group)] for i, group in enumerate(groups)]
    targets = {
        name: _target(name, given)
        for row, group in zip(names, groups, strict=True)
        for name, given in zip(row, group, strict=True)
    }
    info = RouteInfo(
        model="m",
        groups=tuple(
            tuple(Placed(n, given["weight"]) for n, given in zip(row, group, strict=True))
            for row, group in zip(names, groups, strict=True)
        ),
        spec=RouteSpec(targets=[], choose=cast(Any, choose)),
    )
    return RouteState(info, targets, edges_for([info], {}))


_NO_CONNECTIONS = TargetPool(
    cast(Any, None), loop=cast(Any, None), turn=Turn(Mock()), now=lambda: NOW
)


def _target(name: str, given: dict[str, Any]) -> TargetState:
    info = TargetInfo(name, "provider", "h", 1, "/v1", "m", state=given["state"])
    breaker = Breaker(BreakerSpec(failures=1, open_s=5.0))
    target = TargetState(info, _NO_CONNECTIONS, breaker, ProviderState())
    target.load.in_flight = given["in_flight"]
    target.park(given["parked"])
    if given["breaker"] == "open":
        breaker.failed(NOW - 1)
    elif given["breaker"] != "closed":
        breaker.failed(NOW - 6)
    if given["breaker"] == "probing":
        assert breaker.admits(NOW)
        breaker.started()
    return target
