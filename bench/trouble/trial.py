"""One run: vendors, a plane with two workers, clients; then the audit and the verdict on each rule.

The plane is a process of its own, the vendors run in threads here, the clients in this thread's
loop. Everything random comes from the seed; what the scheduler of the machine does, does not.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import uvloop

from towplane.testing.plane import RunningPlane, wait_until
from trouble.audit import COLUMNS, Audit, Row, audit
from trouble.episodes import upset
from trouble.load import Load
from trouble.scene import MODELS, environment, write_document
from trouble.vendors import KEYS, Bill, Vendors, open_vendors

__all__ = ["Plan", "Report", "Verdict", "run_trial"]

AMPLIFICATION = 1.2
"""The default retry budget: a share of 20 %."""
FLOOR = 10 * len(MODELS) * 2
"""Retries that are allowed beside the share at any moment: 1/s over a window of 10 s (the default),
for each route in each of two workers."""
_GROWTH, _GROWTH_MIB = 1.10, 8.0
"""Memory is flat if the last fifth of a run has at most so much more than the second fifth."""
_LEAST_FOR_MEMORY_S = 300.0
_SECRETS = (*KEYS.values(), "base-secret", "session-secret-", "session-token-", "external-id-7",
            "PRIVATE KEY", "ya29.")  # fmt: skip
_TROUBLE_SIGNS = ("Traceback (most recent call last)", "was never retrieved", "was never awaited")


@dataclass(frozen=True)
class Plan:
    """What to run."""

    seed: int
    seconds: float
    rate: float = 40.0
    hurry: float = 1.0
    """Episodes are so much shorter."""


@dataclass(frozen=True)
class Verdict:
    """One rule."""

    name: str
    holds: bool
    says: str
    wrong: list[str] = field(default_factory=list)


@dataclass
class Report:
    """What came of it."""

    plan: Plan
    audit: Audit
    verdicts: list[Verdict]
    outcomes: Counter[str]
    refused: Counter[str]
    """By status and reason."""
    episodes: Counter[str]
    memory: list[tuple[float, float, float]]
    """Seconds, MiB of the plane process and of its workers, anonymous."""
    not_sent: int

    @property
    def is_good(self) -> bool:
        """All rules hold."""
        return all(verdict.holds for verdict in self.verdicts)


@dataclass
class _Watch:
    """What is seen of the plane while it runs."""

    plane: RunningPlane
    workers: list[int]
    memory: list[tuple[float, float, float]] = field(default_factory=list)
    restarts: int = 0

    def look(self, at: float) -> None:
        now = sorted(self.plane.workers())
        if now != self.workers:
            self.restarts += 1
            self.workers = now
        plane, workers = _mib([self.plane.pid]), _mib(now)
        self.memory.append((round(at, 1), plane, workers))


def run_trial(plan: Plan, folder: Path, say: Callable[[str], None]) -> Report:
    """Run it."""
    with open_vendors(plan.seed) as vendors:
        document = write_document(vendors, folder)
        with RunningPlane(document, folder, env=environment(vendors)) as plane:
            load = Load(plane.address, (plane.key("acme"), plane.key("globex")), plan.rate,
                        plan.seed)  # fmt: skip
            watch = _Watch(plane, sorted(plane.workers()))
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                bills, episodes = runner.run(_run(plan, vendors, load, watch, say))
            rows = _read_ledger(plane)
            counted = int(plane.metric("towplane_attempts_total"))
            malformed = [one for v in vendors.all for one in v.emulator.book.malformed]
            for vendor in vendors.all:
                bills += vendor.collect(all_of_them=True)
        log = plane.log.read_text(errors="replace")
    found = audit(rows, bills, load.outcomes)
    if counted != len(rows):
        found.complain("books", f"{counted} attempts in the metrics, {len(rows)} in the ledger")
    for one in malformed:
        found.complain("wire", one)
    verdicts = _judge(plan, found, load, watch, log)
    kinds = Counter(str(outcome.kind) for outcome in load.outcomes)
    refused = Counter(f"{one.status} {one.reason}" for one in load.outcomes
                      if one.kind == "refused")  # fmt: skip
    return Report(plan, found, verdicts, kinds, refused, episodes, watch.memory, load.not_sent)


async def _run(
    plan: Plan, vendors: Vendors, load: Load, watch: _Watch, say: Callable[[str], None]
) -> tuple[list[Bill], Counter[str]]:
    bills: list[Bill] = []
    moods = asyncio.create_task(upset(vendors, plan.seed, hurry=plan.hurry))
    eyes = asyncio.create_task(_watch(plan, vendors, load, watch, bills, say))
    await load.run(plan.seconds)
    moods.cancel()
    eyes.cancel()
    await asyncio.gather(eyes, return_exceptions=True)
    return bills, await moods


async def _watch(
    plan: Plan,
    vendors: Vendors,
    load: Load,
    watch: _Watch,
    bills: list[Bill],
    say: Callable[[str], None],
) -> None:
    begun = time.monotonic()
    told = 0.0
    while True:
        at = time.monotonic() - begun
        watch.look(at)
        for vendor in vendors.all:
            bills += vendor.collect()
        if at - told >= 60:
            told = at
            say(_progress(plan, at, vendors, load, watch))
        await asyncio.sleep(min(5.0, plan.seconds / 10))


def _progress(plan: Plan, at: float, vendors: Vendors, load: Load, watch: _Watch) -> str:
    kinds = Counter(str(outcome.kind) for outcome in load.outcomes)
    moods = [f"{one.name} {'down' if one.is_down else one.mood.fault}" for one in vendors.all
             if one.is_down or one.mood.fault != "calm"]  # fmt: skip
    attempts = watch.plane.metric("towplane_attempts_total")
    _, plane, workers = watch.memory[-1]
    return (
        f"{at / 60:5.1f} of {plan.seconds / 60:.0f} min  {len(load.outcomes):6d} requests "
        f"{dict(kinds)}  {attempts / max(len(load.outcomes), 1):.3f} attempts each  wrong "
        f"{load.wrong_count}  plane {plane:.0f} MiB  workers {workers:.0f} MiB  now: "
        f"{', '.join(moods) or 'calm'}"
    )


def _read_ledger(plane: RunningPlane) -> list[Row]:
    """All rows, once nothing is open any more."""
    path = f"file:{plane.data_dir / 'ledger.sqlite'}?mode=ro"

    def is_settled() -> bool:
        plane.call("GET", "/usage")
        with contextlib.closing(sqlite3.connect(path, uri=True)) as ledger:
            return not ledger.execute("SELECT count(*) FROM open_attempts").fetchone()[0]

    wait_until(is_settled, 30, lambda: "attempts stay open in the ledger")
    with contextlib.closing(sqlite3.connect(path, uri=True)) as ledger:
        return [Row(*row) for row in ledger.execute(f"SELECT {','.join(COLUMNS)} FROM attempts")]


def _judge(plan: Plan, found: Audit, load: Load, watch: _Watch, log: str) -> list[Verdict]:
    allowed = AMPLIFICATION
    if plan.seconds < _LEAST_FOR_MEMORY_S:
        allowed += FLOOR / max(found.requests, 1)
    times = found.amplification
    sent = f"{found.attempts} attempts for {found.requests} requests"
    finished = found.sums["finished"]
    return [
        Verdict("amplification", 0 < times <= allowed,
                f"{times:.3f}, at most {allowed:.3f}: {sent}"),
        Verdict("one ending each, its own", not load.wrong_count and not found.counts["once"],
                f"{len(load.outcomes)} clients, {load.wrong_count + found.counts['once']} wrong",
                load.wrong + found.wrong["once"]),
        Verdict("the ledger is the bill", not found.counts["books"],
                f"{finished.attempts} finished attempts: {finished.billed_input} in, "
                f"{finished.billed_cached} cached, {finished.billed_output} out by the vendors; "
                f"{finished.ledger_input}, {finished.ledger_cached}, {finished.ledger_output} in "
                f"the ledger; {found.counts['books']} wrong", found.wrong["books"]),
        Verdict("costs", not found.counts["costs"],
                f"{found.cost_nanousd / 1e9:.6f} USD, {found.counts['costs']} wrong",
                found.wrong["costs"]),
        Verdict("nothing malformed", not found.counts["wire"], f"{found.counts['wire']} requests",
                found.wrong["wire"]),
        Verdict("no worker restarted", not watch.restarts, f"{watch.restarts} changes"),
        _judge_log(log),
        _judge_memory(plan, watch),
    ]  # fmt: skip


def _judge_log(log: str) -> Verdict:
    wrong = []
    for number, line in enumerate(log.splitlines(), 1):
        for sign in (*_TROUBLE_SIGNS, *_SECRETS):
            if sign in line:
                wrong.append(f"line {number}: {sign}")
    return Verdict(
        "no traceback and no secret in the log",
        not wrong,
        f"{len(log.splitlines())} lines, {len(wrong)} wrong",
        wrong[:20],
    )


def _judge_memory(plan: Plan, watch: _Watch) -> Verdict:
    """The first fifth is warm-up: pools, arenas, caches."""
    found = watch.memory
    fifth = plan.seconds / 5
    early = [one for one in found if fifth <= one[0] < 2 * fifth] or found[:1]
    late = [one for one in found if one[0] >= 4 * fifth] or found[-1:]
    says, holds = [], True
    for name, place in (("plane", 1), ("workers", 2)):
        before, after = fmean(one[place] for one in early), fmean(one[place] for one in late)
        holds &= after <= before * _GROWTH + _GROWTH_MIB
        says.append(f"{name} {found[0][place]:.0f} → {before:.0f} → {after:.0f} MiB")
    if plan.seconds < _LEAST_FOR_MEMORY_S:
        return Verdict("memory is flat", True, f"{', '.join(says)}; too short to judge")
    return Verdict("memory is flat", holds, ", ".join(says))


def _mib(pids: list[int]) -> float:
    """Anonymous memory. What a worker maps of its journal is the kernel's, and given back with the
    segment; it would count as growth for the 16 MiB that a segment takes to fill."""
    kib = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            kib += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))
    return kib / 1024
