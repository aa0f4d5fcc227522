"""What it costs to choose: µs for each policy among 100 and 1,000 targets, beside round-robin.

Through `Chooser.pick`, as the gateway does it, with the route's policy and nobody unwell, and again
with one target in fifty barred. Targets are busy (0 to 30 attempts in flight each), have answered
at different speeds and cost one of eight prices; prompts are conversations of 40 blocks, a quarter
of them with a system prompt that half of the targets have seen. Readings of all policies go round
in turn, and the ratio to round-robin is taken within a round. `began` is the other half of a
choice: what it costs to learn where a prompt went. `+ events` is the same policy where all engines
publish what they keep (`routing.kv_events`), which is what their tables say and not always what was
sent there: one prompt in four was evicted. What was sent lately is believed beside it.

    python bench/choosing.py            # 7 rounds, about a minute
    python bench/choosing.py --quick    # 2 rounds
    PYTHONPATH=build/compiled python bench/choosing.py    # what a wheel runs; `make compiled` first
"""

import argparse
import datetime
import gc
import os
import statistics
import time
from pathlib import Path
from random import Random

import msgspec
from rich.console import Console
from rich.table import Table

from passes import machine
from towplane.routing import chooser
from towplane.routing.chooser import Chooser
from towplane.routing.demand import Demand
from towplane.routing.kv_index import KvIndex, block_keys, pack_ids, root_key
from towplane.routing.load import Load
from towplane.routing.policies import POLICIES
from towplane.routing.roster import Roster, Seat
from towplane.routing.spec import RouteSpec, Slo

RESULTS = Path(__file__).parent / "results"
AIMS_US = {100: 15.0, 1000: 60.0}
"""At most, `Chooser.pick` included."""
BASELINE = "round-robin"
EVENTS = " + events"
_DEMANDS = 200
_BLOCKS = 40
_BLOCK_TOKENS = 64
_ENGINE_BLOCK = 16
"""Tokens that an engine keeps as one block, as vLLM does."""


class Reading(msgspec.Struct):
    """One policy in one round."""

    policy: str
    targets: int
    barred: int
    pick_us: float
    began_us: float


def main() -> None:
    parser = argparse.ArgumentParser(description="Cost of choosing, by policy.")
    parser.add_argument("--quick", action="store_true", help="2 rounds instead of 7")
    parser.add_argument("--only", default="", help="policies, by comma")
    args = parser.parse_args()
    names = [name for name in args.only.split(",") if name] or [
        *POLICIES,
        *(name + EVENTS for name, policy in POLICIES.items() if "blocks" in policy.wants),
    ]
    if BASELINE not in names:
        names.insert(0, BASELINE)
    readings = measure(names, rounds=2 if args.quick else 7)
    show(names, readings, Console())
    write(readings)


def measure(names: list[str], *, rounds: int) -> list[Reading]:
    """Every policy in every round."""
    readings = []
    for targets in AIMS_US:
        for barred in (0, targets // 50):
            rigs = {name: Rig(name, targets, barred) for name in names}
            for _ in range(rounds):
                readings += [rig.read() for rig in rigs.values()]
    return readings


class Rig:
    """A chooser over targets that stand as they would."""

    def __init__(self, name: str, targets: int, barred: int) -> None:
        rng = Random(7)
        self._name = name
        self._loads = [Load(f"t{number}") for number in range(targets)]
        self._unwell = frozenset(rng.sample(range(targets), barred))
        roster = Roster(
            [Seat(load) for load in self._loads], lambda place, _now: place not in self._unwell
        )
        spec = RouteSpec(targets=[], choose=name.removesuffix(EVENTS), slo=Slo(ttft_s=2.0))
        self._chooser = Chooser(spec, [roster])
        self._demands = [_demand(rng, number) for number in range(_DEMANDS)]
        for place, load in enumerate(self._loads):
            for _ in range(rng.randrange(30)):
                load.began(rng.randrange(4000))
            load.answers(0, rng.uniform(0.05, 3.0), 1.0)
            load.costs((rng.randrange(1, 9) * 10**8, 0, 10**9))
            for _ in range(3):
                self._chooser.began(0, place, rng.choice(self._demands), 1.0)
            if place % 2:
                self._chooser.began(0, place, _demand(rng, 10**6 + place, with_system=True), 1.0)
        if name.endswith(EVENTS):
            self._publish(rng)
        self.read()  # rings are made when they are first needed

    def _publish(self, rng: Random) -> None:
        """Every engine tells what it keeps of three conversations, and half of them the system
        prompt of one more; the demands are told who keeps what of them."""
        index = KvIndex()
        for place, load in enumerate(self._loads):
            load.cache_bit = index.seat(load.name)
            index.describe(load.name, [_ENGINE_BLOCK], is_whole=True)
            kept = [one for one in rng.choices(self._demands, k=3) if rng.random() < 0.75]
            if place % 2:
                kept.append(_demand(rng, 10**6 + place, with_system=True))
            for one in kept:
                for key in block_keys(_ids(one), _ENGINE_BLOCK, root_key(_ENGINE_BLOCK, "")):
                    index.add(key, load.name)
        for one in self._demands:
            one.cached = index.find(_ids(one), one.tokens, now=2.0)

    def read(self) -> Reading:
        """The cost of one choice, and of learning from it."""
        pick, began, demands = self._chooser.pick, self._chooser.began, self._demands
        gc.disable()
        try:
            start = time.process_time()
            picks = [pick(demand, (), 2.0) for demand in demands for _ in range(5)]
            middle = time.process_time()
            for found, demand in zip(picks[::5], demands, strict=True):
                assert found is not None
                began(0, found.place, demand, 2.0)
            end = time.process_time()
        finally:
            gc.enable()
        return Reading(
            self._name,
            len(self._loads),
            len(self._unwell),
            (middle - start) / len(picks) * 1e6,
            (end - middle) / len(demands) * 1e6,
        )


def _demand(rng: Random, number: int, *, with_system: bool = False) -> Demand:
    blocks = [number * 1000 + at for at in range(_BLOCKS)]
    if with_system or number % 4 == 0:
        blocks[:10] = range(10**15, 10**15 + 10)
    return Demand(
        tokens=_BLOCKS * _BLOCK_TOKENS + 20,
        output=500,
        tenant="t",
        session=rng.getrandbits(63) + 1,
        prefix=rng.getrandbits(63) + 1,
        blocks=tuple(blocks),
    )


def _ids(demand: Demand) -> bytes:
    """Tokens of a prompt: as different as its blocks are."""
    return pack_ids([block % 2**32 for block in demand.blocks for _ in range(_BLOCK_TOKENS)])


def show(names: list[str], readings: list[Reading], console: Console) -> None:
    """Medians, and multiples of round-robin within the round."""
    table = Table(title="Choosing: µs per pick (multiple of round-robin), and µs to learn")
    table.add_column("policy")
    columns = sorted({(one.targets, one.barred) for one in readings})
    for targets, barred in columns:
        table.add_column(f"{targets}, {barred} barred" if barred else f"{targets}", justify="right")
    table.add_column("began, 1000", justify="right")
    for name in names:
        cells = []
        for targets, barred in columns:
            here = _of(readings, name, targets, barred)
            base = _of(readings, BASELINE, targets, barred)
            us = statistics.median(one.pick_us for one in here)
            ratios = [a.pick_us / b.pick_us for a, b in zip(here, base, strict=True)]
            mark = "" if us <= AIMS_US[targets] else " !"
            cells.append(f"{us:.1f} ({statistics.median(ratios):.1f}×){mark}")
        began = statistics.median(one.began_us for one in _of(readings, name, 1000, 0))
        table.add_row(name, *cells, f"{began:.1f}")
    console.print(table)
    console.print(f"aims: {', '.join(f'{us:.0f} µs at {n}' for n, us in AIMS_US.items())}")


def _of(readings: list[Reading], name: str, targets: int, barred: int) -> list[Reading]:
    return [
        one for one in readings if (one.policy, one.targets, one.barred) == (name, targets, barred)
    ]


def write(readings: list[Reading]) -> None:
    """Every reading, with the machine and the date."""
    now = datetime.datetime.now(datetime.UTC)
    RESULTS.mkdir(exist_ok=True)
    found = {
        "at": now.isoformat(timespec="seconds"),
        "machine": machine(os.getloadavg()[0]),
        "is_compiled": not chooser.__file__.endswith(".py"),
        "aims_us": AIMS_US,
        "readings": readings,
    }
    path = RESULTS / f"choosing-{now:%Y-%m-%d-%H%M%S}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))


if __name__ == "__main__":
    main()
