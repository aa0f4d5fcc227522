"""How quick the simulator is: simulated requests per second of processor time, by policy.

    python bench/simulation.py [--replicas 100] [--requests 200000] [--policy NAME ...]

Aims: 50,000 requests per second and core with a cheap policy on 100 replicas; a million requests on
1,000 replicas in minutes. Memory is the peak of the process.
"""

import argparse
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from towplane.simulation.run import simulate
from towplane.simulation.scenario import Scenario, read_scenario

SCENARIO = Path(__file__).parent / "scenarios" / "speed.yaml"


@dataclass(frozen=True, slots=True)
class Speed:
    """One measurement."""

    policy: str
    requests: int
    cpu_s: float

    def __str__(self) -> str:
        each_us = self.cpu_s / self.requests * 1e6
        return (
            f"{self.policy:18}{self.requests:>10,} requests{self.cpu_s:8.1f} s"
            f"{each_us:8.1f} µs each{self.requests / self.cpu_s:>10,.0f} /s"
        )


def measure(scenario: Scenario, policy: str) -> Speed:
    """One run."""
    began = time.process_time()
    report = simulate(scenario, policy=policy)
    return Speed(policy, report.asks, time.process_time() - began)


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
    arguments = parser.parse_args()
    scenario = sized(read_scenario(SCENARIO), arguments.replicas, arguments.requests)
    for policy in arguments.policy or ["round-robin", "random", "least-in-flight"]:
        print(measure(scenario, policy), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
