"""The pure parts of the benchmark: slopes, ratios per pass, targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import PEERS
from table import (
    COLUMNS,
    TARGETS,
    Record,
    Spread,
    Target,
    figures,
    format_spread,
    judge,
    ratios,
    slope,
)


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


def test_every_target_names_a_known_column_and_peer() -> None:
    assert {target.column for target in TARGETS} <= COLUMNS.keys()
    assert {target.than for target in TARGETS if target.than} <= PEERS.keys()


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_the_slope_of_a_line_is_its_rise(rise: float, start: float) -> None:
    points = [(float(x), start + rise * x) for x in range(10)]
    assert slope(points) == pytest.approx(rise, abs=1e-6)


def test_a_spread_without_a_range_is_one_figure() -> None:
    assert format_spread(Spread(24.13, 24.13, 24.13)) == "24.1"
    assert format_spread(Spread(1204.0, 998.0, 1400.0)) == "1,204 (998–1,400)"
    assert format_spread(None) == "–"
