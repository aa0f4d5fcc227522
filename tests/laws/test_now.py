"""Laws of the last minute: rates, quantiles, and the pulse that keeps the snapshots."""

import asyncio
from typing import NamedTuple

import pytest

from towplane.api.pulse import Pulse
from towplane.monitoring.catalogue import CATALOGUE, edges
from towplane.monitoring.now import Now, Quantile, look, quantile
from towplane.monitoring.series import Sample
from towplane.monitoring.snapshot import Snapshot, snap
from towplane.parts.clock import Clock
from towplane.testing.clock import FakeClock
from towplane.testing.views import FakePlaneView

EPOCH = 1_800_000_000.0
TTFT = "towplane_ttft_seconds"


def _requests(**by: int) -> list[Sample]:
    """Counts by OUTCOME_SLO."""
    return [
        Sample("towplane_requests_total", ("chat", *name.split("_")), value)
        for name, value in by.items()
    ]


def _snap(at: float, *samples: Sample) -> Snapshot:
    return snap(at, EPOCH + at, samples)


def _look(*snapshots: Snapshot) -> Now:
    now = look(snapshots)
    assert now is not None
    return now


def test_nothing_seen_is_nothing_said() -> None:
    assert look([]) is None


def test_one_snapshot_has_no_rates() -> None:
    now = _look(_snap(0, *_requests(ok_met=5)))
    assert now.requests_per_s is None
    assert now.window_s is None


def test_rates_are_over_the_time_between_the_snapshots() -> None:
    now = _look(_snap(0, *_requests(ok_met=5)), _snap(50, *_requests(ok_met=105)))
    assert now.requests_per_s == 2.0
    assert now.window_s == 50


def test_only_the_last_minute_counts() -> None:
    snapshots = [
        _snap(at, *_requests(ok_met=count)) for at, count in ((0, 0), (40, 900), (100, 960))
    ]
    assert _look(*snapshots).requests_per_s == 1.0


def test_a_quiet_minute_is_a_measured_zero_and_unknown_ratios() -> None:
    """A rate of nothing is 0; a share, a ratio or a quantile of nothing is unknown."""
    now = _look(_snap(0), _snap(60))
    assert now.requests_per_s == 0
    assert now.output_tokens_per_s == 0
    for unknown in ("amplification", "goodput", "error_share", "ttft_p50", "itl_p95", "in_flight"):
        assert getattr(now, unknown) is None


def test_refusals_do_not_hide_amplification() -> None:
    """Ten requests in earnest with three attempts each amplify by 3, however many were refused."""
    attempts = Sample("towplane_attempts_total", ("chat", "a/0", "retry", "timeout"), 30)
    now = _look(_snap(0), _snap(10, *_requests(failed_missed=10, refused_none=90), attempts))
    assert now.amplification == 3.0
    assert now.refused_per_s == 9.0


def test_goodput_asks_only_requests_with_an_slo() -> None:
    now = _look(_snap(0), _snap(10, *_requests(ok_met=9, ok_missed=1, ok_none=90)))
    assert now.goodput == 0.9


def test_cancelled_and_refused_requests_are_no_errors() -> None:
    counts = _requests(ok_none=9, failed_none=1, cancelled_none=40, refused_none=40)
    assert _look(_snap(0), _snap(10, *counts)).error_share == 0.1


def test_models_are_told_apart_and_summed() -> None:
    more = Sample("towplane_requests_total", ("small", "ok", "none"), 30)
    now = _look(_snap(0), _snap(10, *_requests(ok_none=10), more))
    assert now.requests_per_s == 4.0
    assert {m: each.requests_per_s for m, each in now.models.items()} == {"chat": 1.0, "small": 3.0}


def test_cached_tokens_are_not_counted_twice() -> None:
    tokens = [
        Sample("towplane_tokens_total", ("chat", direction, "measured"), value)
        for direction, value in (("input", 100), ("cached_input", 60), ("output", 20))
    ]
    now = _look(_snap(0), _snap(10, *tokens))
    assert (now.input_tokens_per_s, now.output_tokens_per_s) == (10.0, 2.0)


def test_quantiles_are_of_the_window_alone() -> None:
    """What was slow an hour ago is not slow now."""
    own = CATALOGUE[TTFT].edges
    slow, fast = [0] * len(own) + [100], [100] + [0] * (len(own) - 1) + [100]
    now = _look(
        _snap(0, Sample(TTFT, ("chat",), 0, slow, 1e4)),
        _snap(10, Sample(TTFT, ("chat",), 0, fast, 1e4)),
    )
    assert now.ttft_p50 == Quantile(0.025)


def test_an_slo_added_meanwhile_does_not_disturb_the_quantiles() -> None:
    added = edges(TTFT, [0.8])
    before = Sample(TTFT, ("chat",), 0, [0] * 6 + [7] + [0] * 12, 5.0)
    after = Sample(TTFT, ("chat",), 0, [10] + [0] * 6 + [7] + [0] * 12, 5.0, added)
    now = _look(_snap(0, before), _snap(10, after))
    assert now.ttft_p95 is not None
    assert now.ttft_p95.value_s <= 0.05


class Case(NamedTuple):
    """A histogram with the edges 1, 2 and 4."""

    name: str
    share: float
    counts: list[int]
    want: Quantile | None


@pytest.mark.parametrize(
    "case",
    [
        Case("empty", 0.5, [0, 0, 0, 0], None),
        Case("inside a bucket", 0.5, [0, 10, 0, 0], Quantile(1.5)),
        Case("at an edge", 0.5, [5, 5, 0, 0], Quantile(1.0)),
        Case("first bucket begins at 0", 0.5, [10, 0, 0, 0], Quantile(0.5)),
        Case("over an empty bucket", 0.9, [5, 0, 5, 0], Quantile(3.6)),
        Case("beyond the last edge", 0.95, [1, 0, 0, 9], Quantile(4, is_bound=True)),
    ],
    ids=lambda case: case.name,
)
def test_quantiles_interpolate_as_promql_does(case: Case) -> None:
    assert quantile(case.share, (1, 2, 4), case.counts) == case.want


# ---- the pulse


async def test_the_pulse_keeps_a_quarter_of_an_hour_and_no_more() -> None:
    view, time = FakePlaneView(), FakeClock()
    pulse = Pulse(view, Clock(time.monotonic, time.wall))
    sizes = []
    for beat in range(1500):
        time.advance(2.0)
        view.serve_traffic(beat)
        await pulse.look()
        sizes.append(pulse.kept)
    assert max(sizes) <= 31 + 90
    now = pulse.now(900)
    assert now is not None
    assert now.window_s == pytest.approx(900, abs=12)
    assert len(pulse.trend) == 90
    gaps = {
        round((b.at - a.at).total_seconds())
        for a, b in zip(list(pulse.trend)[:-1], list(pulse.trend)[1:], strict=True)
    }
    assert gaps == {10}


async def test_each_look_wakes_every_reader_and_the_end_lets_them_go() -> None:
    pulse = Pulse(FakePlaneView())
    woken: list[int] = []

    async def read(number: int) -> None:
        async for _ in pulse.beats():
            woken.append(number)

    readers = [asyncio.create_task(read(number)) for number in range(3)]
    await asyncio.sleep(0)
    await pulse.look()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sorted(woken) == [0, 1, 2]
    await pulse.stop()
    await asyncio.gather(*readers)
