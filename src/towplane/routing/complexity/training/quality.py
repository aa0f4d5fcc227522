"""The threshold that keeps a wanted part of the strong target's quality, from labelled prompts.

Quality is the mean score of the answers that the route would have given; 95 % is 0.95 of the strong
target's mean. The threshold is the highest at which the labels reach it. Intervals are percentiles
of a bootstrap over prompts, at that threshold held fast. The labels should not be those that the
scorer was trained on, whose scores know too much.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from towplane.parts.errors import BadRequest
from towplane.routing.complexity.labels import Label
from towplane.routing.complexity.scorer import Score
from towplane.routing.complexity.training.curve import Floats, draw_weights, interval

__all__ = ["Quality", "calibrate_quality"]

DRAWS = 1000
_SEED = 20261123
_LEAST = 30
_STEP = 2e-6
"""Above a score by more than a threshold is rounded by."""


class Quality(NamedTuple):
    """A threshold for a quality."""

    threshold: float
    quality: float
    """Reached on these labels, as a part of the strong target's."""
    quality_interval: tuple[float, float]
    share: float
    """Of calls to the strong target."""
    share_interval: tuple[float, float]
    weak: float
    """What the weak target alone reaches."""
    sample: int
    """How many labels."""


def calibrate_quality(labels: Sequence[Label], score: Score, wanted: float) -> Quality:
    """Raises BadRequest where a part of a quality makes no sense."""
    if len(labels) < _LEAST:
        raise BadRequest(
            f"{len(labels)} labels are too few", param="labels", next_step=f"label {_LEAST} or more"
        )
    strong = np.array([label.score_strong for label in labels])
    weak = np.array([label.score_weak for label in labels])
    if min(strong.min(), weak.min()) < 0 or strong.mean() <= 0:
        raise BadRequest(
            "scores below 0 have no percentages",
            param="labels",
            next_step="move the scale so that 0 is the worst answer",
        )
    scores = np.array([score(label.prompt) for label in labels])
    threshold = _find(scores, strong, weak, wanted * float(strong.mean()))
    takes = scores >= threshold
    got = np.where(takes, strong, weak)
    weights = draw_weights(np.arange(len(labels)), DRAWS, _SEED)
    parts = (weights @ got) / (weights @ strong)
    shares = weights @ takes / len(labels)
    return Quality(
        threshold,
        float(got.mean() / strong.mean()),
        interval(parts) or (0.0, float("inf")),
        float(takes.mean()),
        interval(shares) or (0.0, 1.0),
        float(weak.mean() / strong.mean()),
        len(labels),
    )


def _find(scores: Floats, strong: Floats, weak: Floats, wanted: float) -> float:
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    gained = weak.mean() + np.cumsum((strong - weak)[order])[ends] / len(scores)
    if weak.mean() >= wanted:
        return float(scores.max()) + _STEP
    reached = np.flatnonzero(gained >= wanted - 1e-12)
    if not len(reached):  # strong alone is its own 100 %, but for rounding
        return float(scores.min())
    return float(scores[order][ends[reached[0]]])
