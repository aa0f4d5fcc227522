"""A measured value on its way from a worker to the exposition."""

import msgspec


class Sample(msgspec.Struct, array_like=True):
    """One series of one family of `monitoring.catalogue`, as counted since its process started.

    A counter or gauge has `value`; a histogram has `buckets` (one count per edge of its family and
    one for above the last, not cumulative) and `total` (the sum of the observed values).
    `labels` stand in the order of the family's label names.
    """

    family: str
    labels: tuple[str, ...] = ()
    value: float = 0.0
    buckets: list[int] | None = None
    total: float = 0.0
    edges: tuple[float, ...] | None = None
    """Upper edges of the buckets where they are not the catalogue's own (an SLO added some)."""
