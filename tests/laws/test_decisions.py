"""Past choices are told as they were, and routes are explained for a request that nobody sent."""

import json

from towplane.gateway.explanation import answer_question
from towplane.gateway.messages import Explain
from towplane.routing.chooser import Chooser, Pick
from towplane.routing.decisions import Decided, Decisions, recall
from towplane.routing.demand import NOTHING
from towplane.routing.spec import RouteSpec
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.hall import Worker
from towplane.testing.rosters import make_roster
from towplane.testing.wire import whole

ANSWER = whole({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


def _fleet(choose: str = "least-in-flight") -> Fleet:
    return Fleet(route("m", ["a", "b"], ["c"], choose=choose), targets=[target(n) for n in "abc"])


def _id_of(worker: Worker) -> str:
    return str(worker.hall.decisions._kept[-1].request)


def test_a_past_choice_is_told_with_the_loads_of_then() -> None:
    fleet = _fleet()
    worker = fleet.worker
    clients = [worker.connect() for _ in range(3)]
    for client in clients:
        client.ask()
    third = _id_of(worker)
    for up in worker.upstreams:
        up.give(ANSWER)
    assert worker.hall.targets["a/m"].in_flight == 0, "all is quiet again"
    (past,) = answer_question(worker.hall, Explain(0, request=third)).recalled
    assert sorted(place.in_flight for place in past.places) == [1, 1]
    assert past.reason == "1 in flight, the fewest"
    assert [place.score for place in past.places] == [1.0, 1.0]
    assert past.target in ("a/m", "b/m")
    assert past.note == ""


def test_a_retry_says_that_the_first_was_tried() -> None:
    fleet = _fleet("round-robin")
    worker = fleet.worker
    worker.connect().ask()
    first = worker.upstream()
    request = _id_of(worker)
    first.give(whole({"error": {}}, 500))
    worker.upstream().give(ANSWER)
    found = answer_question(worker.hall, Explain(0, request=request)).recalled
    assert [(one.attempt, one.cause) for one in found] == [(1, "first")]
    assert found[0].target == f"{first.host}/m"


def test_an_unknown_request_is_unknown() -> None:
    worker = _fleet().worker
    assert answer_question(worker.hall, Explain(0, request="nobody")).recalled == ()


def test_the_memory_is_bounded() -> None:
    kept = Decisions(most=3)
    for number in range(10):
        kept.keep(_decided(str(number)))
    assert [bool(kept.of(str(number))) for number in (6, 7, 9)] == [False, True, True]


def test_a_route_with_other_targets_tells_what_is_left() -> None:
    past = recall(_decided("r", names=("x", "y")), _chooser())
    assert (past.target, past.note) == (
        "y",
        "the route has other targets now, so the scores are lost",
    )
    assert [place.score for place in past.places] == [None, None]
    assert recall(_decided("r"), None).target == "t1"


def test_looking_back_changes_nothing() -> None:
    chooser = _chooser()
    (roster,) = chooser.rosters
    recall(_decided("r"), chooser)
    assert roster.in_flight == [5, 6]
    assert list(roster.barred(0.0)) == []


def test_a_request_that_nobody_sent_is_explained() -> None:
    worker = _fleet().worker
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    found = answer_question(worker.hall, Explain(0, "m", body, tenant="acme"))
    assert found.explanation is not None
    assert found.explanation.steps[0].target in ("a/m", "b/m")
    assert not worker.upstreams, "nothing was sent"


def test_what_is_no_request_is_refused_in_words() -> None:
    hall = _fleet().worker.hall
    assert "not a JSON object" in answer_question(hall, Explain(0, "m", b"[")).refused
    assert "/v2/x" in answer_question(hall, Explain(0, "m", b"{}", path="/v2/x")).refused
    assert answer_question(hall, Explain(0, "nothing")).explanation is None


def _chooser() -> Chooser:
    return Chooser(RouteSpec(targets=[]), [make_roster((1, 5), (1, 6))])


def _decided(request: str, names: tuple[str, ...] = ("t0", "t1")) -> Decided:
    return Decided(
        request, 1, "m", "first", 0.0, 0.0, 0, Pick(0, 1, 1), (), list(names), frozenset(),
        (3, 1), NOTHING,
    )  # fmt: skip
