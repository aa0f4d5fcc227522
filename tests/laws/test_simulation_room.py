"""Simulated requests before full targets: nobody starves, nothing is lost, own engines go first."""

from pathlib import Path

import pytest

from towplane.routing.shedding import FEWEST
from towplane.simulation.report import Report, TenantShare
from towplane.simulation.run import simulate
from towplane.simulation.scenario import read_scenario

FLOOD = """
for: 60s
drain: 60s
route:
  choose: least-in-flight
  targets: [{engine: l4, concurrency: 4}]
  slo: {ttft: 5s}
  QUEUE
engines: {l4: {figures: llama-3.1-8b@l4, replicas: 2}}
arrivals:
  poisson: {rate: 16/s, prompt: {mean: 300}, answer: {mean: 60, most: 256}, tenants: [31, 1]}
"""
OVERFLOW = """
for: 60s
route:
  choose: least-in-flight
  targets: [{engine: l4, concurrency: 4}, {provider: cloud, model: m}]
  overflow: {OVERFLOW}
  queue: {longest: 30s}
engines: {l4: {figures: llama-3.1-8b@l4, replicas: 2}}
providers: {cloud: {ttft: 200ms, price: {input: 1 USD/Mtok, output: 4 USD/Mtok}}}
arrivals: {poisson: {rate: RATE, prompt: {mean: 300}, answer: {mean: 60, most: 256}}}
"""


def run(folder: Path, text: str, **changes: str) -> Report:
    for name, value in changes.items():
        text = text.replace(name, value)
    path = folder / "scenario.yaml"
    path.write_text(text)
    return simulate(read_scenario(path))


def conserved(report: Report) -> bool:
    ended = report.answers + report.failed + report.refused + report.gave_up + report.open
    return report.asks == ended and report.attempts == sum(t.attempts for t in report.targets)


def polite(report: Report) -> TenantShare:
    return report.tenants[1]


def test_a_flood_of_one_tenant_does_not_starve_another(tmp_path: Path) -> None:
    """The flood asks for several times what the engines can do; who asks for little gets it all."""
    report = run(tmp_path, FLOOD, QUEUE="queue: {longest: 20s, shed: never}")
    flood, other = report.tenants
    assert conserved(report)
    assert flood.answers < 0.8 * flood.asks, "there is no flood"
    assert other.answers == other.asks > 10
    assert flood.ttft_mean is not None
    assert other.ttft_mean is not None
    assert other.ttft_mean < flood.ttft_mean / 3


def test_who_would_come_too_late_is_refused_at_once(tmp_path: Path) -> None:
    patient = run(tmp_path, FLOOD, QUEUE="queue: {longest: 10s, shed: never}")
    shed = run(tmp_path, FLOOD, QUEUE="queue: {longest: 10s, shed: slo}")
    assert conserved(patient)
    assert conserved(shed)
    assert shed.refused > 0
    assert shed.ttft.p95 is not None
    assert patient.ttft.p95 is not None
    assert shed.ttft.p95 < patient.ttft.p95
    assert shed.good > patient.good
    assert polite(shed).answers > 0.9 * polite(shed).asks


def test_without_a_queue_a_full_fleet_refuses(tmp_path: Path) -> None:
    report = run(tmp_path, FLOOD, QUEUE="retries: {most: 1}")
    assert conserved(report)
    assert report.refused > FEWEST
    assert report.open == 0


def test_what_adapts_finds_out_how_much_an_engine_takes(tmp_path: Path) -> None:
    """Whatever its own engine would take: first tokens keep to the SLO, and most of the work is
    done as well."""
    text = FLOOD.replace("concurrency: 4", "adapts: true").replace("rate: 16/s", "rate: 40/s")
    found = run(tmp_path, text, QUEUE="queue: {longest: 2s, shed: slo}")
    assert conserved(found)
    assert found.answers > 0
    assert found.good > 0.9 * found.answers


def test_impatient_clients_leave_nothing_behind(tmp_path: Path) -> None:
    text = FLOOD + "clients: {patience: 3s, retries: 1}\n"
    report = run(tmp_path, text, QUEUE="queue: {longest: 20s, most: 50}")
    assert conserved(report)
    assert report.gave_up > 0
    assert report.open == 0


def test_own_engines_are_asked_first_and_the_rest_overflows(tmp_path: Path) -> None:
    quiet = run(tmp_path, OVERFLOW, OVERFLOW="when: full", RATE="1/s")
    busy = run(tmp_path, OVERFLOW, OVERFLOW="when: full", RATE="12/s")
    assert [t.attempts for t in quiet.targets][2] <= 0.1 * quiet.attempts
    assert conserved(busy)
    assert busy.answers == busy.asks
    own, cloud = sum(t.answers for t in busy.targets[:2]), busy.targets[2].answers
    assert own > 0
    assert cloud > 0.2 * busy.answers


def test_the_budget_of_overflow_holds(tmp_path: Path) -> None:
    """It is overdrawn by one request at most: here 6 million nano-dollars, output reserved."""
    free = run(tmp_path, OVERFLOW, OVERFLOW="when: full", RATE="12/s")
    bound = run(tmp_path, OVERFLOW, OVERFLOW="when: full, daily: 0.02 USD", RATE="12/s")
    assert free.cost_nanousd is not None
    assert bound.cost_nanousd is not None
    assert free.cost_nanousd > 26_000_000 >= bound.cost_nanousd
    assert bound.targets[2].answers > 0
    assert conserved(bound)


@pytest.mark.parametrize("choose", ["scored", "least-in-flight"])
def test_old_news_of_engines_helps_and_hurts_nobody(tmp_path: Path, choose: str) -> None:
    text = FLOOD.replace("choose: least-in-flight", f"choose: {choose}")
    text = text.replace(", concurrency: 4", "").replace("rate: 16/s", "rate: 4/s")
    one, two = (run(tmp_path, text, QUEUE="retries: {most: 1}") for _ in range(2))
    assert one.answers == one.asks == two.answers
    assert one.ttft == two.ttft
    shares = [target.share for target in one.targets]
    assert max(shares) < 0.65
