"""One run: every gateway through every measurement, pass after pass.

In a pass each gateway is started afresh, alone, and held against the idle streams; then each
measurement goes round all of them before the next one begins, so that readings which are compared
lie minutes apart at most. The order rotates from pass to pass. Knows no command line.
"""

import datetime
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
from adapters import PEERS
from adapters.peer import CannotRun, Peer
from measurements import COSTS, Effort, Live, Reading, idle_streams, start, stop
from programs import Upstream
from rich.console import Console
from table import COLUMNS, TARGETS, Record, Verdict, compared, costs, judge, verdicts

__all__ = ["Run", "machine"]

RESULTS = Path(__file__).parent / "results"


class Run:
    """Its peers, its passes, its records."""

    def __init__(
        self,
        engine: Upstream,
        effort: Effort,
        names: Sequence[str],
        *,
        passes: int,
        console: Console,
    ) -> None:
        self.engine = engine
        self.console = console
        self.effort = effort
        self.passes = passes
        self.peers: list[Peer] = []
        self.versions: dict[str, str] = {}
        self.absent: dict[str, str] = {}
        self.records: list[Record] = []
        self.details: list[dict[str, Any]] = []
        self.began = datetime.datetime.now(datetime.UTC)
        self.load_average = os.getloadavg()[0]
        for name in names:
            self._install(PEERS[name])
        self.steps = passes * len(self.peers) * (1 + len(COSTS))
        self.step = 0
        self.engine_stats: dict[str, int] = {}

    def measure(self) -> None:
        """The passes: in each, every gateway is started afresh and takes each turn in turn."""
        per_pass = sum(m.seconds(self.effort) for m in COSTS) + self.effort.idle_chunks + 4
        minutes = self.passes * len(self.peers) * per_pass / 60
        self.console.print(f"{len(self.peers)} × {self.passes} passes, about {minutes:.0f} minutes")
        for pass_ in range(1, self.passes + 1):
            turn = (pass_ - 1) % max(len(self.peers), 1)
            order = self.peers[turn:] + self.peers[:turn]
            lives = [live for peer in order if (live := self._begin(peer, pass_)) is not None]
            for measurement in COSTS:
                for live in lives:
                    self._keep(
                        live.peer, pass_, measurement.title, measurement.take(live, self.effort)
                    )
            for live in lives:
                stop(live)
        self.engine_stats = self.engine.stats()

    def _install(self, peer: Peer) -> None:
        with self.console.status(f"installing {peer.name}"):
            try:
                self.versions[peer.name] = peer.install()
                self.peers.append(peer)
                self.console.print(f"{peer.name} {self.versions[peer.name]}", highlight=False)
            except CannotRun as reason:
                self.absent[peer.name] = str(reason)
                self.console.print(f"{peer.name}: left out: {reason}", markup=False)

    def _begin(self, peer: Peer, pass_: int) -> Live | None:
        try:
            live = start(peer, self.engine, self.effort)
            if live.root is None:
                self._keep(peer, pass_, "start", [])
                return live
            readings = idle_streams(live, self.effort)
            self._keep(peer, pass_, "start, rest, idle streams", readings)
            if any(r.column == "stream_failures" and r.value for r in readings):
                stop(live)  # what it still chews on must not spoil the next figures
                live = start(peer, self.engine, self.effort)
        except CannotRun as reason:
            self.absent[peer.name] = str(reason)
            self._keep(peer, pass_, "start", [Reading("start_s", None, str(reason))])
            return None
        return live

    def _keep(self, peer: Peer, pass_: int, title: str, readings: list[Reading]) -> None:
        self.step += 1
        shown = []
        for r in readings:
            self.records.append(Record(peer.name, r.column, pass_, r.value, r.note, r.kernel_share))
            self.details.append({"peer": peer.name, "pass": pass_, **asdict(r)})
            value = "–" if r.value is None else f"{r.value:,.1f}"
            shown.append(f"{r.column} {value}" + (f" ({r.note})" if r.note else ""))
        line = (
            f"[{self.step}/{self.steps}] pass {pass_} · {peer.name} · {title}: {'; '.join(shown)}"
        )
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def show(self, subject: str) -> None:
        names = [peer.name for peer in self.peers if peer.name != "direct"]
        self.console.print(costs(self.records, names))
        if subject in names:
            self.console.print(compared(self.records, subject, [n for n in names if n != subject]))
            self.console.print(verdicts(self.records, subject))
        for name, reason in self.absent.items():
            self.console.print(f"{name}: left out: {reason}", markup=False)
        if self.load_average > 0.5:
            self.console.print(
                f"The machine was busy (load {self.load_average:.1f}) as the run began."
            )

    def write(self, subject: str) -> Path:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{self.began:%Y-%m-%d-%H%M%S}.json"
        judged = [judge(target, self.records, subject) for target in TARGETS]
        document = {
            "date": self.began.isoformat(timespec="seconds"),
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
