"""Hedges: a second attempt before the first token, within a share of requests and a cost cap."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.routing.hedging import Hedging, estimate_nanousd
from towplane.routing.spec import Hedge, Retries, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.testing.fleet import Fleet, route
from towplane.testing.wire import (
    ANSWER,
    END,
    STREAM,
    TOKEN,
    chunk,
    delta,
    event,
    usage,
    whole,
)

PRICE = (1_000_000, 500_000, 2_000_000)
HEDGE = Hedge(after_s=1.0, budget=1.0)


def make(*groups: list[str], hedge: Hedge = HEDGE, **more: Any) -> Fleet:
    groups = groups or (["a", "b"],)
    price = more.pop("price", PRICE)
    timeouts = more.pop("timeouts", Timeouts(first_token_s=20.0, total_s=60.0))
    retries = more.pop("retries", Retries(floor=1000.0))
    spec = route("m", *groups, hedge=hedge, timeouts=timeouts, retries=retries)
    return Fleet.of(spec, price=price, **more)


def ends(fleet: Fleet) -> list[tuple[str, str, str, bool]]:
    """Target, cause, outcome and whether the client saw it, in the order of their ends."""
    opened = {one.id: one for one in fleet.worker.events(Opened)}
    return [
        (opened[end.id].target[:-2], opened[end.id].cause, end.outcome, end.final)
        for end in fleet.worker.events(Settled)
    ]


def test_a_quick_first_token_is_not_raced() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(0.5)
    fleet.worker.upstream("a").give(STREAM, TOKEN)
    fleet.wait(5.0)
    fleet.worker.upstream("a").give(END)
    assert client.answer().status == 200
    assert ends(fleet) == [("a", "first", "ok", True)]
    fleet.over()


def test_a_slow_first_token_is_raced_at_another_target_and_the_quicker_one_answers() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    assert fleet.asked() == ["a", "b"]
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    fleet.turn()
    answer = client.answer()
    assert (answer.status, answer.get(b"x-towplane-target")) == (200, b"b/m")
    assert answer.get(b"x-towplane-attempts") == b"2"
    assert ends(fleet) == [("a", "first", "cancelled", False), ("b", "hedge", "ok", True)]
    assert [up.transport.is_closed for up in fleet.worker.upstreams] == [True, False]
    fleet.over()


def test_the_first_attempt_may_still_win() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    fleet.worker.upstream("a").give(STREAM, TOKEN, END)
    assert client.answer().get(b"x-towplane-target") == b"a/m"
    assert ends(fleet) == [("b", "hedge", "cancelled", False), ("a", "first", "ok", True)]
    fleet.over()


def test_what_came_before_the_first_token_decides_nothing() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    role = chunk(event(delta(role="assistant")))
    fleet.worker.upstream("a").give(STREAM, role)
    fleet.worker.upstream("b").give(STREAM, role, TOKEN)
    assert client.answer().get(b"x-towplane-target") == b"b/m"
    fleet.worker.upstream("b").give(END)
    assert ends(fleet)[-1] == ("b", "hedge", "ok", True)
    fleet.over()


def test_an_answer_in_one_piece_commits_with_its_head() -> None:
    fleet = make()
    client = fleet.ask(stream=False)
    fleet.wait(1.5)
    head, body = ANSWER[:-5], ANSWER[-5:]
    fleet.worker.upstream("b").give(head)
    assert fleet.worker.upstreams[0].transport.is_closed
    fleet.worker.upstream("b").give(body)
    assert client.answer().get(b"x-towplane-target") == b"b/m"
    assert ends(fleet) == [("a", "first", "cancelled", False), ("b", "hedge", "ok", True)]
    fleet.over()


def test_both_attempts_are_billed_once_each() -> None:
    fleet = make()
    client = fleet.ask(stream=True, messages=[{"role": "user", "content": "x" * 400}])
    fleet.wait(1.5)
    fleet.worker.upstream("b").give(
        STREAM, TOKEN, chunk(event({"choices": [], "usage": usage(100, 1)})), END
    )
    lost, won = fleet.worker.events(Settled)
    assert client.answer().status == 200
    assert (lost.usage, lost.output) == ("estimated", 0)
    assert lost.cost_nanousd == lost.input
    assert (won.usage, won.input, won.output, won.cost_nanousd) == ("measured", 100, 1, 102)
    fleet.over()


def test_the_failure_of_one_is_no_failure_while_the_other_runs() -> None:
    for failing, running in (("a", "b"), ("b", "a")):
        fleet = make()
        client = fleet.ask(stream=True)
        fleet.wait(1.5)
        fleet.worker.upstream(failing).give(whole({"error": {"message": "no"}}, 500))
        assert not client.received
        fleet.worker.upstream(running).give(STREAM, TOKEN, END)
        assert client.answer().get(b"x-towplane-target") == f"{running}/m".encode()
        assert [end[2:] for end in ends(fleet)] == [("server_error", False), ("ok", True)]
        fleet.over()


def test_when_both_fail_a_third_may_be_tried() -> None:
    fleet = make(["a", "b"], ["c"])
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    fleet.worker.upstream("a").give(whole({}, 500))
    fleet.worker.upstream("b").give(whole({}, 500))
    fleet.turn()
    fleet.worker.upstream("c").give(STREAM, TOKEN, END)
    assert client.answer().status == 200
    assert fleet.asked() == ["a", "b", "c"]
    assert [end[2] for end in ends(fleet)] == ["server_error", "server_error", "ok"]
    fleet.over()


def test_a_fault_of_the_request_ends_the_race() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    fleet.worker.upstream("b").give(whole({"error": {"message": "bad"}}, 400))
    assert client.answer().status == 400
    assert ends(fleet) == [("a", "first", "cancelled", False), ("b", "hedge", "refused", True)]
    fleet.over()


def test_a_client_that_leaves_stops_both() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    client.leave()
    fleet.turn()
    assert sorted(end[2] for end in ends(fleet)) == ["cancelled", "cancelled"]
    assert sum(end[3] for end in ends(fleet)) == 1
    fleet.over()


def test_after_the_first_token_nothing_is_raced() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(0.9)
    fleet.worker.upstream("a").give(STREAM, TOKEN)
    fleet.wait(5.0)
    assert fleet.asked() == ["a"]
    client.leave()
    fleet.over()


def test_the_total_ends_both() -> None:
    fleet = make(timeouts=Timeouts(first_token_s=20.0, total_s=3.0))
    client = fleet.ask(stream=True)
    fleet.wait(4.0)
    assert client.answer().status == 504
    assert sorted(end[2] for end in ends(fleet)) == ["cancelled", "timeout"]
    fleet.over()


def test_the_first_token_clock_of_one_leaves_the_other_running() -> None:
    fleet = make(timeouts=Timeouts(first_token_s=3.0, total_s=60.0))
    client = fleet.ask(stream=True)
    fleet.wait(3.5)
    assert [end[:3] for end in ends(fleet)] == [("a", "first", "timeout")]
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    assert client.answer().status == 200
    fleet.over()


def test_without_another_target_or_another_attempt_nothing_is_raced() -> None:
    for fleet in (make(["a"]), make(["a", "b"], retries=Retries(most=1))):
        fleet.ask(stream=True)
        fleet.wait(5.0)
        assert fleet.asked() == ["a"]
        fleet.worker.clients[0].leave()
        fleet.over()


def test_a_target_at_its_own_limit_is_not_asked_for_a_hedge() -> None:
    fleet = make()
    fleet.worker.hall.targets["b/m"].park(fleet.clock.monotonic() + 100)
    client = fleet.ask(stream=True)
    fleet.wait(5.0)
    assert fleet.asked() == ["a"]
    client.leave()
    fleet.over()


def test_hedges_are_a_share_of_requests() -> None:
    fleet = make(hedge=Hedge(after_s=1.0, budget=0.1))
    clients = [fleet.ask(stream=True) for _ in range(40)]
    fleet.wait(2.0)
    causes = [one.cause for one in fleet.worker.events(Opened)]
    assert causes.count("hedge") == 4
    for client in clients:
        client.leave()
    fleet.over()


def test_a_reload_without_hedges_leaves_the_race_that_runs_alone() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(1.5)
    fleet.reload(routes=(route("m", ["a", "b"]),))
    fleet.turn()
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    assert client.answer().status == 200
    fleet.over()


# The pure part


def test_a_quantile_is_waited_for_once_enough_is_known_and_never_less_than_the_least() -> None:
    hedging = Hedging(Hedge(after_s=0.1, quantile=0.9))
    assert hedging.wait_s(stream=True) == 0.1
    for number in range(100):
        hedging.saw(number / 10, stream=True)
    assert hedging.wait_s(stream=True) == 9.0
    assert hedging.wait_s(stream=False) == 0.1


def test_the_cost_of_a_tenant_in_a_minute_is_capped() -> None:
    hedging = Hedging(Hedge(budget=1.0, cost=100))
    for _ in range(50):
        hedging.request(0.0)
    assert hedging.take("acme", 60, 0.0)
    assert not hedging.take("acme", 60, 1.0)
    assert hedging.take("globex", 60, 1.0)
    assert hedging.take("acme", 40, 1.0)
    assert not hedging.take("acme", None, 1.0), "an unknown price is not nought"
    for _ in range(50):
        hedging.request(61.0)
    assert hedging.take("acme", 60, 61.0)


def test_a_second_attempt_of_a_stream_costs_its_prompt() -> None:
    assert estimate_nanousd(PRICE, 100, 50, stream=True) == 100
    assert estimate_nanousd(PRICE, 100, 50, stream=False) == 200
    assert estimate_nanousd(None, 100, 50, stream=True) is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_second_attempts_never_exceed_their_share(steps: list[tuple[bool, float]]) -> None:
    hedging = Hedging(Hedge(budget=0.1, window_s=1e9))
    requests = taken = 0
    now = 0.0
    for is_request, later in steps:
        now += later
        if is_request:
            hedging.request(now)
            requests += 1
        else:
            taken += hedging.take("acme", None, now)
        assert taken <= 0.1 * requests
