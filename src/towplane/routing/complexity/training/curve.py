"""What an order of prompts is worth: CPT(x) and APGR of RouteLLM, with bootstrap intervals.

With the strong target for a share of the prompts, those first in the order, the quality lies
between the weak target's mean w and the strong one's s. PGR(share) = (quality − w)/(s − w); CPT(x)
is the smallest share with PGR ≥ x; APGR is the area under PGR (arXiv 2406.18665, section 3, which
sums ten steps; here the area is exact). Prompts of equal score go up together, as a random order of
them would on average, so that an order that knows nothing has CPT(x) = x and APGR = 0.5 exactly.

The law: nothing but the order of the scores counts.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Measures", "draw_weights", "interval", "measure"]

Floats = npt.NDArray[np.float64]

_CHUNK = 4_000_000
"""Numbers that are worked on at once: 32 MB an array."""


class Measures(NamedTuple):
    """Of each row of weights; NaN where strong is not better than weak."""

    apgr: Floats
    cpt50: Floats
    cpt80: Floats
    area: Floats
    """Mean gain in quality over all shares, on the scale of the labels."""


def measure(scores: Floats, gains: Floats, weights: Floats) -> Measures:
    """How good the order of `scores` is for prompts with these gains; a row of `weights` says how
    often each prompt counts."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    ends = np.flatnonzero(np.append(sorted_scores[1:] != sorted_scores[:-1], True))
    parts = [_measure(gains[order], rows[:, order], ends) for rows in _chunks(weights)]
    return Measures(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def draw_weights(groups: npt.NDArray[Any], times: int, seed: int) -> Floats:
    """Resamples of the groups of prompts with replacement, as weights of the prompts.

    `groups` numbers the group of each prompt from 0: what is equal is drawn together.
    """
    count = int(groups.max()) + 1
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, np.full(count, 1 / count), size=times)
    return drawn[:, groups].astype(np.float64)


def interval(values: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The percentiles that hold `level` of the values between them; None where too many are not
    numbers to say."""
    known = values[np.isfinite(values)]
    if len(known) < level * len(values):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _chunks(weights: Floats) -> Iterator[Floats]:
    rows = max(1, _CHUNK // max(1, weights.shape[1]))
    for at in range(0, len(weights), rows):
        yield weights[at : at + rows]


def _measure(gains: Floats, weights: Floats, ends: npt.NDArray[np.intp]) -> Measures:
    taken = np.cumsum(weights, axis=1)[:, ends]
    gained = np.cumsum(weights * gains, axis=1)[:, ends]
    none = np.zeros((len(weights), 1))
    total = taken[:, -1:]
    shares = np.hstack([none, taken / total])
    quality = np.hstack([none, gained / total])
    area = np.trapezoid(quality, shares, axis=1)
    whole = quality[:, -1]
    with np.errstate(divide="ignore", invalid="ignore"):
        apgr = np.where(whole > 0, area / whole, np.nan)
    return Measures(
        apgr, _first_at(0.5, shares, quality, whole), _first_at(0.8, shares, quality, whole), area
    )


def _first_at(part: float, shares: Floats, quality: Floats, whole: Floats) -> Floats:
    """The smallest share with this part of the gap, on straight lines between the prompts."""
    wanted = part * whole
    # The last point has all of the gap, but for rounding.
    reached = quality >= (wanted - 1e-12 * np.abs(wanted))[:, None]
    reached[:, -1] = True
    at = np.argmax(reached, axis=1)
    rows = np.arange(len(at))
    before = np.maximum(at - 1, 0)
    low, high = quality[rows, before], quality[rows, at]
    with np.errstate(divide="ignore", invalid="ignore"):
        way = np.where(high > low, (wanted - low) / (high - low), 1.0)
    found = shares[rows, before] + np.clip(way, 0, 1) * (shares[rows, at] - shares[rows, before])
    return np.where(whole > 0, found, np.nan)
