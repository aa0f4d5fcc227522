"""llama.cpp: which of its signals mean running, waiting and progress.

The server answers `/metrics` between two decodes, so a busy one answers late and a hung one never.
"""

from towplane.engines.adapter import Answer, Ask, Probe, Vitals

__all__ = ["SIGNALS", "VITALS"]

SIGNALS = {
    "running": "llamacpp:requests_processing",
    "waiting": "llamacpp:requests_deferred",
    "progress": "llamacpp:n_decode_total",
}
"""Meaning to the server's own metric (tools/server/README.md, b10068)."""


def _read_vitals(answer: Answer) -> Vitals | None:
    if answer.status != 200:
        return None
    values: dict[str, float] = {}
    for line in answer.body.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(" ")
        if name in SIGNALS.values():
            try:
                values[name] = float(value)
            except ValueError:
                return None
    if len(values) < len(SIGNALS):
        return None
    return Vitals(
        running=int(values[SIGNALS["running"]]),
        waiting=int(values[SIGNALS["waiting"]]),
        progress=values[SIGNALS["progress"]],
    )


VITALS = Probe(Ask("GET", "/metrics"), _read_vitals)
