"""Reads an engine's page of metrics in Prometheus' text format, as far as a table asks.

One server may report several engines behind it (vLLM's data-parallel ranks): what they run and what
waits is added, how full they are is averaged. The law: what no line says, or says as no number, is
None; no page whatever raises.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from towplane.engines.signals.tables import Table

__all__ = ["Reading", "read_page"]

Sample = tuple[bytes, float]
"""Labels as they stand on the page, and the value."""


class Reading(NamedTuple):
    """What one page says; None: nothing of it."""

    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None
    hit_rate: float | None = None
    """Of prompt tokens, since the engine started or as it reckons itself."""
    heartbeat: float | None = None
    adapters: tuple[str, ...] | None = None
    """LoRA adapters of requests that run."""
    adapters_waiting: tuple[str, ...] | None = None
    adapters_most: int | None = None
    """How many may run at once."""


_LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


def read_page(table: Table, page: bytes) -> Reading:
    """What the page says of everything that the table names."""
    samples = _samples(page, {name.encode() for meaning in table[1:] for name in meaning})

    def found(names: Iterable[str]) -> list[Sample]:
        return next((some for name in names if (some := samples.get(name.encode()))), [])

    hits, queries = _sum(found(table.hits)), _sum(found(table.queries))
    hit_rate = _mean(found(table.hit_rate))
    if hits is not None and queries:
        hit_rate = hits / queries
    return Reading(
        _whole(found(table.running)),
        _whole(found(table.waiting)),
        _share(_mean(found(table.kv_used))),
        _share(hit_rate),
        _sum(found(table.heartbeat)),
        *_adapters(found(table.adapters)),
    )


def _samples(page: bytes, wanted: set[bytes]) -> dict[bytes, list[Sample]]:
    samples: dict[bytes, list[Sample]] = {}
    for line in page.splitlines():
        brace = line.find(b"{")
        name = line[:brace] if brace >= 0 else line.partition(b" ")[0]
        if name not in wanted:
            continue
        end = line.rfind(b"}") if brace >= 0 else len(name) - 1
        value = line[end + 1 :].split()
        try:
            number = float(value[0])
        except (ValueError, IndexError):
            continue
        if -1e300 < number < 1e300:  # neither NaN nor infinite
            samples.setdefault(name, []).append(
                (line[brace + 1 : end] if brace >= 0 else b"", number)
            )
    return samples


def _sum(samples: list[Sample]) -> float | None:
    return sum(value for _, value in samples) if samples else None


def _mean(samples: list[Sample]) -> float | None:
    return sum(value for _, value in samples) / len(samples) if samples else None


def _whole(samples: list[Sample]) -> int | None:
    total = _sum(samples)
    return max(0, round(total)) if total is not None else None


def _share(value: float | None) -> float | None:
    return min(max(value, 0.0), 1.0) if value is not None else None


def _adapters(
    samples: list[Sample],
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None, int | None]:
    """vLLM leaves a line for every set of adapters that it ever had; the value is the time at which
    it had it, so that the newest line is the one that holds."""
    if not samples:
        return None, None, None
    newest, _ = max(samples, key=lambda sample: sample[1])
    labels = {
        name.decode(): value.decode("utf-8", "replace") for name, value in _LABEL.findall(newest)
    }
    most = labels.get("max_lora", "")
    return (
        _names(labels.get("running_lora_adapters")),
        _names(labels.get("waiting_lora_adapters")),
        int(most) if most.isdecimal() else None,
    )


def _names(listed: str | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(n for one in listed.split(",") if (n := one.strip()))
