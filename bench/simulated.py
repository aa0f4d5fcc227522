"""The experiments of `bench/scenarios` in virtual time: a table, and JSON in `bench/results`.

    python bench/simulated.py [--mooncake TRACE] [--seeds 3] [--only NAME]

`kubeai`: 300, 600 and 1,200 threads on eight L4; published mean TTFT s with Kubernetes' service
.13/2.26/8.48, least load .21/.32/1.20, prefix hash .13/.21/.39 (KubeAI, 2025-02-26). `hot-prefix`,
`mooncake`: prefix policies against plain hashing. `retry-storm`: with and without a retry budget.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from towplane.routing.policies import POLICIES
from towplane.simulation.report import Report, spread
from towplane.simulation.run import simulate
from towplane.simulation.scenario import Scenario, read_scenario

FOLDER = Path(__file__).parent
WANTED = ("random", "round-robin", "least-in-flight", "chwbl", "prefix", "scored", "least-work")


def load(name: str) -> Scenario:
    """A scenario by its name."""
    return read_scenario(FOLDER / "scenarios" / f"{name}.yaml")


def runs(only: str, mooncake: Path | None) -> Iterator[tuple[str, Scenario, Sequence[str | None]]]:
    """Every experiment: its name, scenario and policies."""
    policies = [name for name in WANTED if name in POLICIES]
    if only in ("", "kubeai"):
        base = load("kubeai")
        users = base.arrivals.users
        assert users is not None
        for count in (300, 600, 1200):
            arrivals = msgspec.structs.replace(
                base.arrivals, users=msgspec.structs.replace(users, count=count)
            )
            yield f"kubeai-{count}", msgspec.structs.replace(base, arrivals=arrivals), policies
    if only in ("", "hot-prefix"):
        yield "hot-prefix", load("hot-prefix"), policies
    if only in ("", "retry-storm"):
        yield "retry-storm", load("retry-storm"), [None]
        yield "retry-storm-unbound", load("retry-storm-unbound"), [None]
    if mooncake is not None and only in ("", "mooncake"):
        base = load("mooncake")
        trace = base.arrivals.trace
        assert trace is not None
        arrivals = msgspec.structs.replace(
            base.arrivals, trace=msgspec.structs.replace(trace, file=str(mooncake))
        )
        yield "mooncake", msgspec.structs.replace(base, arrivals=arrivals), policies


def recovery_s(report: Report, burst_ends: float) -> float | None:
    """Seconds after a burst until goodput is again nine tenths of what it was before."""
    before = [m.good for m in report.moments if 10 <= m.at < 55]
    usual = sum(before) / len(before)
    after = [m for m in report.moments if m.at >= burst_ends]
    return next((m.at - burst_ends for m in after if m.good >= 0.9 * usual), None)


def line(name: str, reports: Sequence[Report]) -> str:
    """One row."""

    def say(values: Sequence[float | None], form: str = "{:.3f}") -> str:
        found = spread(values)
        return "–" if found is None else form.format(found[0])

    first = reports[0]
    cells = [
        f"{name:22}{first.policy:16}",
        say([one.ttft.mean for one in reports]).rjust(9),
        say([one.ttft.p95 for one in reports]).rjust(9),
        say([one.itl.mean for one in reports], "{:.4f}").rjust(9),
        say([one.hit_rate for one in reports], "{:.1%}").rjust(8),
        say([one.goodput for one in reports], "{:.2f}").rjust(9),
        say([one.output_per_s for one in reports], "{:,.0f}").rjust(9),
        say([one.attempts / one.asks for one in reports]).rjust(8),
        say([one.requests / one.asks for one in reports]).rjust(8),
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
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    print(f"{'experiment':22}{'policy':16}{'TTFT s':>9}{'p95':>9}{'ITL s':>9}{'hits':>8}"
          f"{'good/s':>9}{'tokens/s':>9}{'att/ask':>8}{'req/ask':>8}")  # fmt: skip
    found = []
    for name, scenario, policies in runs(arguments.only, arguments.mooncake):
        seeds = 1 if name == "mooncake" else arguments.seeds
        for policy in policies:
            reports = [simulate(scenario, policy=policy, seed=seed) for seed in range(1, seeds + 1)]
            print(line(name, reports), flush=True)
            found += [
                {"experiment": name, "report": msgspec.structs.replace(one, moments=[], targets=[])}
                for one in reports
            ]
    stamp = time.strftime("%Y-%m-%d-%H%M%S", time.gmtime())
    path = FOLDER / "results" / f"simulated-{stamp}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    print(path)


if __name__ == "__main__":
    main()
