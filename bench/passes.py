"""One run: every gateway through every measurement, pass after pass.

First each gateway alone: a few starts, memory at rest, the idle streams. Then all of them stay up,
and in each pass every measurement goes round them before the next one begins, so that readings
which are compared lie seconds apart. The order rotates from pass to pass. Knows no command line.
"""

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from adapters import PEERS
from adapters.peer import CannotRun, Peer
from measurements import (
    COSTS,
    Effort,
    Live,
    Measurement,
    Reading,
    idle_streams,
    instruments,
    start,
    start_times,
    stop,
)
from programs import Upstream
from table import (
    COLUMNS,
    TARGETS,
    TRANSLATED_TARGETS,
    Record,
    Target,
    Verdict,
    compared,
    costs,
    judge,
    multiples,
    verdicts,
)
from translated import TRANSLATED, check_ways

__all__ = ["PASSTHROUGH", "TRANSLATION", "Plan", "Run", "machine"]

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run looks at."""

    name: str
    costs: tuple[Measurement, ...]
    targets: tuple[Target, ...]
    translates: bool


PASSTHROUGH = Plan("passthrough", COSTS, TARGETS, False)
TRANSLATION = Plan("translated", TRANSLATED, TRANSLATED_TARGETS, True)


class Run:
    """Its peers, its passes, its records."""

    def __init__(
        self,
        engine: Upstream,
        effort: Effort,
        names: Sequence[str],
        *,
        plan: Plan,
        passes: int,
        console: Console,
    ) -> None:
        self.engine = engine
        self.plan = plan
        self.console = console
        self.effort = effort
        self.passes = passes
        self.peers: list[Peer] = []
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.lives: list[Live] = []
        self.records: list[Record] = []
        self.details: list[dict[str, Any]] = []
        self.began = datetime.datetime.now(datetime.UTC)
        self.load_average = os.getloadavg()[0]
        for name in names:
            self._install(PEERS[name])
        self.instruments: dict[str, float] = {}
        self.engine_stats: dict[str, int] = {}

    def measure(self) -> None:
        """Starts and idle streams of each gateway, fresh and alone; then the passes."""
        self._announce()
        self.instruments = instruments(self.engine)
        try:
            for peer in self.peers:
                self._begin(peer)
            for pass_ in range(1, self.passes + 1):
                turn = (pass_ - 1) % max(len(self.lives), 1)
                order = self.lives[turn:] + self.lives[:turn]
                for measurement in self.plan.costs:
                    for live in order:
                        if live.root is not None or not measurement.needs_process:
                            readings = measurement.take(live, self.effort)
                            self._keep(
                                live.peer, pass_, f"pass {pass_}, {measurement.title}", readings
                            )
            self.engine_stats = self.engine.stats()
        finally:
            for live in self.lives:
                stop(live)

    def _announce(self) -> None:
        each = sum(m.seconds(self.effort) for m in self.plan.costs) * self.passes
        alone = 0 if self.plan.translates else self.effort.idle_chunks + 6
        seconds = len(self.peers) * (each + alone)
        self.console.print(
            f"{len(self.peers)} × {self.passes} passes, about {seconds / 60:.0f} minutes"
        )

    def _install(self, peer: Peer) -> None:
        with self.console.status(f"installing {peer.name}"):
            try:
                self.versions[peer.name] = peer.install()
                self.peers.append(peer)
                self.console.print(f"{peer.name} {self.versions[peer.name]}", highlight=False)
            except CannotRun as reason:
                self.absent[peer.name] = str(reason)
                self.console.print(f"{peer.name}: left out: {reason}", markup=False)

    def _begin(self, peer: Peer) -> None:
        try:
            if not peer.has_process:
                self.lives.append(start(peer, self.engine, self.effort))
                return
            if self.plan.translates:
                self._begin_ways(peer)
                return
            times = start_times(peer, self.engine, self.effort)
            for number, readings in enumerate(times, 1):
                self._keep(peer, number, f"start {number}", readings)
            self.lives.append(start(peer, self.engine, self.effort))
            readings = idle_streams(self.lives[-1], self.effort)
            self._keep(peer, 1, "at rest, idle streams", readings)
            if any(r.column == "stream_failures" and r.value for r in readings):
                stop(self.lives.pop())  # what it still chews on must not spoil the next figures
                self.lives.append(start(peer, self.engine, self.effort))
        except CannotRun as reason:
            self.absent[peer.name] = str(reason)
            self._keep(peer, 1, "start", [Reading("start_s", None, str(reason))])

    def _begin_ways(self, peer: Peer) -> None:
        """Start it, and see that each provider's answers come through it whole."""
        live = start(peer, self.engine, self.effort, translates=True)
        self.lives.append(live)
        wrong = check_ways(live)
        self.absent |= {f"{peer.name}, {way}": reason for way, reason in wrong.items()}
        self.console.print(f"{peer.name}: right answers: {', '.join(live.ways) or 'none'}")

    def _keep(self, peer: Peer, pass_: int, title: str, readings: list[Reading]) -> None:
        shown = []
        for r in readings:
            self.records.append(Record(peer.name, r.column, pass_, r.value, r.note, r.kernel_share))
            self.details.append({"peer": peer.name, "pass": pass_, **asdict(r)})
            value = "–" if r.value is None else f"{r.value:,.2f}"
            shown.append(f"{r.column} {value}" + (f" ({r.note})" if r.note else ""))
        line = f"{peer.name}, {title}: {', '.join(shown)}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, subject: str) -> None:
        names = [peer.name for peer in self.peers if peer.has_process]
        self.console.print(costs(self.records, names))
        if self.plan.translates:
            self.console.print(multiples(self.records, names))
        if subject in names:
            others = [name for name in names if name != subject]
            if others:
                self.console.print(compared(self.records, subject, others))
            self.console.print(verdicts(self.records, subject, self.plan.targets))
        self.console.print(
            "load and upstream themselves, µs of CPU: "
            + ", ".join(f"{name.replace('_', ' ')} {us}" for name, us in self.instruments.items()),
            highlight=False,
        )
        for name, reason in self.absent.items():
            self.console.print(f"{name}: left out: {reason}", markup=False)
        if self.load_average > 0.5:
            self.console.print(
                f"The machine was busy (load {self.load_average:.1f}) as the run began."
            )

    def write(self, subject: str) -> Path:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.began:%Y-%m-%d-%H%M%S}.json"
        judged = [judge(target, self.records, subject) for target in self.plan.targets]
        document = {
            "date": self.began.isoformat(timespec="seconds"),
            "plan": self.plan.name,
            "subject": subject,
            "machine": machine(self.load_average),
            "effort": asdict(self.effort),
            "passes": self.passes,
            "columns": dict(COLUMNS),
            "peers": {
                peer.name: {"version": self.versions[peer.name], "settings": peer.settings}
                for peer in self.peers
            },
            "left_out": self.absent,
            "targets": [_verdict(verdict) for verdict in judged],
            "instruments": self.instruments,
            "upstream": self.engine_stats,
            "readings": self.details,
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
        return path


def machine(load_average: float) -> dict[str, Any]:
    """What the figures were taken on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average_before": round(load_average, 2),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    target = verdict.target
    return {
        "title": target.title,
        "column": target.column,
        "target": target.wording,
        "seen": asdict(verdict.seen) if verdict.seen else None,
        "answer": verdict.answer,
    }
