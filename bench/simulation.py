"""How quick the simulator is: simulated requests per second of processor time, by policy.

    python bench/simulation.py [--replicas 100] [--requests N] [--policy NAME ...] [--keep FILE]

Aims: 50,000 requests per second and core with a cheap policy on 100 replicas; a million requests on
1,000 replicas in minutes. Time is the processor's; the wall's stands beside it.
"""

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from towplane.simulation.run import simulate
from towplane.simulation.scenario import Scenario, read_scenario

_CHEAP = ("round-robin", "random", "power-of-two", "least-in-flight")
SCENARIO = Path(__file__).parent / "scenarios" / "speed.yaml"


@dataclass(frozen=True, slots=True)
class Speed:
    """One measurement."""

    policy: str
    requests: int
    cpu_s: float
    wall_s: float
    replicas: int
    peak_mib: float
    """Of the process so far."""

    def __str__(self) -> str:
        each_us = self.cpu_s / self.requests * 1e6
        return (
            f"{self.policy:18}{self.requests:>10,} requests{self.cpu_s:8.1f} s"
            f"{each_us:8.1f} µs each{self.requests / self.cpu_s:>10,.0f} /s"
            f"{self.wall_s:8.1f} s of wall{self.peak_mib:7,.0f} MiB"
        )


def measure(scenario: Scenario, policy: str) -> Speed:
    """One run."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = simulate(scenario, policy=policy)
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Speed(policy, report.asks, cpu_s, wall_s, len(report.targets), peak_mib)


def sized(scenario: Scenario, replicas: int, requests: int) -> Scenario:
    """The scenario with so many replicas, each as busy as before, and so many requests."""
    made_up = scenario.arrivals.poisson
    assert made_up is not None
    fleet = scenario.engines["fleet"]
    rate = made_up.rate * replicas / (fleet.replicas or 1)
    return msgspec.structs.replace(
        scenario,
        seconds=requests / rate,
        engines={"fleet": msgspec.structs.replace(fleet, replicas=replicas)},
        arrivals=msgspec.structs.replace(
            scenario.arrivals, poisson=msgspec.structs.replace(made_up, rate=rate)
        ),
    )


def main() -> None:
    """Print a line for each policy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--policy", action="append")
    parser.add_argument("--keep", type=Path, help="a file for the figures, as JSON")
    arguments = parser.parse_args()
    scenario = sized(read_scenario(SCENARIO), arguments.replicas, arguments.requests)
    speeds = []
    for policy in arguments.policy or _CHEAP:
        speeds.append(measure(scenario, policy))
        print(speeds[-1], flush=True)
    if arguments.keep is not None:
        arguments.keep.write_bytes(msgspec.json.format(msgspec.json.encode(speeds), indent=1))


if __name__ == "__main__":
    main()
