"""Faults, each as an operator meets it, through the real gateway: seen, and answered as it should.

The numbers are those of tests/faults.md; the other faults are in test_faults_of_*.py.
"""

from typing import Any

import pytest

from towplane.routing.spec import Breaker, Retries, Slo, Timeouts
from towplane.tenants.events import Settled
from towplane.testing.fleet import Fleet, route
from towplane.testing.wire import END, LAST, STREAM, TOKEN, chunk, event, usage, whole

USED = chunk(event({"choices": [], "usage": usage(10, 3)}))
TIMEOUTS = Timeouts(first_token_s=20.0, between_tokens_s=5.0, total_s=120.0)
PRICE = (1_000_000, 500_000, 2_000_000)


def make(*groups: list[str], **spec: Any) -> Fleet:
    groups = groups or (["a", "b"],)
    spec = {"timeouts": TIMEOUTS, "breaker": Breaker()} | spec
    return Fleet.of(route("m", *groups, **spec), price=PRICE)


def outcomes(fleet: Fleet) -> list[str]:
    return [end.outcome for end in fleet.worker.events(Settled)]


def counted(fleet: Fleet, family: str, **labels: str) -> float:
    """The value of a series that the worker reports."""
    return sum(
        sample.value or 0.0
        for sample in fleet.worker.hall.report(1).samples
        if sample.family == family and set(labels.values()) <= set(sample.labels)
    )


def test_f1_a_target_that_sends_nothing_is_cut_off_and_one_retry_goes_elsewhere() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.wait(20.5)
    assert fleet.worker.upstreams[0].transport.is_closed
    assert fleet.attempts() == [("a", "first"), ("b", "retry")]
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    assert client.answer().status == 200
    assert outcomes(fleet) == ["timeout", "ok"]
    assert counted(fleet, "towplane_attempts_total", cause="first", outcome="timeout") == 1
    fleet.over()


def test_f1_the_retry_is_the_budgets() -> None:
    fleet = make(retries=Retries(share=0.0, floor=0.0))
    client = fleet.ask(stream=True)
    fleet.wait(20.5)
    assert client.answer().status == 504
    assert fleet.attempts() == [("a", "first")]
    assert counted(fleet, "towplane_retries_denied_total") == 1
    fleet.over()


def test_f1_the_rest_of_the_total_is_all_that_the_retry_gets() -> None:
    fleet = make(timeouts=Timeouts(first_token_s=20.0, total_s=30.0))
    client = fleet.ask(stream=True)
    fleet.wait(30.5)
    assert client.answer().status == 504
    assert client.answer().get(b"x-towplane-reason") == b"timeout-total"
    fleet.over()


def test_f2_a_stream_that_stops_is_aborted_with_an_error_in_it_and_never_replayed() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.worker.upstream("a").give(STREAM, TOKEN, TOKEN)
    fleet.wait(5.5)
    assert fleet.worker.upstreams[0].transport.is_closed
    assert fleet.attempts() == [("a", "first")]
    body = bytes(client.received)
    assert body.count(b'"content":"a"') == 2
    assert b'"error"' in body
    assert b"[DONE]" not in body
    (end,) = fleet.worker.events(Settled)
    assert (end.outcome, end.usage, end.output) == ("timeout", "estimated", 2)
    fleet.over()


def test_f3_a_hung_engine_is_left_alone_within_two_minutes_and_asked_ever_more_rarely() -> None:
    slow = Timeouts(first_token_s=600.0, between_tokens_s=600.0, total_s=900.0)
    fleet = make(["a"], ["b"], timeouts=slow, breaker=Breaker(open_s=10.0, longest_s=40.0))
    fleet.ask(stream=True), fleet.ask(stream=True)
    fleet.wait(120.0)
    breaker = fleet.worker.hall.targets["a/m"].breaker
    assert breaker.state != "closed"
    assert counted(fleet, "towplane_breaker_trips_total", target="a/m") == 1
    assert [host for host, _ in fleet.attempts()[2:]] == ["b", "b"], "what waited went elsewhere"
    waits = []
    for _ in range(4):
        while not breaker.admits(fleet.clock.monotonic()):
            fleet.wait(1.0)
        opened_at = fleet.clock.monotonic()
        fleet.ask(stream=True)
        fleet.worker.upstream("a").give(whole({}, 500))
        fleet.turn()
        waits.append(round(breaker.retry_after_s(opened_at)))
    assert waits == [20, 40, 40, 40]
    fleet.over()


def test_f7_a_crash_in_the_middle_opens_that_endpoints_breaker_alone() -> None:
    fleet = make(choose="least-in-flight", breaker=Breaker(failures=5))
    clients = [fleet.ask(stream=True) for _ in range(12)]
    at_a = [up for up in fleet.worker.upstreams if up.host == "a"]
    at_b = [up for up in fleet.worker.upstreams if up.host == "b"]
    for up in at_a[:2]:
        up.give(STREAM, TOKEN)
    for up in at_a:
        up.close(ConnectionResetError("reset"))
    fleet.turn()
    targets = fleet.worker.hall.targets
    assert targets["a/m"].breaker.state == "open"
    assert targets["b/m"].breaker.state == "closed"
    for up in [up for up in fleet.worker.upstreams if up.host == "b"]:
        up.give(STREAM, TOKEN, END)
    assert len(at_b) == 6
    broken = [client for client in clients if b'"error"' in client.received]
    assert len(broken) == 2, "those that had tokens hear of it; the others were answered elsewhere"
    fleet.ask(stream=True)
    assert fleet.attempts()[-1] == ("b", "first")
    fleet.over()


def test_f8_late_tokens_miss_the_goal_and_open_nothing() -> None:
    fleet = make(["a"], slo=Slo(itl_s=0.5))
    for number in range(40):
        fleet.ask(stream=True)
        up = fleet.worker.upstream("a")
        up.give(STREAM, TOKEN)
        for _ in range(3):
            fleet.wait(2.0 if number % 20 == 0 else 0.05, step_s=0.05)
            up.give(TOKEN)
        up.give(END)
    assert counted(fleet, "towplane_requests_total", slo="missed") == 2
    assert counted(fleet, "towplane_requests_total", slo="met") == 38
    assert fleet.worker.hall.targets["a/m"].breaker.state == "closed"
    assert len(fleet.attempts()) == 40
    fleet.over()


BAD = {
    "invalid JSON": (False, whole(b'{"choices": [')),
    "a page": (False, whole(b"<html>")),
    "nothing": (False, whole(b"")),
    "NaN": (False, whole(b'{"choices": [], "usage": {"prompt_tokens": NaN}}')),
    "invalid JSON in a stream": (True, STREAM + chunk(b"data: {oops\n\n")),
    "an empty stream": (True, STREAM + LAST),
    "NaN in a stream": (True, STREAM + chunk(b'data: {"choices": [], "logprob": NaN}\n\n')),
}


@pytest.mark.parametrize(("stream", "answer"), BAD.values(), ids=BAD.keys())
def test_f12_bad_output_is_a_protocol_error_that_is_counted(stream: bool, answer: bytes) -> None:
    fleet = make(["a"], retries=Retries(most=1))
    client = fleet.ask(stream=stream)
    fleet.worker.upstream("a").give(answer)
    fleet.turn()
    told = client.answer()
    assert told.status == 502
    assert told.get(b"x-towplane-reason").startswith(b"upstream-")
    assert outcomes(fleet) == ["protocol"]
    assert counted(fleet, "towplane_attempts_total", outcome="protocol") == 1
    fleet.over()


def test_f12_bad_output_after_tokens_ends_the_stream_with_an_error() -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    fleet.worker.upstream("a").give(STREAM, TOKEN, chunk(b"data: {oops\n\n"))
    fleet.turn()
    assert b'"error"' in client.received
    assert fleet.attempts() == [("a", "first")]
    assert outcomes(fleet) == ["protocol"]
    fleet.over()


@pytest.mark.parametrize("tokens", [0, 1, 7])
def test_f16_a_client_that_leaves_stops_the_upstream_and_pays_what_was_produced(
    tokens: int,
) -> None:
    fleet = make()
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream("a")
    up.give(STREAM, *[TOKEN] * tokens)
    client.leave()
    fleet.turn()
    assert up.transport.is_closed
    (end,) = fleet.worker.events(Settled)
    assert (end.outcome, end.usage, end.output) == ("cancelled", "estimated", tokens)
    assert end.input is not None
    assert end.cost_nanousd == end.input + 2 * tokens
    assert fleet.worker.hall.targets["a/m"].breaker.state == "closed"
    fleet.over()
