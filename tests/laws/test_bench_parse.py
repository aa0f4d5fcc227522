"""The pure parts of the benchmark: slopes, ratios per pass, targets, what a right answer is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import PEERS
from table import (
    COLUMNS,
    TARGETS,
    TRANSLATED_TARGETS,
    Record,
    Spread,
    Target,
    figures,
    format_spread,
    judge,
    ratios,
    slope,
)
from translated import STREAMED_TOKENS, WHOLE_TOKENS, check_stream, check_whole


def records(column: str, **values: list[float | None]) -> list[Record]:
    return [
        Record(peer.replace("_", "-"), column, pass_, value)
        for peer, passes in values.items()
        for pass_, value in enumerate(passes, 1)
    ]


def test_a_ratio_is_taken_within_a_pass() -> None:
    # the machine was twice as slow in the second pass; the ratio does not see it
    seen = records("request_us", towplane=[60, 120], nginx=[30, 60])
    assert ratios(seen, "towplane", "nginx", "request_us") == [2.0, 2.0]


def test_a_pass_without_both_figures_has_no_ratio() -> None:
    seen = records("request_us", towplane=[60, None, 90], nginx=[30, 30])
    assert ratios(seen, "towplane", "nginx", "request_us") == [2.0]


def test_added_latency_is_what_direct_does_not_take() -> None:
    seen = records("p50_100_us", towplane=[350], direct=[150])
    assert figures(seen) == {("towplane", "p50_100_us", 1): 200}


def test_latency_without_a_direct_figure_is_not_reported() -> None:
    assert figures(records("p50_100_us", towplane=[350])) == {}


@pytest.mark.parametrize(
    ("ours", "theirs", "answer"),
    [([90], [30], "met"), ([91], [30], "missed"), ([None], [30], "unknown"), ([90], [], "unknown")],
)
def test_a_target_is_judged_by_the_median_ratio(
    ours: list[float | None], theirs: list[float | None], answer: str
) -> None:
    target = Target("", "request_us", "nginx", False, 3.0)
    seen = records("request_us", towplane=ours, nginx=theirs)
    assert judge(target, seen, "towplane").answer == answer


def test_a_strict_target_is_not_met_by_its_limit() -> None:
    assert not Target("", "start_s", None, True, 1.0).holds(1.0)


def test_every_target_names_known_columns_and_a_known_peer() -> None:
    targets = (*TARGETS, *TRANSLATED_TARGETS)
    assert {target.column for target in targets} <= COLUMNS.keys()
    assert {target.of for target in targets if target.of} <= COLUMNS.keys()
    assert {target.than for target in targets if target.than} <= PEERS.keys()


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_the_slope_of_a_line_is_its_rise(rise: float, start: float) -> None:
    points = [(float(x), start + rise * x) for x in range(10)]
    assert slope(points) == pytest.approx(rise, abs=1e-6)


def test_a_spread_without_a_range_is_one_figure() -> None:
    assert format_spread(Spread(24.13, 24.13, 24.13)) == "24.1"
    assert format_spread(Spread(1204.0, 998.0, 1400.0)) == "1,204 (998–1,400)"
    assert format_spread(None) == "–"


def test_a_translated_figure_is_compared_with_the_passed_through_one_of_its_pass() -> None:
    target = Target("chunk", "gemini_chunk_us", "towplane", False, 5.0, "chunk_us")
    seen = records("chunk_us", towplane=[4, 8]) + records("gemini_chunk_us", towplane=[8, 16])
    verdict = judge(target, seen, "towplane")
    assert (verdict.seen, verdict.answer) == (Spread(2.0, 2.0, 2.0), "met")


def test_small_figures_keep_two_digits() -> None:
    assert format_spread(Spread.of([0.00214])) == "0.0021"


def whole(text: str, finish: str) -> str:
    return json.dumps({"choices": [{"message": {"content": text}, "finish_reason": finish}]})


@pytest.mark.parametrize(
    ("body", "is_right"),
    [
        (whole(" tok" * WHOLE_TOKENS, "stop"), True),
        (whole("tok " * WHOLE_TOKENS, "stop"), True),  # some gateways strip the text
        (whole(" tok" * (WHOLE_TOKENS - 1), "stop"), False),
        (whole(" tok" * WHOLE_TOKENS, "length"), False),
    ],
)
def test_an_answer_is_right_with_every_token_and_its_reason(body: str, is_right: bool) -> None:
    assert (check_whole(body) == "") is is_right


def stream(*texts: str, finish: str | None = "stop", done: bool = True) -> str:
    choices: list[object] = [{"delta": {"content": text}} for text in texts]
    choices.append({"delta": {}, "finish_reason": finish})
    frames = [json.dumps({"choices": [choice]}) for choice in choices]
    frames += ["[DONE]"] if done else []
    return "".join(f"data: {frame}\n\n" for frame in frames)


TOKENS = [" tok"] * STREAMED_TOKENS


@pytest.mark.parametrize(
    ("body", "needs_done", "is_right"),
    [
        (stream("", *TOKENS), True, True),
        (stream(*TOKENS, done=False), False, True),
        (stream(*TOKENS, done=False), True, False),
        (stream(*TOKENS, finish=None), True, False),
        (stream(*TOKENS[1:]), True, False),
        (stream(*TOKENS[2:], " tok tok"), True, False),  # two in one event are one chunk
        ("", True, False),
    ],
)
def test_a_stream_is_right_with_a_token_in_each_event(
    body: str, needs_done: bool, is_right: bool
) -> None:
    assert (check_stream(body, needs_done=needs_done) == "") is is_right
