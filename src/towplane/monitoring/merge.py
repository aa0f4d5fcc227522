"""Merging: what all workers have counted, the dead ones included.

`Tally` keeps the newest report of each living worker and the sum of those that ended. It knows no
socket and no process. Law: a merged counter never falls while the plane runs; a gauge comes from
living workers only; a histogram keeps every edge that any report had.
"""

from collections.abc import Iterable

from towplane.monitoring.catalogue import CATALOGUE, OTHER, Family, rebucket
from towplane.monitoring.series import Sample

__all__ = ["Tally", "merge"]

Series = tuple[str, tuple[str, ...]]


class Tally:
    """The counts of all workers since the plane started."""

    def __init__(self) -> None:
        self._base: list[Sample] = []
        self._living: dict[int, list[Sample]] = {}

    def report(self, worker: int, samples: list[Sample]) -> None:
        """A living worker says what it has counted since it started."""
        self._living[worker] = samples

    def retire(self, worker: int) -> None:
        """A worker ended: its counters stay, its gauges go."""
        last = self._living.pop(worker, [])
        self._base = merge([self._base, [s for s in last if _kind(s) != "gauge"]])

    def merged(self) -> list[Sample]:
        """The sum over the living and the dead."""
        return merge([self._base, *self._living.values()])


def merge(reports: Iterable[Iterable[Sample]]) -> list[Sample]:
    """Sum reports series by series, in the order of the catalogue; the reports stay untouched.

    A label value outside its closed set becomes `other`; a family that is not in the catalogue is
    a bug of the plane and raises KeyError.
    """
    sums: dict[Series, Sample] = {}
    for report in reports:
        for sample in report:
            labels = _closed(CATALOGUE[sample.family], sample.labels)
            key = (sample.family, labels)
            found = sums.get(key)
            if found is None:
                sums[key] = _copy(sample, labels)
            else:
                _add(found, sample)
    order = {name: place for place, name in enumerate(CATALOGUE)}
    return sorted(sums.values(), key=lambda sample: (order[sample.family], sample.labels))


def _kind(sample: Sample) -> str:
    return CATALOGUE[sample.family].kind


def _closed(family: Family, labels: tuple[str, ...]) -> tuple[str, ...]:
    sets = _SETS[family.name]
    if len(labels) != len(sets):
        raise ValueError(f"{family.name} has the labels {family.labels}, not {labels!r}")
    if all(not allowed or label in allowed for label, allowed in zip(labels, sets, strict=True)):
        return labels
    return tuple(
        label if not allowed or label in allowed else OTHER
        for label, allowed in zip(labels, sets, strict=True)
    )


def _copy(sample: Sample, labels: tuple[str, ...]) -> Sample:
    counts = None if sample.buckets is None else list(sample.buckets)
    edges = sample.edges or CATALOGUE[sample.family].edges
    if counts is not None and len(counts) != len(edges) + 1:
        raise ValueError(f"{sample.family} has {len(counts)} buckets for {len(edges)} edges")
    return Sample(sample.family, labels, sample.value, counts, sample.total, sample.edges)


def _add(into: Sample, sample: Sample) -> None:
    into.value += sample.value
    into.total += sample.total
    if sample.buckets is None:
        return
    own = CATALOGUE[sample.family].edges
    mine, yours = into.edges or own, sample.edges or own
    union = mine if mine == yours else tuple(sorted({*mine, *yours}))
    held = rebucket(into.buckets or [0] * (len(mine) + 1), mine, union)
    theirs = rebucket(sample.buckets, yours, union)
    into.buckets = [a + b for a, b in zip(held, theirs, strict=True)]
    into.edges = None if union == own else union


_SETS: dict[str, tuple[tuple[str, ...], ...]] = {
    family.name: tuple(family.allowed(label) for label in family.labels)
    for family in CATALOGUE.values()
}
