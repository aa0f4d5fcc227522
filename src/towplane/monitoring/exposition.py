"""Exposition: merged samples as Prometheus text, by prometheus_client's own writer.

For the plane process only; workers never import it. It counts nothing itself. Law: what is not in
the catalogue is not shown.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from towplane.monitoring.catalogue import CATALOGUE, Family
from towplane.monitoring.series import Sample

__all__ = ["render"]


def render(samples: Iterable[Sample], accept: str = "") -> tuple[bytes, str]:
    """The body and its content type, in the format that the scraper's Accept header asks for."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(samples))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Merged(Collector):
    """Samples, grouped by family in the order of the catalogue."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples: dict[str, list[Sample]] = {name: [] for name in CATALOGUE}
        for sample in samples:
            self._samples[sample.family].append(sample)

    def collect(self) -> Iterator[Metric]:
        for name, samples in self._samples.items():
            if samples:
                yield _family(CATALOGUE[name], samples)


def _family(family: Family, samples: list[Sample]) -> Metric:
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels)
        for sample in samples:
            histogram.add_metric(sample.labels, _cumulative(family, sample), sample.total)
        return histogram
    form = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    plain = form(family.name, family.help, labels=family.labels)
    for sample in samples:
        plain.add_metric(sample.labels, sample.value)
    return plain


def _cumulative(family: Family, sample: Sample) -> list[tuple[str, float]]:
    edges = sample.edges or family.edges
    counts = sample.buckets or [0] * (len(edges) + 1)
    names = [_le(edge) for edge in edges] + ["+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


def _le(edge: float) -> str:
    return str(floatToGoString(edge))  # type: ignore[no-untyped-call]  # untyped in 0.26
