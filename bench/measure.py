"""What a server costs, read from /proc: CPU time, memory and life of its whole process tree.

Knows no gateway and no load. A tree is the root, its descendants, and whatever else stayed in the
root's session (a child whose parent died), so nobody hides work in another process; children that
came and went are counted through their parents' reaped time.
"""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Cpu", "Memory", "cpu", "end", "is_busy", "memory", "settle", "tree"]

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time; the kernel's total is exact, its split into user and system is sampled."""

    user_s: float
    system_s: float

    @property
    def total_s(self) -> float:
        return self.user_s + self.system_s

    def __sub__(self, earlier: "Cpu") -> "Cpu":
        return Cpu(self.user_s - earlier.user_s, self.system_s - earlier.system_s)


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory; PSS divides shared pages among those who share them."""

    pss_kib: int
    rss_kib: int


def tree(root: int) -> list[int]:
    """The process ids of the tree that hangs on `root`, which leads its own session."""
    stats = _stats()
    members = {pid for pid, fields in stats.items() if int(fields[3]) == root} | {root}
    grown = True
    while grown:
        kids = {pid for pid, fields in stats.items() if int(fields[1]) in members} - members
        members |= kids
        grown = bool(kids)
    return sorted(members & stats.keys())


def cpu(root: int) -> Cpu:
    """CPU time that the tree has used up to now, reaped children included."""
    stats = _stats()
    rows = [stats[pid] for pid in tree(root) if pid in stats]
    user = sum(int(row[11]) + int(row[13]) for row in rows)
    system = sum(int(row[12]) + int(row[14]) for row in rows)
    return Cpu(user / TICKS_PER_S, system / TICKS_PER_S)


def memory(root: int) -> Memory:
    """Resident memory of the tree."""
    pss = rss = 0
    for pid in tree(root):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            if line.startswith("Pss:"):
                pss += int(line.split()[1])
            elif line.startswith("Rss:"):
                rss += int(line.split()[1])
    return Memory(pss, rss)


def is_busy(root: int, *, for_s: float = 0.3, share: float = 0.07) -> bool:
    """Whether the tree uses more than `share` of a core over the next `for_s` seconds."""
    before = cpu(root)
    time.sleep(for_s)
    return (cpu(root) - before).total_s > share * for_s


def settle(root: int, *, at_most_s: float = 5.0) -> bool:
    """Waits until the tree has finished what it still has to do; False: it is still busy."""
    deadline = time.monotonic() + at_most_s
    while is_busy(root):
        if time.monotonic() > deadline:
            return False
    return True


def end(process: subprocess.Popen[bytes], *, patience_s: float = 5.0) -> None:
    """Ends a server as an operator would, then without asking; takes its whole tree along."""
    members = tree(process.pid)
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pid in members:
        if pid != process.pid and _session(pid) == process.pid:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _session(pid: int) -> int | None:
    fields = _stats().get(pid)
    return int(fields[3]) if fields else None


def _stats() -> dict[int, list[str]]:
    """By process id: the fields of /proc/PID/stat after the name: state, parent, group, session…"""
    stats: dict[int, list[str]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        stats[int(entry.name)] = text.rpartition(")")[2].split()
    return stats
