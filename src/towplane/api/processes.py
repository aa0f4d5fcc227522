"""CPU time and memory of the plane's processes, read from /proc at each scrape.

It knows only pids. Where there is no /proc, or a process has just ended, there is no sample: what
cannot be seen is absent, not 0.
"""

import os
from pathlib import Path

from towplane.api.views import PlaneStatus
from towplane.monitoring.series import Sample

__all__ = ["process_samples"]

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def process_samples(status: PlaneStatus, proc: Path = Path("/proc")) -> list[Sample]:
    """Samples for the plane, its workers and its engines."""
    pids = [("plane", status.pid)]
    pids += [(f"worker-{worker.number}", worker.pid) for worker in status.workers]
    pids += [(engine.target, engine.pid) for engine in status.engines]
    found = []
    for name, pid in pids:
        if pid is not None:
            found += _read(name, proc / str(pid) / "stat")
    return found


def _read(name: str, stat: Path) -> list[Sample]:
    try:
        # The command's name in parentheses may hold spaces; what follows it does not.
        fields = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return []
    # proc(5): counted from the state, field 3, utime is 14, stime 15, rss 24.
    cpu_s = (int(fields[11]) + int(fields[12])) * _TICK_S
    return [
        Sample("towplane_process_cpu_seconds_total", (name,), cpu_s),
        Sample("towplane_process_resident_memory_bytes", (name,), int(fields[21]) * _PAGE_BYTES),
    ]
