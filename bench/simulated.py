"""The experiments of `bench/scenarios` in virtual time: a table, and JSON in `bench/results`.

    python bench/simulated.py [--mooncake TRACE] [--seeds 3] [--first 1] [--only NAME]

`kubeai`: 300 to 2,400 threads on eight L4; published mean TTFT s at 300, 600, 1,200 threads with
Kubernetes' service .13/2.26/8.48, least load .21/.32/1.20, prefix hash .13/.21/.39 (KubeAI,
2025-02-26). `kubeai-slow`: one of the eight is slower. `saturated`: both past saturation, 600 s, in
which random choosing answers their 59,031 requests. `hot-prefix`, `mooncake`: prefix policies
against plain hashing. `retry-storm`: with and without a retry budget.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from towplane.routing.policies import POLICIES
from towplane.simulation.report import Report, spread
from towplane.simulation.run import simulate
from towplane.simulation.scenario import Scenario, read_scenario

FOLDER = Path(__file__).parent
WANTED = ("random", "round-robin", "least-in-flight", "chwbl", "prefix", "scored", "least-work")

SATURATED = {"kubeai-slow": (1200, 1400, 1500, 1600), "kubeai": (1500, 2000)}
COMPARED = ("random", "least-in-flight", "chwbl", "least-work")


def load(name: str) -> Scenario:
    """A scenario by its name."""
    return read_scenario(FOLDER / "scenarios" / f"{name}.yaml")


def crowded(name: str, count: int) -> Scenario:
    """A scenario with so many users."""
    base = load(name)
    users = base.arrivals.users
    assert users is not None
    arrivals = msgspec.structs.replace(
        base.arrivals, users=msgspec.structs.replace(users, count=count)
    )
    return msgspec.structs.replace(base, arrivals=arrivals)


def runs(only: str, mooncake: Path | None) -> Iterator[tuple[str, Scenario, Sequence[str | None]]]:
    """Every experiment: its name, scenario and policies."""
    policies = [name for name in WANTED if name in POLICIES]
    for count in (300, 600, 1200, 1400, 2400):
        if only in ("", "kubeai", f"kubeai-{count}"):
            yield f"kubeai-{count}", crowded("kubeai", count), policies
    for name, counts in SATURATED.items():
        for count in counts:
            if only in ("", "saturated", f"saturated-{name}-{count}"):
                long = msgspec.structs.replace(crowded(name, count), seconds=600.0)
                few = [one for one in policies if one in COMPARED]
                yield f"saturated-{name}-{count}", long, few
    for count in (1200, 1400, 1500):
        if only in ("", "kubeai-slow", f"kubeai-slow-{count}"):
            yield f"kubeai-slow-{count}", crowded("kubeai-slow", count), policies
    if only in ("", "hot-prefix"):
        yield "hot-prefix", load("hot-prefix"), policies
    if only in ("", "retry-storm"):
        yield "retry-storm", load("retry-storm"), [None]
        yield "retry-storm-unbound", load("retry-storm-unbound"), [None]
    if mooncake is not None and only in ("", "mooncake"):
        base = load("mooncake")
        trace = base.arrivals.trace
        assert trace is not None
        for speed in (2.0, 3.0, 4.0):
            arrivals = msgspec.structs.replace(
                base.arrivals,
                trace=msgspec.structs.replace(trace, file=str(mooncake), speed=speed),
            )
            # The trace ends at 3,537 s.
            seconds = 3540 / speed
            yield (
                f"mooncake-{speed:g}x",
                msgspec.structs.replace(base, arrivals=arrivals, seconds=seconds),
                policies,
            )


def recovery_s(report: Report, burst_ends: float) -> float | None:
    """Seconds after a burst until goodput is again nine tenths of what it was before."""
    before = [m.good for m in report.moments if 10 <= m.at < 55]
    usual = sum(before) / len(before)
    after = [m for m in report.moments if m.at >= burst_ends]
    return next((m.at - burst_ends for m in after if m.good >= 0.9 * usual), None)


def busiest(report: Report) -> float:
    """The share of all attempts that went to the target with the most."""
    return max(target.share for target in report.targets)


def line(name: str, reports: Sequence[Report]) -> str:
    """One row."""

    def say(values: Sequence[float | None], form: str = "{:.3f}") -> str:
        found = spread(values)
        if found is None:
            return "–"
        around = "" if len(reports) < 2 else f" ±{form.format(found[1])}"
        return form.format(found[0]) + around

    first = reports[0]
    cells = [
        f"{name:27}{first.policy:16}",
        say([one.ttft.mean for one in reports]).rjust(14),
        say([one.ttft.p95 for one in reports]).rjust(16),
        say([one.itl.mean for one in reports], "{:.4f}").rjust(17),
        say([one.hit_rate for one in reports], "{:.1%}").rjust(14),
        say([one.goodput for one in reports], "{:.2f}").rjust(16),
        say([one.output_per_s for one in reports], "{:,.0f}").rjust(14),
        f"{fmean(one.attempts / one.asks for one in reports):8.3f}",
        f"{fmean(one.requests / one.asks for one in reports):8.3f}",
        f"{fmean(busiest(one) for one in reports):8.1%}",
    ]
    if name.startswith("retry-storm"):
        cells.append(f"  good {sum(one.good / one.asks for one in reports) / len(reports):.1%}")
        cells.append(
            f", recovers after {say([recovery_s(one, 90) for one in reports], '{:.0f}')} s"
        )
    return "".join(cells)


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mooncake", type=Path, help="mooncake_conversation_trace.jsonl.gz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print(f"{'experiment':27}{'policy':16}{'TTFT s':>14}{'p95':>16}{'ITL s':>17}{'hits':>14}"
          f"{'good/s':>16}{'tokens/s':>14}{'att/ask':>8}{'req/ask':>8}{'busiest':>8}")  # fmt: skip
    found = []
    for name, scenario, policies in runs(arguments.only, arguments.mooncake):
        count = 1 if name.startswith("mooncake") else arguments.seeds
        seeds = range(arguments.first, arguments.first + count)
        for policy in policies:
            reports = [simulate(scenario, policy=policy, seed=seed) for seed in seeds]
            print(line(name, reports), flush=True)
            found += [
                {"experiment": name, "report": msgspec.structs.replace(one, moments=[])}
                for one in reports
            ]
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.gmtime())
    path = FOLDER / "results" / f"simulated-{arguments.only or 'all'}-{stamp}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    print(path)


if __name__ == "__main__":
    main()
