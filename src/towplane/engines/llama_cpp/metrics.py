"""llama.cpp: which of its signals mean running, waiting and progress.

The server answers `/metrics` between two decodes, so a busy one answers late and a hung one never.
"""

from towplane.engines.adapter import Answer, Ask, Probe, Vitals
from towplane.engines.signals import TABLES, read_page

__all__ = ["SIGNALS", "VITALS"]

_TABLE = TABLES["llama.cpp"]
SIGNALS = {
    "running": _TABLE.running[0],
    "waiting": _TABLE.waiting[0],
    "progress": _TABLE.heartbeat[0],
}
"""Meaning to the server's own metric."""


def _read_vitals(answer: Answer) -> Vitals | None:
    if answer.status != 200:
        return None
    said = read_page(_TABLE, answer.body)
    if said.running is None or said.waiting is None or said.heartbeat is None:
        return None
    return Vitals(running=said.running, waiting=said.waiting, progress=said.heartbeat)


VITALS = Probe(Ask("GET", _TABLE.path), _read_vitals)
