"""Strong or weak: what a prompt scores, who is barred, and what the gateway makes of it."""

import json
from math import isnan, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towplane.document.load import parse_document
from towplane.document.problems import DocumentError
from towplane.gateway.messages import Placed, RouteInfo
from towplane.gateway.receive import PATHS, receive
from towplane.gateway.scoring import KEPT, MOST_CPU_S, Scoring
from towplane.parts.errors import BadDocument, Unsupported
from towplane.providers.ask import Ask
from towplane.providers.last_text import read_last_text
from towplane.routing.chooser import Chooser
from towplane.routing.complexity.model import Labels, Lane, Trained, read_model, write_model
from towplane.routing.complexity.narrowing import ByComplexity
from towplane.routing.complexity.scorer import make_scorer, score_length, scorer_of
from towplane.routing.complexity.words import BUCKETS, buckets_of
from towplane.routing.demand import Demand
from towplane.routing.load import Load
from towplane.routing.roster import Roster, Seat
from towplane.routing.spec import Complexity, RouteSpec
from towplane.testing.fleet import Fleet, route, target
from towplane.testing.wire import usage, whole

ROLES = st.lists(st.sampled_from(["strong", "weak", ""]), min_size=1, max_size=6)


def a_model(*lanes: Lane, weights: bytes = b"", kind: Any = "domain") -> Trained:
    labels = Labels(1, "", 0.8, 0.5, (0.2, 0.4))
    lanes = lanes or (Lane(""),)
    return Trained("towplane-router-1", kind, "", labels, True, "", (), lanes, 4.0, 1.0, weights)


def weights_of(lanes: int, **by_word: tuple[int, ...]) -> bytes:
    """Weights of single words; all others weigh nothing."""
    values = [0] * (BUCKETS * lanes)
    for word, row in by_word.items():
        at = buckets_of(word)[0] * lanes
        values[at : at + lanes] = row
    return b"".join(value.to_bytes(2, "little", signed=True) for value in values)


def make_chooser(*roles: str, **spec: Any) -> Chooser:
    seats = [Seat(Load(f"t{number}"), role=role) for number, role in enumerate(roles)]
    return Chooser(
        RouteSpec(targets=[], **{"complexity": Complexity(threshold=0.6), **spec}),
        [Roster(seats, lambda _place, _now: True)],
    )


def ask_of(body: dict[str, Any], path: str = "/v1/chat/completions") -> Ask:
    return receive(PATHS[path.encode()], [json.dumps({"model": "m", **body}).encode()], {})


# ---- Words


def test_equal_texts_have_equal_buckets_on_every_machine() -> None:
    """These numbers must never change: models that were trained stand on them."""
    assert buckets_of("Prove it: 2 + 2") == buckets_of("prove IT:2+2")
    assert buckets_of("prove it") == [6271, 5940, 4635]


@given(st.text(max_size=5000))
def test_any_text_has_a_bounded_number_of_buckets(text: str) -> None:
    found = buckets_of(text)
    assert all(0 <= one < BUCKETS for one in found)
    # Three bytes of UTF-8 hold at most three words; pairs are one fewer.
    assert len(found) <= 2 * 2001 * 4


def test_the_middle_of_a_long_text_does_not_count() -> None:
    start, end = "a " * 500, " z" * 500
    assert buckets_of(start + "middle " * 1000 + end) == buckets_of(start + "other " * 900 + end)


def test_languages_without_spaces_have_words() -> None:
    assert len(buckets_of("証明してください")) == 8 + 7


# ---- Scores


def test_the_length_is_in_characters() -> None:
    assert score_length("") == 0
    assert score_length("größer") == 6


def test_a_linear_score_is_the_logistic_of_its_weights() -> None:
    """One word of weight 300 × 0.01; pairs weigh nothing here; a unit of length adds nothing."""
    model = a_model(Lane("", bias=0.5, step=0.01), weights=weights_of(1, prove=(300,)))
    score = make_scorer(model)
    assert score("prove") == pytest.approx(1 / (1 + 2.718281828459045 ** -(0.5 + 3.0)))
    assert score("") == pytest.approx(1 / (1 + 2.718281828459045**-0.5))


def test_a_domain_score_is_the_mean_gain_of_its_domains() -> None:
    """By the softmax of the lanes, worked out by hand: weights of both signs, several lanes."""
    lanes = (Lane("law", step=0.001, gain=0.9), Lane("chat", bias=1.0, step=0.002, gain=0.5))
    score = make_scorer(a_model(*lanes, weights=weights_of(2, court=(2000, -1000))))
    law, chat = 2.0, 1.0 - 2.0
    share = 1 / (1 + 2.718281828459045 ** (chat - law))
    assert score("court") == pytest.approx(share * 0.9 + (1 - share) * 0.5)


@settings(max_examples=30)  # each makes a model
@given(
    st.text(max_size=3000),
    st.integers(1, 4),
    st.binary(min_size=64, max_size=64),
    st.sampled_from([1e-4, 0.01, 10.0]),
)
def test_lanes_never_run_into_each_other(text: str, count: int, some: bytes, step: float) -> None:
    """Sums in one long number are the sums of each lane, whatever the weights."""
    weights = (some * (BUCKETS * count * 2 // 64 + 1))[: BUCKETS * count * 2]
    lanes = tuple(Lane(str(n), step=step, gain=n / 4) for n in range(count))
    score = make_scorer(a_model(*lanes, weights=weights))(text)
    buckets = buckets_of(text)
    flat = memoryview(weights).cast("h")
    sums = [sum(flat[b * count + lane] for b in buckets) for lane in range(count)]
    logits = [one * step / (len(buckets) or 1) ** 0.5 for one in sums]
    if count == 1:
        return  # a linear score
    powers = [2.718281828459045 ** max(-700, one - max(logits)) for one in logits]
    gain = sum(p * n / 4 for n, p in enumerate(powers)) / sum(powers)
    assert score == pytest.approx(gain, abs=1e-9)


def test_a_scorer_that_is_not_installed_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="no scorer is called lenght"):
        scorer_of("lenght", None)


def test_what_was_written_is_read_back_and_what_was_altered_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "router.json"
    model = write_model(a_model(Lane("", bias=0.25), weights=weights_of(1, a=(1,))), file)
    assert read_model(file) == model
    file.write_text(file.read_text().replace("0.25", "0.75"))
    with pytest.raises(BadDocument, match="altered"):
        read_model(file)
    file.write_text("{}")
    with pytest.raises(BadDocument, match="is no model"):
        read_model(file)
    with pytest.raises(BadDocument, match="cannot be read"):
        read_model(tmp_path / "nothing.json")
    write_model(a_model(Lane(""), weights=b"12"), file)
    with pytest.raises(BadDocument, match="another size"):
        read_model(file)


# ---- The narrowing


@given(ROLES, st.one_of(st.floats(0, 2), st.just(nan)), st.floats(0, 2))
def test_only_the_other_role_is_barred_and_nobody_by_an_unknown_score(
    roles: list[str], score: float, threshold: float
) -> None:
    chooser = make_chooser(*roles)
    narrowing = ByComplexity(Complexity(threshold=threshold))
    barred = set(narrowing.bars(chooser.rosters[0], Demand(score=score), 0.0))
    other = "" if isnan(score) else "weak" if score >= threshold else "strong"
    assert barred == {place for place, role in enumerate(roles) if other and role == other}


@given(ROLES, st.floats(0, 2))
def test_a_request_is_answered_whoever_is_there(roles: list[str], score: float) -> None:
    """By its own role where there is one, or by one without a role; else by the other."""
    chooser = make_chooser(*roles)
    pick = chooser.pick(Demand(score=score), (), 0.0)
    assert pick is not None
    wanted = "strong" if score >= 0.6 else "weak"
    if any(role in (wanted, "") for role in roles):
        assert roles[pick.place] in (wanted, "")


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 1))
def test_a_harder_prompt_is_never_sent_to_a_weaker_target(
    scores: list[float], threshold: float
) -> None:
    chooser = make_chooser("weak", "strong", complexity=Complexity(threshold=threshold))
    places = []
    for score in sorted(scores):
        pick = chooser.pick(Demand(score=score), (), 0.0)
        assert pick is not None
        places.append(pick.place)
    assert places == sorted(places)


def test_when_strong_has_failed_weak_answers() -> None:
    chooser = make_chooser("weak", "strong")
    hard = Demand(score=0.9)
    first = chooser.pick(hard, (), 0.0)
    second = chooser.pick(hard, ("t1",), 0.0)
    assert first is not None
    assert second is not None
    assert (first.place, second.place) == (1, 0)


def test_choose_complexity_alone_goes_by_length() -> None:
    """Least in flight within the role."""
    chooser = make_chooser("weak", "strong", "strong", choose="complexity", complexity=None)
    assert chooser.wants == {"score"}
    chooser.rosters[0].loads[1].began()
    pick = chooser.pick(Demand(score=400.0), (), 0.0)
    assert pick is not None
    assert pick.place == 2


def test_why_not_says_the_score_and_the_threshold() -> None:
    chooser = make_chooser("weak", "strong")
    assert chooser.passed_over(0, Demand(score=0.71), 0.0) == {
        0: "weak, and the prompt's score 0.71 is not below 0.6"
    }
    assert chooser.passed_over(0, Demand(score=0.2), 0.0) == {
        1: "strong, and the prompt's score 0.2 is below 0.6"
    }
    assert chooser.passed_over(0, Demand(score=nan), 0.0) == {}


# ---- What is looked at


@pytest.mark.parametrize(
    ("path", "body", "want"),
    [
        ("/v1/chat/completions", {"messages": [
            {"role": "user", "content": "first"}, {"role": "assistant", "content": "so"},
            {"role": "user", "content": "last"}, {"role": "assistant", "content": "hm"}]}, "last"),
        ("/v1/chat/completions", {"messages": [
            {"role": "user", "content": "ask"}, {"role": "tool", "content": "a result"}]}, "ask"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": [
            {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "u"}},
            {"type": "text", "text": "here"}]}]}, "look\nhere"),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": None}]}, ""),
        ("/v1/chat/completions", {"messages": "wrong"}, "wrong"),
        ("/v1/chat/completions", {"messages": 3}, ""),
        ("/v1/chat/completions", {"messages": [
            {"role": "user", "content": "real"},
            {"role": "assistant", "content": '{"role": "user", "content": "not"}'}]}, "real"),
        ("/v1/messages", {"messages": [
            {"role": "user", "content": "ask"}, {"role": "assistant", "content": "calls"},
            {"role": "user", "content": [{"type": "tool_result", "content": "words"}]}]}, "ask"),
        ("/v1/responses", {"input": "one text"}, "one text"),
        ("/v1/responses", {"input": [
            {"role": "user", "content": [{"type": "input_text", "text": "item"}]},
            {"type": "function_call_output", "call_id": "c", "output": "42"}]}, "item"),
        ("/v1/completions", {"prompt": "go on"}, "go on"),
        ("/v1/completions", {"prompt": ["a", "b"]}, "b"),
        ("/v1/completions", {"prompt": [1, 2, 3]}, ""),
        ("/v1/chat/completions", {}, ""),
    ],
)  # fmt: skip
def test_it_is_the_last_words_of_the_user(path: str, body: dict[str, Any], want: str) -> None:
    assert read_last_text(ask_of(body, path)).text == want


def test_a_prompt_that_is_too_long_is_not_read() -> None:
    """Its score is unknown, so it goes to any target."""
    ask = ask_of({"messages": [{"role": "user", "content": "x" * 600_000}]})
    assert read_last_text(ask).text == ""
    assert isnan(Scoring(Complexity(), None).score(ask, 0.0))


# ---- The vendor's own function


class Clock:
    """CPU time that a scorer spends by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_own_scorer_that_is_too_slow_rests_and_comes_back() -> None:
    clock = Clock()
    cost = MOST_CPU_S * 2

    def slow(_: str) -> float:
        clock.now += cost
        return 1.0

    scoring = Scoring(Complexity(scorer="own"), None, score=slow, cpu=clock)
    ask = ask_of({"messages": [{"role": "user", "content": "q"}]})
    assert [scoring.score(ask, 0.0) for _ in range(3)] == [1.0, 1.0, 1.0]
    assert isnan(scoring.score(ask, 1.0))
    cost = 0.0
    assert [scoring.score(ask, 31.0 + n) for n in range(4)] == [1.0] * 4


def test_an_own_scorer_that_fails_costs_no_request() -> None:
    def broken(_: str) -> float:
        raise ValueError("no")

    scoring = Scoring(Complexity(scorer="own"), None, score=broken)
    ask = ask_of({"messages": [{"role": "user", "content": "q"}]})
    assert all(isnan(scoring.score(ask, float(n))) for n in range(9))


def test_an_own_scorer_that_is_missing_in_a_worker_leaves_scores_unknown() -> None:
    scoring = Scoring(Complexity(scorer="not-there"), None)
    assert isnan(scoring.score(ask_of({"messages": [{"role": "user", "content": "q"}]}), 0.0))


def test_scores_are_kept_up_to_a_bound_and_unknown_ones_are_not() -> None:
    scoring = Scoring(Complexity(), None)
    for score in [nan, *map(float, range(KEPT + 10))]:
        scoring.count(score)
    assert list(scoring.recent) == [float(n) for n in range(10, KEPT + 10)]
    sample = scoring.sample("m")
    assert sum(sample.buckets or ()) == KEPT + 10


def test_another_scorer_begins_anew_but_its_histogram_goes_on() -> None:
    """So that no series ever falls."""
    old = Scoring(Complexity(), None)
    old.count(7.0)
    new = Scoring(Complexity(scorer="trained"), a_model(), old)
    assert not old.fits(Complexity(scorer="trained"), a_model())
    assert old.fits(Complexity(threshold=9.0), None)
    assert not new.recent
    assert sum(new.sample("m").buckets or ()) == 1


def test_a_model_travels_to_the_workers_whole() -> None:
    model = a_model(Lane("law", gain=0.7), weights=weights_of(1, a=(-5,)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(model), type=Trained) == model


# ---- In the gateway


def a_fleet(**spec: Any) -> Fleet:
    """A route with a weak and a strong target, by length with a threshold of 10."""
    groups = ((Placed("small/m", 1, "weak"), Placed("large/m", 1, "strong")),)
    spec = {"complexity": Complexity(threshold=10.0)} | spec
    info = RouteInfo("m", groups, spec=RouteSpec(targets=[], choose="complexity", **spec))
    return Fleet(info, targets=[target("small"), target("large")])


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_request_goes_where_its_last_words_send_it() -> None:
    fleet = a_fleet()
    for text, host in (("short", "small"), ("long enough", "large"), ("again", "small")):
        client = fleet.worker.connect()
        client.ask(**said(text))
        fleet.worker.upstream(host).give(whole({"choices": [], "usage": usage(1, 1)}))
        assert client.answer().get(b"x-towplane-target") == f"{host}/m".encode()
    report = fleet.worker.hall.report(1)
    assert [route.scores for route in report.routes] == [[5.0, 11.0, 5.0]]


def test_a_request_is_scored_once_however_often_it_is_tried() -> None:
    fleet = a_fleet()
    client = fleet.worker.connect()
    client.ask(**said("long enough"))
    fleet.worker.upstream("large").give(whole({"error": {}}, status=500))
    fleet.worker.upstream("small").give(whole({"choices": [], "usage": usage(1, 1)}))
    assert client.answer().status == 200
    assert fleet.worker.hall.report(1).routes[0].scores == [11.0]


def test_a_prompt_without_words_goes_anywhere_and_is_not_counted() -> None:
    fleet = a_fleet()
    client = fleet.worker.connect()
    client.ask(messages=[])
    fleet.worker.upstream().give(whole({"choices": [], "usage": usage(1, 1)}))
    assert client.answer().status == 200
    assert fleet.worker.hall.report(1).routes[0].scores == []


def test_a_route_without_complexity_scores_nothing() -> None:
    fleet = Fleet(route("m", ["small"]), targets=[target("small")])
    fleet.worker.connect().ask(**said("short"))
    hall = fleet.worker.hall
    assert hall.routes["m"].scoring is None
    assert "towplane_complexity_score" not in {sample.family for sample in hall.report(1).samples}


# ---- The document


def problems_of(route: str) -> list[str]:
    """Errors and warnings of a document with this route and two providers."""
    text = f"""\
plane: acme
providers:
  a: {{kind: openai-compatible, endpoint: "http://127.0.0.1:1/v1"}}
  b: {{kind: openai-compatible, endpoint: "http://127.0.0.1:2/v1"}}
routing:
  m: {route}
"""
    try:
        return [str(one) for one in parse_document(text.encode()).warnings]
    except DocumentError as refusal:
        return [str(one) for one in refusal.problems]


BOTH = "targets: [{provider: a, role: weak}, {provider: b, role: strong}]"


@pytest.mark.parametrize(
    ("route", "want"),
    [
        (f"{{complexity: {{scorer: length, threshold: 200}}, {BOTH}}}", ""),
        (f"{{choose: complexity, {BOTH}}}", "prompts of 400 characters and more go to strong"),
        ("{choose: complexity, targets: [{provider: a, role: weak}, {provider: b}]}",
         "no target is strong"),
        (f"{{complexity: {{scorer: trained}}, {BOTH}}}", "needs a model"),
        (f"{{complexity: {{scorer: length, model: r.json}}, {BOTH}}}", "nothing reads"),
        (f"{{complexity: {{scorer: trained, model: r.json, threshold: 40}}, {BOTH}}}",
         "no prompt is strong"),
        (f"{{{BOTH}}}", "roles that nothing looks at"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_found(route: str, want: str) -> None:
    found = [one for one in problems_of(route) if "routing.m" in one]
    assert any(want in one for one in found) if want else not found
