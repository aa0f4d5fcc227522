"""What the gateway tells a target's load, and what policies make of it, through real halls."""

from importlib.metadata import EntryPoint

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towplane.parts.errors import Unsupported
from towplane.routing import policies
from towplane.routing.latency import DECAY_S, PeakEwma
from towplane.routing.policies.round_robin import RoundRobin
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import DONE, LAST, STREAM, chunk, delta, event
from towplane.testing.wire import whole as whole_answer

ANSWER = whole_answer({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


def fleet_of(choose: str) -> Fleet:
    return Fleet(route("m", ["a", "b"], choose=choose), targets=[target(n) for n in "ab"])


def test_a_prompt_waits_at_its_target_until_the_first_token() -> None:
    fleet = fleet_of("least-work")
    worker = fleet.worker
    client = worker.connect()
    client.ask(stream=True, messages=[{"role": "user", "content": "w " * 2000}])
    up = worker.upstream()
    load = worker.hall.targets[f"{up.host}/m"].load
    assert load.queued > 500
    fleet.wait(2.0)
    up.give(STREAM, chunk(event(delta("hello"))))
    assert (load.queued, load.in_flight) == (0, 1)
    seconds = load.latency.estimate_s(worker.hall.now())
    assert seconds == pytest.approx(2.0, abs=0.2)
    up.give(chunk(event(delta(finish="stop"))), chunk(DONE), LAST)
    assert (load.queued, load.in_flight) == (0, 0)


def test_whatever_becomes_of_it_nothing_stays_queued() -> None:
    fleet = fleet_of("least-work")
    worker = fleet.worker
    whole, broken, left = (worker.connect() for _ in range(3))
    for client in (whole, broken, left):
        client.ask(messages=[{"role": "user", "content": "w " * 2000}])
    worker.upstreams[0].give(ANSWER)
    worker.upstreams[1].close()
    left.leave()
    fleet.wait(1.0)
    waits = sum(state.load.queued for state in worker.hall.targets.values())
    assert waits > 0, "the broken one is tried again"
    broken.leave()
    fleet.wait(1.0)
    for state in worker.hall.targets.values():
        assert (state.load.queued, state.load.in_flight) == (0, 0)


def test_a_slow_target_is_left_alone_for_a_while() -> None:
    fleet = fleet_of("peak-ewma")
    worker = fleet.worker
    for seconds in (3.0, 0.5):
        worker.connect().ask()
        fleet.wait(seconds)
        worker.upstreams[-1].give(ANSWER)
    quick = worker.upstreams[-1].host
    assert worker.upstreams[0].host != quick
    for _ in range(3):
        worker.connect().ask()
        worker.upstreams[-1].give(ANSWER)
        assert worker.upstreams[-1].host == quick


def test_prices_are_known_before_anybody_is_asked() -> None:
    dear = target("a", price=(9, 9, 9))
    cheap = target("b", price=(1, 1, 1))
    fleet = Fleet(route("m", ["a", "b"], choose="least-cost"), targets=[dear, cheap])
    for _ in range(3):
        fleet.worker.connect().ask()
    assert {up.host for up in fleet.worker.upstreams} == {"b"}


@given(st.lists(st.tuples(st.floats(0.001, 60), st.floats(0, 30)), min_size=1, max_size=20))
def test_a_peak_is_believed_at_once_and_forgotten_slowly(seen: list[tuple[float, float]]) -> None:
    ewma, now = PeakEwma(), 0.0
    for seconds, passed in seen:
        now += passed
        before = ewma.estimate_s(now)
        ewma.observe(seconds, now)
        after = ewma.estimate_s(now)
        assert after is not None
        assert after >= seconds * 0.999 or (before is not None and after >= min(before, seconds))
    later = ewma.estimate_s(now + DECAY_S)
    assert after is not None
    assert later == pytest.approx(after / 2.718281828)


def test_a_policy_may_come_with_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("ours", "towplane.routing.policies.round_robin:RoundRobin", policies.GROUP)

    def entry_points(group: str, name: str | None = None) -> list[EntryPoint]:
        return [point] if group == policies.GROUP and name in (None, "ours") else []

    monkeypatch.setattr("importlib.metadata.entry_points", entry_points)
    assert policies.POLICIES["ours"] is RoundRobin
    assert policies.known_policies()[-1] == "ours"
    assert "ours" not in policies.POLICIES, "of the built-in ones it is none"
    with pytest.raises(Unsupported, match="no policy nobodys"):
        policies.POLICIES["nobodys"]
    policies._load.cache_clear()
