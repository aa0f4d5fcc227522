"""Fallback chains by reason, and answers that fail inside a 200 before the client has seen any."""

from typing import Any

import pytest

from towplane.parts.errors import ContextTooLong, Denied, TimedOut
from towplane.routing.chooser import Chooser
from towplane.routing.demand import NOTHING
from towplane.routing.fallbacks import closed_by, reason_of
from towplane.routing.spec import Retries, RouteSpec, Timeouts
from towplane.tenants.events import Settled
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.rosters import make_roster
from towplane.testing.wire import DONE, END, LAST, STREAM, TOKEN, chunk, delta, event, usage, whole

ANSWER = whole({"choices": [], "usage": usage(1, 1)})


def make(*steps: tuple[str, ...], **spec: Any) -> Fleet:
    """Own target `a`; each step: its host and its reasons."""
    info = route("m", ["a"], *([host] for host, *_ in steps), **spec)
    fields = {name: getattr(info, name) for name in info.__struct_fields__}
    fields["on"] = ((), *(tuple(on) for _, *on in steps))
    targets = [target("a"), *(target(host) for host, *_ in steps)]
    return Fleet(type(info)(**fields), targets=targets)


def error(code: str) -> dict[str, Any]:
    return {"error": {"message": "no", "code": code, "type": code}}


TOO_LONG = whole(error("context_length_exceeded"), 400)
FILTERED = whole(error("content_filter"), 400)


def test_a_prompt_too_long_goes_to_the_model_with_the_larger_window_alone() -> None:
    fleet = make(("b",), ("c", "context-length"), ("d",))
    client = fleet.ask()
    fleet.worker.upstream("a").give(TOO_LONG)
    fleet.turn()
    assert fleet.asked() == ["a", "c"]
    fleet.worker.upstream("c").give(ANSWER)
    assert client.answer().status == 200
    fleet.over()


def test_without_such_a_step_the_client_hears_of_it_at_once() -> None:
    for fleet in (make(("b",)), make(("b", "content-filter"))):
        client = fleet.ask()
        fleet.worker.upstream("a").give(TOO_LONG)
        assert client.answer().status == 400
        assert fleet.asked() == ["a"]
        fleet.over()


def test_a_filtered_prompt_goes_where_it_may_go() -> None:
    fleet = make(("b", "content-filter"))
    fleet.ask()
    fleet.worker.upstream("a").give(FILTERED)
    fleet.turn()
    assert fleet.asked() == ["a", "b"]
    fleet.over()


@pytest.mark.parametrize(
    ("answer", "goes_to"),
    [
        (whole({}, 429), "b"),
        (whole(error("insufficient_quota"), 429), "c"),
        (whole({}, 503), "d"),
        (whole({}, 500), "e"),
    ],
)
def test_each_failure_goes_to_the_step_that_names_it(answer: bytes, goes_to: str) -> None:
    fleet = make(("b", "rate-limit"), ("c", "price"), ("d", "overload"), ("e", "server-error"))
    fleet.ask()
    fleet.worker.upstream("a").give(answer)
    fleet.turn()
    assert fleet.asked() == ["a", goes_to]
    fleet.over()


def test_timeouts_and_refused_connections_have_steps_of_their_own() -> None:
    fleet = make(("b", "unavailable"), ("c", "timeout"), timeouts=Timeouts(first_token_s=3.0))
    fleet.ask(stream=True)
    fleet.wait(4.0)
    assert fleet.asked() == ["a", "c"]
    fleet.refusing.add("a")
    for up in fleet.worker.upstreams:
        up.close()
    fleet.ask()
    fleet.turn()
    assert fleet.asked()[-2:] == ["a", "b"]
    fleet.over()


def test_a_target_that_is_not_usable_counts_as_unavailable_and_one_at_its_limit_as_that() -> None:
    fleet = make(("b", "rate-limit"), ("c", "unavailable"))
    fleet.worker.hall.targets["a/m"].breaker.trip(fleet.clock.monotonic(), "failing")
    fleet.worker.hall.targets["a/m"].load.suspect()
    fleet.ask()
    assert fleet.asked() == ["c"]
    fleet.over()
    fleet = make(("c", "overload"), ("b", "rate-limit"))
    fleet.worker.hall.targets["a/m"].park(fleet.clock.monotonic() + 50)
    fleet.ask()
    assert fleet.asked() == ["b"]
    fleet.over()


def test_a_retry_within_the_routes_own_targets_asks_for_no_reason() -> None:
    info = route("m", ["a", "b"], ["c"])
    fields = {name: getattr(info, name) for name in info.__struct_fields__}
    fields["on"] = ((), ("rate-limit",))
    fleet = Fleet(type(info)(**fields), targets=[target(host) for host in "abc"])
    fleet.ask()
    fleet.worker.upstream("a").give(whole({}, 500))
    fleet.turn()
    assert fleet.asked() == ["a", "b"]
    fleet.worker.upstream("b").give(whole({}, 500))
    fleet.turn()
    assert fleet.asked() == ["a", "b"], "no step is for a server's error"
    fleet.over()


def test_the_reasons_close_groups() -> None:
    assert closed_by([(), ()]) is None
    closed = closed_by([(), ("context-length",), ()])
    assert closed is not None
    assert closed["context-length"] == {0, 2}
    assert closed["timeout"] == {1}
    chooser = Chooser(RouteSpec(targets=[]), [make_roster((1, 0)) for _ in range(3)])
    pick = chooser.pick(NOTHING, ["t0"], 0.0, closed["context-length"])
    assert pick is None, "the one that was tried has the same name here"


def test_every_failure_has_a_reason() -> None:
    assert reason_of(ContextTooLong("")) == "context-length"
    assert reason_of(TimedOut("")) == "timeout"
    assert reason_of(Denied("")) == "unavailable"


# 200, then an error

BAD_STARTS = {
    "an error event": STREAM + chunk(event(error("overloaded"))),
    "a role, then an error": STREAM
    + chunk(event(delta(role="assistant")) + event(error("overloaded"))),
    "nothing": STREAM + LAST,
    "only its end": STREAM + chunk(DONE) + LAST,
    "a role and its end": STREAM + chunk(event(delta(role="assistant")) + DONE) + LAST,
    "no JSON": STREAM + chunk(event(b"{oops")),
    "a comment and its end": STREAM + chunk(b": ping\n\n") + LAST,
}


@pytest.mark.parametrize("start", BAD_STARTS.values(), ids=BAD_STARTS.keys())
def test_a_stream_that_fails_before_its_first_token_is_tried_elsewhere(start: bytes) -> None:
    fleet = make(("b",))
    client = fleet.ask(stream=True)
    fleet.worker.upstream("a").give(start)
    fleet.turn()
    assert not client.received, "nothing is written before a token or a good end"
    assert fleet.asked() == ["a", "b"]
    fleet.worker.upstream("b").give(STREAM, TOKEN, END)
    assert client.answer().get(b"x-towplane-target") == b"b/m"
    outcomes = [end.outcome for end in fleet.worker.events(Settled)]
    assert outcomes[0] in ("protocol", "overloaded")
    assert outcomes[1] == "ok"
    fleet.over()


def test_a_stream_that_ends_well_without_a_token_is_an_answer() -> None:
    fleet = make(("b",))
    client = fleet.ask(stream=True)
    fleet.worker.upstream("a").give(STREAM, END)
    assert client.answer().status == 200
    assert fleet.asked() == ["a"]
    fleet.over()


@pytest.mark.parametrize("body", [b"", b"{oops", b"<html>busy</html>"])
def test_an_answer_in_one_piece_that_is_none_is_tried_elsewhere(body: bytes) -> None:
    fleet = make(("b",))
    client = fleet.ask()
    fleet.worker.upstream("a").give(whole(body))
    fleet.turn()
    fleet.worker.upstream("b").give(ANSWER)
    assert client.answer().get(b"x-towplane-target") == b"b/m"
    fleet.over()


def test_an_error_in_the_body_of_a_200_is_an_error() -> None:
    fleet = make(("b",), retries=Retries(most=1))
    client = fleet.ask()
    fleet.worker.upstream("a").give(whole(error("rate_limit_exceeded")))
    assert client.answer().status == 429
    fleet.over()
