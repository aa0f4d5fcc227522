"""Laws of the catalogue of metrics, of merging over workers, and of the exposition."""

import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as parse_openmetrics,
)
from prometheus_client.parser import text_string_to_metric_families as parse_text

from towplane.api.processes import process_samples
from towplane.api.signals import signals
from towplane.api.views import TargetState
from towplane.monitoring import reference
from towplane.monitoring.catalogue import CATALOGUE, LABELS, edges, rebucket
from towplane.monitoring.exposition import render
from towplane.monitoring.merge import Tally, merge
from towplane.monitoring.series import Sample
from towplane.tenants.events import Cause, Outcome
from towplane.testing.views import FakePlaneView, a_status

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src" / "towplane"

# ---- the catalogue


def test_bucket_edges_are_locked() -> None:
    """A changed edge breaks every stored series; change it here on purpose, or not at all."""
    assert edges("towplane_ttft_seconds") == (
        0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0,
        120.0,
    )  # fmt: skip
    assert edges("towplane_itl_seconds") == (
        0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0,
    )  # fmt: skip
    assert edges("towplane_request_seconds") == (
        0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    )  # fmt: skip
    assert edges("towplane_overhead_seconds") == (
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
    )  # fmt: skip


def test_every_slo_in_use_is_an_edge() -> None:
    found = edges("towplane_ttft_seconds", [0.8, 0.5, 0.25])
    assert {0.8, 0.5, 0.25} <= set(found)
    assert list(found) == sorted(set(found))


def test_names_say_kind_and_unit() -> None:
    """Prometheus' own rules: counters end in _total; a unit stands at the end; one prefix."""
    for family in CATALOGUE.values():
        assert family.name.startswith("towplane_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        if family.unit:
            assert family.name.removesuffix("_total").endswith(f"_{family.unit}")
        assert bool(family.edges) == (family.kind == "histogram")
        assert family.help.endswith(".")


def test_no_label_can_hold_what_a_client_sends() -> None:
    open_sets = {label for label, values in LABELS.items() if not values}
    assert open_sets == {
        "model", "target", "provider", "worker", "process", "version", "python",
    }  # fmt: skip


def test_the_closed_sets_are_those_of_the_rooms() -> None:
    """Rooms do not import each other; here the catalogue is held against their words."""
    assert LABELS["attempt"] == get_args(Outcome)
    assert LABELS["cause"] == get_args(Cause)
    assert LABELS["state"] == get_args(TargetState)


def test_every_reason_of_a_refusal_has_its_label() -> None:
    """`reason="…"` in the gateway and the tenants; what comes from upstream is no refusal."""
    said = {
        reason
        for room in ("gateway", "tenants", "providers")
        for file in (SOURCES / room).rglob("*.py")
        for reason in re.findall(r'reason="([a-z_-]+)"', file.read_text())
    }
    assert {r for r in said if not r.startswith("upstream-")} <= set(LABELS["reason"])


def test_every_metric_that_is_counted_is_in_the_catalogue() -> None:
    named = {
        name
        for file in SOURCES.rglob("*.py")
        for name in re.findall(r'Sample\(\s*"(towplane_\w+)"', file.read_text())
    }
    assert named <= set(CATALOGUE)


def test_the_reference_page_is_what_the_catalogue_says() -> None:
    """Else: `python -m towplane.monitoring.reference docs/monitoring.md`."""
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert page == reference.rewrite(page)


# ---- buckets

_EDGES = st.lists(st.floats(0.001, 100), min_size=1, max_size=6, unique=True).map(sorted)


@given(_EDGES, _EDGES, st.data())
def test_more_edges_change_no_cumulative_count(
    old: list[float], more: list[float], data: st.DataObject
) -> None:
    counts = data.draw(
        st.lists(st.integers(0, 9), min_size=len(old) + 1, max_size=len(old) + 1), label="counts"
    )
    new = sorted({*old, *more})
    moved = rebucket(counts, old, new)
    assert sum(moved) == sum(counts)
    for place, edge in enumerate(old):
        assert sum(moved[: new.index(edge) + 1]) == sum(counts[: place + 1])


@given(_EDGES, _EDGES, st.data())
def test_no_answer_gets_faster_by_other_edges(
    old: list[float], new: list[float], data: st.DataObject
) -> None:
    counts = data.draw(
        st.lists(st.integers(0, 9), min_size=len(old) + 1, max_size=len(old) + 1), label="counts"
    )
    moved = rebucket(counts, old, new)
    for edge in new:
        below = sum(c for e, c in zip([*old, float("inf")], counts, strict=True) if e <= edge)
        assert sum(moved[: new.index(edge) + 1]) == below


# ---- merging

REQUESTS = "towplane_requests_total"
TTFT = "towplane_ttft_seconds"
MET = ("chat", "ok", "met")


def _value(samples: list[Sample], family: str, labels: tuple[str, ...]) -> float | None:
    return next((s.value for s in samples if (s.family, s.labels) == (family, labels)), None)


def test_workers_are_summed() -> None:
    tally = Tally()
    tally.report(0, [Sample(REQUESTS, MET, 3), Sample("towplane_queued_requests", (), 1)])
    tally.report(1, [Sample(REQUESTS, MET, 4), Sample("towplane_queued_requests", (), 2)])
    assert _value(tally.merged(), REQUESTS, MET) == 7
    assert _value(tally.merged(), "towplane_queued_requests", ()) == 3


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from(["count", "report", "die"])),
        max_size=40,
    )
)
def test_a_merged_counter_never_falls(steps: list[tuple[int, str]]) -> None:
    """Over any order of counting, reporting and dying; a dead worker's count begins at 0 again."""
    tally, counted, before = Tally(), [0, 0, 0], 0.0
    for worker, step in steps:
        if step == "count":
            counted[worker] += 1
        elif step == "report":
            tally.report(worker, [Sample(REQUESTS, MET, counted[worker])])
        else:
            tally.retire(worker)
            counted[worker] = 0
        now = _value(tally.merged(), REQUESTS, MET) or 0.0
        assert now >= before
        before = now


def test_a_dead_workers_gauges_are_gone_and_its_counts_stay() -> None:
    tally = Tally()
    tally.report(0, [Sample(REQUESTS, MET, 3), Sample("towplane_inflight_requests", ("chat",), 2)])
    tally.retire(0)
    assert tally.merged() == [Sample(REQUESTS, MET, 3)]


def test_merging_leaves_the_reports_as_they_are() -> None:
    report = [Sample(TTFT, ("chat",), 0, [1] * 19, 5.0)]
    merge([report, report])
    assert report == [Sample(TTFT, ("chat",), 0, [1] * 19, 5.0)]


def test_histograms_of_different_documents_are_merged_edge_by_edge() -> None:
    """A worker that has not read the new SLO yet counts as not faster than it knows."""
    added = edges(TTFT, [0.8])
    old = Sample(TTFT, ("chat",), 0, [0, 0, 0, 0, 0, 0, 2] + [0] * 12, 1.6)
    new = Sample(TTFT, ("chat",), 0, [0, 0, 0, 0, 0, 0, 3] + [0] * 13, 2.4, added)
    (both,) = merge([[old], [new]])
    assert both.edges == added
    assert both.buckets is not None
    assert both.buckets[added.index(0.8)] == 3
    assert both.buckets[added.index(1.0)] == 2
    assert both.total == 4.0


def test_a_value_outside_a_closed_set_becomes_other() -> None:
    (sample,) = merge([[Sample("towplane_refusals_total", ("<script>",), 1)]])
    assert sample.labels == ("other",)


@pytest.mark.parametrize(
    "wrong",
    [
        Sample("towplane_refusals_total", ("draining", "more"), 1),
        Sample(TTFT, ("chat",), 0, [1, 2, 3], 1.0),
        Sample("towplane_made_up_total", (), 1),
    ],
    ids=["labels", "buckets", "family"],
)
def test_a_sample_that_does_not_fit_the_catalogue_is_an_error(wrong: Sample) -> None:
    with pytest.raises((ValueError, KeyError)):
        merge([[wrong]])


# ---- exposition


def _everything() -> list[Sample]:
    view = FakePlaneView()
    view.serve_traffic(500)
    return merge([view.counted, signals(view.status())])


def test_prometheus_reads_what_we_render() -> None:
    body, content_type = render(_everything())
    families = {f.name: f for f in parse_text(body.decode())}
    assert content_type.startswith("text/plain; version=")
    ttft = families["towplane_ttft_seconds"]
    assert ttft.type == "histogram"
    buckets = [s for s in ttft.samples if s.name.endswith("_bucket")]
    assert [s.labels["le"] for s in buckets][-1] == "+Inf"
    assert "0.8" in [s.labels["le"] for s in buckets]
    assert [s.value for s in buckets] == sorted(s.value for s in buckets)
    count = next(s.value for s in ttft.samples if s.name.endswith("_count"))
    assert count == buckets[-1].value


def test_openmetrics_reads_what_we_render() -> None:
    accept = "application/openmetrics-text; version=1.0.0"
    body, content_type = render(_everything(), accept)
    assert "openmetrics" in content_type
    parse = parse_openmetrics
    families = {f.name: f for f in parse(body.decode())}  # type: ignore[no-untyped-call]  # 0.26
    assert families["towplane_requests"].type == "counter"


def test_every_family_on_the_wire_is_in_the_catalogue() -> None:
    body, _ = render(_everything())
    shown = set(re.findall(rb"^# TYPE (\S+)", body, re.M))
    assert shown
    assert shown <= {name.encode() for name in CATALOGUE}


def test_the_plane_itself_counts_every_family_that_says_so(tmp_path: Path) -> None:
    """A family in the catalogue that nobody counts is a promise that nobody keeps."""
    (tmp_path / "7").mkdir()
    fields = ["S"] + ["0"] * 10 + ["250", "50"] + ["0"] * 8 + ["1000"] + ["0"] * 28
    (tmp_path / "7" / "stat").write_text(f"7 (a (strange) name) {' '.join(fields)}\n")
    status = a_status()
    status.pid = 7
    counted = signals(status) + process_samples(status, tmp_path)
    assert {s.family for s in counted} == {f.name for f in CATALOGUE.values() if f.plane}
    cpu_s = next(s.value for s in counted if s.family == "towplane_process_cpu_seconds_total")
    assert cpu_s == 3.0


def test_the_workers_count_every_other_family() -> None:
    gateway = "".join(file.read_text() for file in (SOURCES / "gateway").rglob("*.py"))
    assert [f.name for f in CATALOGUE.values() if not f.plane and f.name not in gateway] == []


def test_a_process_that_cannot_be_seen_has_no_sample(tmp_path: Path) -> None:
    status = a_status()
    status.pid = 1
    assert process_samples(status, tmp_path) == []


def test_one_state_of_a_target_is_1_and_the_others_are_0() -> None:
    states = [s for s in signals(a_status()) if s.family == "towplane_target_state"]
    assert sum(s.value for s in states if s.labels[0] == "embedded/0") == 1
    assert len([s for s in states if s.labels[0] == "embedded/0"]) == len(LABELS["state"])
