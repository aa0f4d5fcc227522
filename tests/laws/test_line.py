"""Whole walks of the line in virtual time: a real hall, real parsers, played upstreams."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from towplane.document.plane import HttpLimits
from towplane.routing.spec import Breaker, Retries, Timeouts
from towplane.tenants.events import Opened, Settled
from towplane.tenants.spec import Budget, Limits
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.played import Client, Upstream
from towplane.testing.wire import (
    END,
    LAST,
    STREAM,
    TOKEN,
    chunk,
    delta,
    event,
    post,
    usage,
    whole,
)

PRICE = (1_000_000, 500_000, 2_000_000)
"""Nano-dollars: 1 for a token in, half of one for a cached one, 2 for one out."""
ANSWER = whole({"choices": [], "usage": usage(10, 4, cached=4)})
B = chunk(event(delta("b")))
TIMEOUTS = Timeouts(connect_s=2.0, first_token_s=20.0, between_tokens_s=5.0, total_s=60.0)


def make(*groups: list[str], **more: Any) -> Fleet:
    """The route `m` over groups of targets, one target `a` if nothing is said."""
    groups = groups or (["a"],)
    for_route: dict[str, Any] = {"timeouts": TIMEOUTS}
    for name in ("timeouts", "retries", "breaker"):
        if name in more:
            for_route[name] = more.pop(name)
    return Fleet.of(route("m", *groups, **for_route), **({"price": PRICE} | more))


def told(client: Client) -> tuple[int, str]:
    """Status and reason of the only answer; 0 while there is none."""
    if not client.received:
        return 0, ""
    answer = client.answer()
    return answer.status, answer.get(b"x-towplane-reason").decode()


def ends(fleet: Fleet) -> list[tuple[str, str, bool]]:
    """Target, outcome, and whether the client saw it, of each attempt."""
    opened = {one.id: one for one in fleet.worker.events(Opened)}
    return [
        (opened[end.id].target[:-2], end.outcome, end.final) for end in fleet.worker.events(Settled)
    ]


# A good walk


def test_an_attempt_is_opened_before_the_target_hears_of_it_and_settled_before_the_client() -> None:
    fleet = make()
    client = fleet.ask()
    fleet.worker.upstream().give(ANSWER)
    kinds = [
        type(effect.what).__name__ if effect.where == "journal" else effect.where
        for effect in fleet.worker.effects
    ]
    assert kinds == ["Opened", "upstream", "Settled", "client"]
    assert told(client) == (200, "")
    fleet.over()


def test_an_answer_says_who_gave_it_and_passes_on_what_a_client_may_see() -> None:
    fleet = make(["a"], ["b"])
    fleet.refusing.add("a")
    client = fleet.ask()
    headers = "x-request-id: up-1\r\nset-cookie: c\r\nx-ratelimit-limit: 5\r\n"
    fleet.worker.upstream("b").give(whole({}, headers=headers))
    (opened,) = {one.id.partition(".")[0] for one in fleet.worker.events(Opened)}
    assert client.answer().headers == [
        (b"x-towplane-request-id", opened.encode()),
        (b"x-towplane-target", b"b/m"),
        (b"x-towplane-attempts", b"2"),
        (b"content-length", b"2"),
        (b"content-type", b"application/json"),
        (b"x-request-id", b"up-1"),
    ]
    fleet.over()


def test_a_target_gets_its_own_credential_and_model_and_never_the_clients_key() -> None:
    fleet = Fleet(route("m", ["a"]), targets=[target("a", keys=["secret"])])
    fleet.worker.connect().send(
        post(fleet.key, {"model": "m"}, headers="traceparent: 00-1\r\ncookie: c\r\n")
    )
    fleet.turn()
    (message,) = fleet.worker.upstream().requests
    (opened,) = fleet.worker.events(Opened)
    assert dict(message.headers) == {
        b"host": b"a",
        b"authorization": b"Bearer secret",
        b"content-type": b"application/json",
        b"accept-encoding": b"identity",
        b"user-agent": b"towplane",
        b"x-towplane-request-id": opened.id.encode(),
        b"traceparent": b"00-1",
        b"content-length": b"13",
    }
    fleet.over()


def test_money_is_reserved_and_settled_to_the_nano_dollar() -> None:
    """Reserved: 1 token in, 10 out: 21. Used: 6 in, 4 cached, 4 out: 16; 5 come back."""
    fleet = make(budget=Budget(total_nanousd=21 + 16))
    first = fleet.ask(max_tokens=10)
    assert [one.reserved_nanousd for one in fleet.worker.events(Opened)] == [21]
    fleet.worker.upstream().give(ANSWER)
    assert [one.cost_nanousd for one in fleet.worker.events(Settled)] == [16]
    second = fleet.ask(max_tokens=10)
    fleet.worker.upstream().give(ANSWER)
    third = fleet.ask(max_tokens=3)
    assert [told(client) for client in (first, second, third)] == [
        (200, ""),
        (200, ""),
        (429, "budget-total"),
    ]
    fourth = fleet.ask(max_tokens=1)
    fleet.worker.upstream().give(whole({"usage": usage(1, 1)}))
    assert told(fourth) == (200, "")
    assert told(fleet.ask(max_tokens=1)) == (429, "budget-total"), "2 are left, 3 are needed"
    fleet.over()


def test_money_is_reserved_at_the_price_of_the_dearest_target() -> None:
    fleet = Fleet(
        route("m", ["a"], ["b"]),
        targets=[target("a", price=(1, 1, 1)), target("b", price=(10**6, 10**6, 5 * 10**6))],
    )
    fleet.ask(max_tokens=10)
    assert [one.reserved_nanousd for one in fleet.worker.events(Opened)] == [1 + 50]
    fleet.over()


# Refusals


@dataclass(frozen=True)
class Refusal:
    name: str
    want: tuple[int, str, str | None]
    """Status, reason, `error.code`."""
    fields: dict[str, Any] = field(default_factory=dict)
    fleet: dict[str, Any] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)
    raw: bytes | None = None


BODY = {"model": "m", "messages": []}
REFUSALS = [
    Refusal("no key", (401, "key-missing", "invalid_api_key"),
            raw=b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n"
                b'{"model":"m"}'),
    Refusal("a key in the dark", (401, "key-unknown", "invalid_api_key"),
            more={"key": "tp-abcdefghjk-" + 52 * "a"}),
    Refusal("no such path", (404, "path-unknown", "path-unknown"), more={"path": "/v1/chat"}),
    Refusal("no such method", (405, "method-not-allowed", "method-not-allowed"),
            raw=b"PUT /v1/embeddings HTTP/1.1\r\nhost: x\r\n\r\n"),
    Refusal("a body in bits", (400, "body-invalid", "body-invalid"), {"stream": "yes"}),
    Refusal("no such model", (404, "model-unknown", "model_not_found"), {"model": "x"}),
    Refusal("a model for others", (403, "model-not-allowed", "model-not-allowed"),
            fleet={"models": ["other"]}),
    Refusal("no price, but a budget", (403, "price-unknown", "price-unknown"),
            fleet={"price": None, "budget": Budget(monthly_nanousd=10**9)}),
    Refusal("too little money", (429, "budget-daily", "insufficient_quota"), {"max_tokens": 10},
            {"budget": Budget(daily_nanousd=20)}),
    Refusal("too many tokens at once", (429, "tokens-per-minute", "rate_limit_exceeded"),
            {"max_tokens": 10}, {"limits": Limits(tpm=10)}),
    Refusal("no requests at all", (429, "requests-per-minute", "rate_limit_exceeded"),
            fleet={"limits": Limits(rpm=0)}),
    Refusal("not now", (429, "concurrency", "rate_limit_exceeded"),
            fleet={"limits": Limits(concurrency=0)}),
    Refusal("an old dialect of HTTP", (400, "http-invalid", "http-invalid"),
            raw=b"GET / HTTP/1.1\r\n\r\n"),
    Refusal("packed", (415, "content-encoding", "content-encoding"),
            more={"headers": "content-encoding: gzip\r\n"}),
]  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_a_refusal_is_an_error_of_the_clients_dialect_and_reaches_no_target(case: Refusal) -> None:
    fleet = make(**case.fleet)
    client = fleet.worker.connect()
    more = dict(case.more)
    key = more.pop("key", fleet.key)
    client.send(case.raw or post(key, BODY | case.fields, **more))
    fleet.turn()
    answer = client.answer()
    error = json.loads(answer.body)["error"]
    assert (answer.status, answer.get(b"x-towplane-reason").decode(), error["code"]) == case.want
    assert sorted(error) == ["code", "message", "param", "type"]
    assert fleet.worker.upstreams == []
    assert fleet.worker.effects[:-1] == []
    fleet.over()


def test_when_no_target_can_answer_the_refusal_says_why_and_gives_everything_back() -> None:
    fleet = make(["a"], ["b"], limits=Limits(concurrency=1), budget=Budget(total_nanousd=1000))
    snapshot = fleet.snapshot.targets
    states = (("a", "crash-loop", "exit 1"), ("b", "starting", ""))
    fleet.reload(targets=tuple(target(n, price=PRICE, state=s, reason=r) for n, s, r in states))
    fleet.turn()
    client = fleet.ask()
    assert told(client) == (503, "no-target")
    assert b"a/m is crash-loop (exit 1); b/m is starting." in client.answer().body
    fleet.reload(targets=snapshot)
    fleet.turn()
    again = fleet.ask()
    fleet.worker.upstream("a").give(ANSWER)
    assert told(again) == (200, "")
    fleet.over()


# Trying again


def closes(up: Upstream) -> None:
    up.close()


def resets(up: Upstream) -> None:
    up.close(ConnectionResetError())


def gives(*pieces: bytes) -> Callable[[Upstream], None]:
    return lambda up: up.give(*pieces)


def breaks(*pieces: bytes) -> Callable[[Upstream], None]:
    def play(up: Upstream) -> None:
        up.give(*pieces)
        up.close()

    return play


@dataclass(frozen=True)
class Failure:
    name: str
    given: Callable[[Upstream], None]
    want: str
    """Outcome of the attempt."""
    stream: bool = False


FAILURES = [
    Failure("closed", closes, "unavailable"),
    Failure("reset", resets, "unavailable"),
    Failure("not HTTP", gives(b"SSH-2.0\r\n"), "protocol"),
    Failure("half a head", breaks(b"HTTP/1.1 200 OK\r\n"),
            "unavailable"),
    Failure("half a body", breaks(ANSWER[:-5]), "unavailable"),
    Failure("not JSON", gives(whole(b"<html>")), "protocol"),
    Failure("500", gives(whole({}, 500)), "server_error"),
    Failure("503", gives(whole({}, 503)), "overloaded"),
    Failure("429", gives(whole({}, 429)), "rate_limited"),
    Failure("401: the plane's own credentials", gives(whole({}, 401)), "denied"),
    Failure("an error in a stream", gives(STREAM, chunk(event({"error": {}}))), "server_error",
            stream=True),
    Failure("a stream without a token that ends", gives(STREAM, LAST), "protocol", stream=True),
    Failure("an answer to nobody's question", gives(ANSWER + b"HTTP/1.1 200"), "ok"),
]  # fmt: skip


@pytest.mark.parametrize("case", FAILURES, ids=lambda case: case.name)
@pytest.mark.parametrize("groups", [(["a", "b"],), (["a"], ["b"])], ids=["group", "fallback"])
def test_before_the_first_token_another_target_is_tried(
    case: Failure, groups: tuple[list[str], ...]
) -> None:
    fleet = make(*groups)
    client = fleet.ask(stream=case.stream)
    case.given(fleet.worker.upstream("a"))
    fleet.turn()
    if case.want != "ok":
        if case.stream:
            fleet.worker.upstream("b").give(STREAM, TOKEN, END)
        else:
            fleet.worker.upstream("b").give(ANSWER)
    assert told(client) == (200, "")
    causes = [one.cause for one in fleet.worker.events(Opened)]
    if case.want != "ok":
        assert ends(fleet) == [("a", case.want, False), ("b", "ok", True)]
        assert causes == ["first", "retry" if len(groups) == 1 else "fallback"]
    fleet.over()


@pytest.mark.parametrize("status", [400, 404, 422])
def test_the_callers_own_fault_is_passed_on_as_it_is(status: int) -> None:
    fleet = make(["a", "b"])
    client = fleet.ask()
    fleet.worker.upstream("a").give(whole({"error": {"message": "no"}}, status))
    assert told(client) == (status, "upstream-rejected")
    assert json.loads(client.answer().body) == {"error": {"message": "no"}}
    assert ends(fleet) == [("a", "refused", True)]
    fleet.over()


def test_after_the_first_token_nothing_is_tried_again() -> None:
    fleet = make(["a", "b"])
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream("a")
    up.give(STREAM, TOKEN)
    up.close()
    answer = client.answer()
    assert not answer.complete
    assert client.is_over
    assert b'"code":"unavailable"' in answer.body
    assert ends(fleet) == [("a", "unavailable", True)]
    assert [end.output for end in fleet.worker.events(Settled)] == [1]
    fleet.over()


def test_the_last_failure_is_told_when_nobody_answers() -> None:
    fleet = make(["a"], ["b"], ["c"])
    client = fleet.ask()
    fleet.worker.upstream("a").give(whole({"a": 1}, 500))
    fleet.turn()
    fleet.worker.upstream("b").close()
    fleet.turn()
    fleet.worker.upstream("c").give(whole({"c": 1}, 503, "retry-after: 7\r\n"))
    assert told(client) == (503, "upstream-overloaded")
    assert json.loads(client.answer().body) == {"c": 1}
    assert client.answer().get(b"retry-after") == b"7"
    assert [end[1] for end in ends(fleet)] == ["server_error", "unavailable", "overloaded"]
    fleet.over()


def test_no_more_attempts_are_made_than_the_route_allows() -> None:
    fleet = make(["a"], ["b"], ["c"], retries=Retries(most=2, floor=100.0))
    fleet.refusing |= {"a", "b"}
    assert told(fleet.ask()) == (502, "unavailable")
    assert len(fleet.worker.events(Opened)) == 2
    fleet.over()


def test_without_retry_budget_the_first_failure_is_the_answer() -> None:
    fleet = make(["a", "b"], retries=Retries(share=0.0, floor=0.1, window_s=10.0))
    fleet.refusing.add("a")
    outcomes = []
    for _ in range(4):  # the turns go a, b, a, b; a retry is a turn, too
        client = fleet.ask()
        if not client.received:
            fleet.worker.upstream("b").give(ANSWER)
        outcomes.append(told(client)[0])
    assert outcomes.count(502) >= 1
    assert sum(one.cause == "retry" for one in fleet.worker.events(Opened)) == 1
    assert fleet.worker.hall.routes["m"].counters.retries_denied == outcomes.count(502)
    fleet.over()


def test_a_target_that_asks_to_be_left_alone_is() -> None:
    fleet = make(["a"], ["b"])
    client = fleet.ask()
    fleet.worker.upstream("a").give(whole({}, 429, "retry-after: 30\r\n"))
    fleet.turn()
    fleet.worker.upstream("b").give(ANSWER)
    assert told(client) == (200, "")
    for wait_s, host in ((29.0, "b"), (2.0, "a")):
        fleet.wait(wait_s)
        client = fleet.ask()
        fleet.worker.upstream().give(ANSWER)
        assert client.answer().get(b"x-towplane-target") == f"{host}/m".encode()
    fleet.over()


def test_a_breaker_leaves_a_failing_target_alone_and_probes_it_once() -> None:
    fleet = make(["a"], ["b"], breaker=Breaker(failures=2, open_s=5.0))
    fleet.refusing.add("a")
    hosts = []
    for wait_s in (0.0, 0.0, 0.0, 5.0):
        fleet.wait(wait_s)
        if wait_s:
            fleet.refusing.clear()
        client = fleet.ask()
        fleet.worker.upstream().give(ANSWER)
        hosts.append([one.target[0] for one in fleet.worker.events(Opened)][-1])
        assert told(client) == (200, "")
    assert hosts == ["b", "b", "b", "a"]
    assert [one.target[0] for one in fleet.worker.events(Opened)] == list("abab" + "ba")
    fleet.over()


def test_a_kept_connection_that_had_been_closed_is_dialled_anew_once() -> None:
    fleet = make(["a"], ["b"])
    fleet.ask()
    first = fleet.worker.upstream("a")
    first.give(ANSWER)
    client = fleet.ask()
    assert len(first.requests) == 2, "it was kept"
    first.close()
    fleet.turn()
    second = fleet.worker.upstream("a")
    assert second is not first
    second.close()
    fleet.turn()
    fleet.worker.upstream("b").give(ANSWER)
    assert told(client) == (200, "")
    assert [one.cause for one in fleet.worker.events(Opened)] == [
        "first", "first", "reconnect", "fallback",
    ]  # fmt: skip
    state = fleet.worker.hall.targets["a/m"]
    assert state.failures == 1, "an old connection is not the target's fault"
    fleet.over()


# Time


def test_a_connection_that_takes_too_long_is_given_up() -> None:
    fleet = make(["a"], ["b"])
    fleet.hanging.add("a")
    client = fleet.ask()
    fleet.wait(2.0)
    assert ends(fleet) == []
    fleet.wait(0.1, step_s=0.05)
    fleet.worker.upstream("b").give(ANSWER)
    assert told(client) == (200, "")
    assert ends(fleet) == [("a", "timeout", False), ("b", "ok", True)]
    assert fleet.worker.events(Settled)[0].usage == "absent", "nothing was sent"
    fleet.over()


def test_a_first_token_that_does_not_come_is_sought_elsewhere() -> None:
    """Comments and role frames are no tokens."""
    fleet = make(["a"], ["b"])
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream("a")
    up.give(STREAM, chunk(event(delta("", role="assistant"))))
    for _ in range(19):
        fleet.wait(1.0)
        up.give(chunk(b": ping\n\n"))
    assert ends(fleet) == []
    fleet.wait(1.5)
    assert up.transport.is_closed
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    assert told(client) == (200, "")
    assert ends(fleet) == [("a", "timeout", False), ("b", "ok", True)]
    fleet.over()


def test_a_stream_that_falls_silent_is_ended_in_words() -> None:
    fleet = make(["a"], ["b"])
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream("a")
    up.give(STREAM, TOKEN)
    for _ in range(3):
        fleet.wait(4.0)
        up.give(B)
    fleet.wait(5.5)
    assert not client.answer().complete
    assert b'"code":"timeout-between-tokens"' in client.answer().body
    assert ends(fleet) == [("a", "timeout", True)]
    assert [end.output for end in fleet.worker.events(Settled)] == [4]
    fleet.over()


def test_a_whole_answer_may_take_its_time_and_no_more() -> None:
    fleet = make(["a"], ["b"])
    client = fleet.ask()
    fleet.wait(60.0)
    assert told(client) == (0, "")
    fleet.wait(0.5)
    assert told(client) == (504, "timeout-total")
    assert ends(fleet) == [("a", "timeout", True)], "there is no time for another"
    fleet.over()


# The client's side


def test_a_client_that_leaves_stops_the_work_and_pays_for_what_was_made() -> None:
    fleet = make(["a"], ["b"], limits=Limits(concurrency=2))
    streams = fleet.ask(stream=True, max_tokens=50)
    up = fleet.worker.upstream()
    up.give(STREAM, TOKEN, B)
    waits = fleet.ask()
    streams.leave()
    waits.leave()
    fleet.turn()
    assert all(up.transport.is_closed for up in fleet.worker.upstreams)
    assert ends(fleet) == [("a", "cancelled", True)] * 2
    found = [(e.usage, e.input, e.output, e.cost_nanousd) for e in fleet.worker.events(Settled)]
    assert found == [("estimated", 1, 2, 5), ("estimated", 1, 0, 1)]
    fleet.over()


def test_a_client_that_leaves_during_the_dial_pays_nothing() -> None:
    fleet = make()
    fleet.hanging.add("a")
    fleet.ask().leave()
    fleet.turn()
    (end,) = fleet.worker.events(Settled)
    assert (end.outcome, end.usage, end.cost_nanousd) == ("cancelled", "absent", None)
    assert fleet.worker.hall.targets["a/m"].breaker.state == "closed"
    fleet.over()


def test_a_slow_client_slows_its_target_and_its_silence_is_not_the_targets() -> None:
    fleet = make(http=HttpLimits(write_timeout_s=30.0))
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream()
    up.give(STREAM, TOKEN)
    client.protocol.pause_writing()
    assert not up.transport.reads
    fleet.wait(20.0)
    client.protocol.resume_writing()
    assert up.transport.reads
    up.give(B, END)
    assert client.answer().complete
    fleet.over()


def test_a_client_that_takes_nothing_is_gone() -> None:
    fleet = make(http=HttpLimits(write_timeout_s=10.0))
    client = fleet.ask(stream=True)
    fleet.worker.upstream().give(STREAM, TOKEN)
    client.protocol.pause_writing()
    fleet.wait(11.0)
    assert client.transport.is_closed
    assert ends(fleet) == [("a", "cancelled", True)]
    fleet.over()


def test_a_client_that_reads_nothing_is_answered_nothing_more() -> None:
    """Its next requests wait unread instead of piling up answers."""
    fleet = make()
    client = fleet.worker.connect()
    client.protocol.pause_writing()
    request = b"GET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n"
    client.send(request * 20)
    fleet.turn(30)
    assert client.received == b""
    assert not client.transport.reads
    client.protocol.resume_writing()
    fleet.turn(30)
    assert [answer.status for answer in client.answers()] == [404] * 20
    assert client.transport.reads
    fleet.over()


def test_a_slow_reader_gets_all_of_a_closing_answer() -> None:
    fleet = make(http=HttpLimits(write_timeout_s=10.0))
    client = fleet.worker.connect()
    client.send(post(fleet.key, BODY, headers="connection: close\r\n"))
    fleet.turn()
    fleet.worker.upstream().give(ANSWER)
    assert client.transport.is_ended
    for left in (9000, 6000, 3000):
        client.transport.unwritten = left
        fleet.wait(9.0)
        assert not client.transport.is_closed
    client.transport.unwritten = 0
    fleet.wait(13.0)
    assert client.transport.is_closed
    fleet.over()


def test_pipelined_requests_are_answered_in_their_order() -> None:
    fleet = make()
    client = fleet.worker.connect()
    one = post(fleet.key, BODY)
    client.send(
        one + b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\n\r\n" % fleet.key.encode()
    )
    client.send(one + b"nonsense\r\n\r\n")
    fleet.turn()
    for _ in range(2):
        assert len(client.answers()) in (0, 2)
        fleet.worker.upstream().give(ANSWER)
        fleet.turn()
    assert [answer.status for answer in client.answers()] == [200, 200, 200, 400]
    assert client.is_over
    fleet.over()


def test_100_continue_is_said_before_the_body_and_to_no_stranger() -> None:
    fleet = make()
    known, unknown = fleet.worker.connect(), fleet.worker.connect()
    head = post(fleet.key, BODY, headers="expect: 100-continue\r\n")
    border = head.index(b"\r\n\r\n") + 4
    known.send(head[:border])
    unknown.send(head[:border].replace(b"Bearer tp-", b"Bearer xx-"))
    assert bytes(known.received) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert told(unknown) == (401, "key-unknown")
    known.send(head[border:])
    fleet.turn()
    fleet.worker.upstream().give(ANSWER)
    assert [answer.status for answer in known.answers()] == [100, 200]
    fleet.over()


def test_head_is_answered_without_a_body() -> None:
    fleet = make()
    client = fleet.worker.connect()
    head = b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: %b\r\n\r\n" % fleet.key.encode()
    client.send(head + head)
    fleet.turn()
    assert [answer.status for answer in client.answers([b"HEAD", b"HEAD"])] == [200, 200]
    fleet.over()


def test_http_1_0_closes_unless_it_asks_not_to() -> None:
    fleet = make()
    closes, stays = fleet.worker.connect(), fleet.worker.connect()
    closes.send(post(fleet.key, BODY, version="1.0"))
    stays.send(post(fleet.key, BODY, version="1.0", headers="connection: keep-alive\r\n"))
    fleet.turn()
    for up in fleet.worker.upstreams:
        up.give(ANSWER)
    assert (closes.is_over, closes.answer().get(b"connection")) == (True, b"close")
    assert (stays.is_over, stays.answer().get(b"connection")) == (False, b"keep-alive")
    fleet.over()


def test_going_down_lets_answers_end_and_refuses_new_requests_in_words() -> None:
    fleet = make()
    running, idle = fleet.ask(stream=True), fleet.worker.connect()
    fleet.worker.upstream().give(STREAM, TOKEN)
    fleet.worker.hall.drain()
    idle.ask()
    assert told(idle) == (503, "draining")
    assert idle.is_over
    fleet.worker.upstream().give(B, END)
    assert running.answer().complete
    running.ask()
    fleet.turn()
    assert [answer.status for answer in running.answers()] == [200, 503]
    fleet.over()


def test_what_is_cut_off_at_the_end_is_billed_as_it_is() -> None:
    fleet = make()
    fleet.ask(stream=True)
    fleet.worker.upstream().give(STREAM, TOKEN, B)
    fleet.over()
    assert [(end.outcome, end.output) for end in fleet.worker.events(Settled)] == [("cancelled", 2)]


def test_a_reload_lets_what_runs_go_on_and_keeps_no_connection_to_what_is_gone() -> None:
    fleet = make(["a"])
    client = fleet.ask(stream=True)
    up = fleet.worker.upstream("a")
    up.give(STREAM, TOKEN)
    fleet.reload(routes=(route("m", ["b"]),), targets=(target("b"),))
    fleet.turn()
    up.give(END)
    fleet.turn()
    assert client.answer().complete
    assert up.transport.is_closed
    fleet.ask()
    assert fleet.worker.upstream().host == "b"
    fleet.over()


# Any order


class Orders(RuleBasedStateMachine):
    """Clients, targets and time do what they like; nothing is ever lost."""

    @initialize(concurrency=st.none() | st.integers(1, 3), budget=st.none() | st.just(10**6))
    def begin(self, concurrency: int | None, budget: int | None) -> None:
        self.fleet = make(
            ["a", "b"],
            ["c"],
            breaker=Breaker(failures=3, open_s=1.0),
            retries=Retries(share=0.5, floor=0.5),
            limits=Limits(concurrency=concurrency),
            budget=Budget(total_nanousd=budget),
            http=HttpLimits(write_timeout_s=5.0),
        )
        self.clients: list[Client] = []

    @rule(stream=st.booleans(), output=st.integers(0, 50))
    def ask(self, stream: bool, output: int) -> None:
        self.clients.append(self.fleet.ask(stream=stream, max_tokens=output))

    def working(self) -> list[Upstream]:
        return [
            up
            for up in self.fleet.worker.upstreams
            if up.requests and up.transport.reads and not up.transport.is_closed
        ]

    @precondition(lambda self: self.working())
    @rule(
        data=st.data(),
        pieces=st.sampled_from(
            [
                (STREAM, TOKEN),
                (TOKEN,),
                (TOKEN, B, END),
                (STREAM, TOKEN, END),
                (ANSWER,),
                (whole({}, 500),),
                (whole({}, 400),),
                (whole({}, 429, "retry-after: 2\r\n"),),
                (whole({}, 503),),
                (STREAM, chunk(event({"error": {}}))),
                (LAST,),
                (b"nonsense",),
            ]
        ),
    )
    def give(self, data: st.DataObject, pieces: tuple[bytes, ...]) -> None:
        data.draw(st.sampled_from(self.working())).give(*pieces)
        self.fleet.turn()

    @precondition(lambda self: self.working())
    @rule(data=st.data(), resets=st.booleans())
    def close(self, data: st.DataObject, resets: bool) -> None:
        up = data.draw(st.sampled_from(self.working()))
        up.close(ConnectionResetError() if resets else None)
        self.fleet.turn()

    @rule(host=st.sampled_from("abc"), how=st.sampled_from(["refusing", "hanging", "well"]))
    def change(self, host: str, how: str) -> None:
        for kind in ("refusing", "hanging"):
            (set.add if kind == how else set.discard)(getattr(self.fleet, kind), host)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), what=st.sampled_from(["leave", "slow", "fast", "again"]))
    def client(self, data: st.DataObject, what: str) -> None:
        client = data.draw(st.sampled_from(self.clients))
        if client.transport.is_closed:
            return
        match what:
            case "leave":
                client.leave()
            case "slow" if not client.protocol.paused:
                client.protocol.pause_writing()
            case "fast" if client.protocol.paused:
                client.protocol.resume_writing()
            case "again":
                client.ask()
        self.fleet.turn()

    @rule(seconds=st.sampled_from([0.3, 1.0, 6.0, 25.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.fleet.wait(seconds, step_s=max(0.5, seconds / 8))

    @invariant()
    def what_is_counted_is_what_runs(self) -> None:
        worker = self.fleet.worker
        assert self.fleet.errors == []
        running = set(worker.journal.opened) - set(worker.journal.settled)
        hall = worker.hall
        over = sum(x.attempt is not None and x.attempt.is_over for x in hall.exchanges)
        in_flight = sum(state.in_flight for state in hall.targets.values())
        assert in_flight + over == len(running), "over: failed, and waits before it tries again"
        assert hall.routes["m"].counters.in_flight == len(running)

    def teardown(self) -> None:
        if not hasattr(self, "fleet"):
            return
        fleet = self.fleet
        for client in self.clients:
            if client.protocol.paused and not client.transport.is_closed:
                client.protocol.resume_writing()
        fleet.wait(70.0, step_s=1.0)
        hall = fleet.worker.hall
        assert not hall.exchanges, "a request waits for ever"
        for name, entry in fleet.coordinator._entries.items():
            share = hall._share(name)
            assert share is not None
            assert entry.pool is not None
            spent = sum(end.cost_nanousd or 0 for end in fleet.worker.events(Settled))
            used = 0 if entry.measure == "concurrency" else spent
            assert entry.pool.out == share.free + used, "a unit is lost"
        fleet.over()


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
