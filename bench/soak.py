"""The soak: towplane at saturation for minutes, and whether its memory stays flat.

Half of the load streams, half does not. The first fifth of the run is warm-up (pools, arenas, the
first journal files); the slope is fitted over the rest.
"""

import time
from dataclasses import dataclass

import measure
from measurements import Live
from programs import Load, Outcome
from table import slope

__all__ = ["Soak", "soak"]


@dataclass(frozen=True, slots=True)
class Soak:
    """Memory over time: seconds since the start, MiB resident (RSS) and proportional (PSS)."""

    seconds: float
    samples: list[tuple[float, float, float]]
    requests: int
    events: int
    failed: int
    first_error: str

    @property
    def settled(self) -> list[tuple[float, float, float]]:
        return [sample for sample in self.samples if sample[0] >= self.seconds / 5]

    @property
    def rss_mib_per_minute(self) -> float:
        return 60 * slope([(at, rss) for at, rss, _ in self.settled])

    @property
    def growth(self) -> float:
        """What the slope would add over the whole run, as a share of the memory after warm-up."""
        first = self.settled[0][1] if self.settled else 0.0
        return self.rss_mib_per_minute * self.seconds / 60 / first if first else 0.0


def soak(live: Live, seconds: float, *, every_s: float = 2.0) -> Soak:
    """Loads a running gateway for `seconds` and samples its tree's memory."""
    assert live.root is not None
    loads = (
        Load(connections=8, duration_s=seconds),
        Load(connections=8, duration_s=seconds, stream=True, max_tokens=64),
    )
    processes = [load.start(live.running.port, live.running.headers) for load in loads]
    begun = time.monotonic()
    samples: list[tuple[float, float, float]] = []
    while (at := time.monotonic() - begun) < seconds:
        now = measure.memory(live.root)
        samples.append((round(at, 1), now.rss_kib / 1024, now.pss_kib / 1024))
        time.sleep(every_s)
    outcomes: list[Outcome] = [Load.result(process) for process in processes]
    return Soak(
        seconds,
        samples,
        sum(outcome.good for outcome in outcomes),
        sum(outcome.events for outcome in outcomes),
        sum(outcome.failed for outcome in outcomes),
        next((o.first_error for o in outcomes if o.first_error), ""),
    )
