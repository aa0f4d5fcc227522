"""A route's requests beside their shadows: times, sizes, money, and how often both say the same.

Pure, and offline: the numbers are the ledger's, the words those of a file that somebody asked to
keep. Differences are of each pair, so that what a prompt has of its own falls out. The law: a pair
in which one side is unknown says nothing about that metric.
"""

import math
from collections.abc import Iterable

import msgspec

from towplane.routing.experiments.sequences import Sums, means_of, rho_squared

__all__ = ["Agreement", "PairMetric", "Side", "agree", "compare_pairs"]

_TIGHTEST = 1000
"""Pairs at which intervals are tightest."""


class Side(msgspec.Struct, frozen=True):
    """What is known of one of the two; None: unknown."""

    is_ok: bool
    ttft_us: int | None = None
    total_us: int | None = None
    input: int | None = None
    output: int | None = None
    cost_nanousd: int | None = None


class PairMetric(msgspec.Struct, kw_only=True):
    """One metric over all pairs that know it on both sides."""

    metric: str
    unit: str
    pairs: int
    original: float | None
    """The mean."""
    mirror: float | None
    difference: float | None
    """Of the mirror to the original."""
    low: float | None
    high: float | None
    """Where the true difference is, at all times at once."""


class Agreement(msgspec.Struct, kw_only=True):
    """How alike the answers are, as far as they were kept."""

    pairs: int
    same_finish: float | None
    """Share of the pairs that stopped for the same reason."""
    texts: int
    """Pairs with both texts."""
    same_text: float | None
    """Share of those that are the same, letter by letter."""
    overlap: float | None
    """Mean share of the words of both that stand in both (Jaccard)."""
    length_ratio: float | None
    """Geometric mean of the mirror's length by the original's."""


_METRICS = (
    ("ttft", "ttft_us", 1e-6, "s"),
    ("total", "total_us", 1e-6, "s"),
    ("input", "input", 1.0, "tokens"),
    ("output", "output", 1.0, "tokens"),
    ("cost", "cost_nanousd", 1e-9, "USD"),
)


def compare_pairs(pairs: Iterable[tuple[Side, Side]], alpha: float = 0.05) -> list[PairMetric]:
    """Originals and their mirrors; what failed on either side is counted as an error alone."""
    rho2 = rho_squared(alpha, _TIGHTEST)
    sums = {name: (Sums(), Sums(), Sums()) for name, *_ in _METRICS}
    errors = Sums(), Sums(), Sums()
    for original, mirror in pairs:
        _add(errors, int(not original.is_ok), int(not mirror.is_ok))
        if original.is_ok and mirror.is_ok:
            for name, field, _, _ in _METRICS:
                one, other = getattr(original, field), getattr(mirror, field)
                if one is not None and other is not None:
                    _add(sums[name], one, other)
    found = [_metric("errors", "", 1.0, errors, alpha, rho2)]
    found += [_metric(name, unit, scale, sums[name], alpha, rho2)
              for name, _, scale, unit in _METRICS]  # fmt: skip
    return found


def agree(pairs: Iterable[tuple[str | None, str | None, str | None, str | None]]) -> Agreement:
    """Finish and text of the original, then of the mirror."""
    count = ends = same_ends = texts = same = 0
    overlaps: list[float] = []
    ratios: list[float] = []
    for finish, text, mirror_finish, mirror_text in pairs:
        count += 1
        if finish is not None and mirror_finish is not None:
            ends += 1
            same_ends += finish == mirror_finish
        if text is not None and mirror_text is not None:
            texts += 1
            same += text == mirror_text
            overlaps.append(_overlap(text, mirror_text))
            if text and mirror_text:
                ratios.append(math.log(len(mirror_text) / len(text)))
    return Agreement(
        pairs=count,
        same_finish=same_ends / ends if ends else None,
        texts=texts,
        same_text=same / texts if texts else None,
        overlap=math.fsum(overlaps) / texts if texts else None,
        length_ratio=math.exp(math.fsum(ratios) / len(ratios)) if ratios else None,
    )


def _add(sums: tuple[Sums, Sums, Sums], original: int, mirror: int) -> None:
    for kept, value in zip(sums, (original, mirror, mirror - original), strict=True):
        kept.add(value)


def _metric(
    name: str,
    unit: str,
    scale: float,
    sums: tuple[Sums, Sums, Sums],
    alpha: float,
    rho2: float,
) -> PairMetric:
    original, mirror, difference = (means_of(one, rho2) for one in sums)
    interval = difference.interval(alpha)
    return PairMetric(
        metric=name,
        unit=unit,
        pairs=difference.n,
        original=_known(original.mean * scale),
        mirror=_known(mirror.mean * scale),
        difference=_known(difference.mean * scale),
        low=_known(interval.low * scale),
        high=_known(interval.high * scale),
    )


def _overlap(one: str, other: str) -> float:
    words, others = set(one.split()), set(other.split())
    return len(words & others) / len(words | others) if words or others else 1.0


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
