"""Trains, cross-validates and compares: is anything learned that the prompt's length does not say?

Every score in the table is of a prompt that its scorer was not trained on, made by the code that a
worker runs. Folds keep equal prompts together, and scores are compared as ranks within their fold,
because scorers of different folds have different scales. Intervals are percentiles of a bootstrap
over prompts; they hold for these folds and leave out what another training would have learned.

The laws: the same labels give the same table; on labels that do not depend on the prompt it says
that nothing was learned (with the error of its interval, shared among the scorers that are tried).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from towplane.parts.errors import BadRequest
from towplane.routing.complexity.labels import Label
from towplane.routing.complexity.model import Interval, Kind, Labels, Row, Trained
from towplane.routing.complexity.scorer import make_scorer
from towplane.routing.complexity.training.curve import (
    Floats,
    Measures,
    draw_weights,
    interval,
    measure,
)
from towplane.routing.complexity.training.fit import Samples, fit, read_samples
from towplane.routing.complexity.training.vectors import Vectors

__all__ = ["DomainGap", "Outcome", "train"]

FOLDS = 5
LEAST = 50
"""Prompts below which folds are too small to say anything."""
DRAWS = 1000
LEAST_LEAD = 0.01
"""APGR over the length below which a lead may be real and is nothing."""
_SEED = 20261123
_TRAINED: tuple[Kind, ...] = ("domain", "logistic", "factorisation", "embedded")
"""From the simplest on; the last one needs a package in every worker."""

Note = Callable[[str], None]


class DomainGap(NamedTuple):
    """How much better strong is in a domain, on the scale of the labels."""

    domain: str
    labels: int
    gain: float
    interval: Interval


class Outcome(NamedTuple):
    """A training."""

    model: Trained
    """The scorer that is recommended, with the table of all."""
    gaps: tuple[DomainGap, ...]
    costs: tuple[float, float] | None
    """Mean cost of an answer of strong and of weak, USD, where every label says it."""


def train(
    labels: Sequence[Label],
    digest: str,
    *,
    vectors: Vectors | None = None,
    folds: int = FOLDS,
    draws: int = DRAWS,
    note: Note = lambda _: None,
    now: datetime | None = None,
) -> Outcome:
    """Learn from labels, and say how well; with `vectors`, over them too. Raises BadRequest where
    there are too few."""
    prompts = len({label.prompt for label in labels})
    if prompts < LEAST:
        raise BadRequest(
            f"labels of {prompts} different prompts are too few to learn from and to test on",
            param="labels",
            next_step=f"label at least {LEAST} prompts, better some hundreds: `towplane routing "
            "label`",
        )
    samples = read_samples(labels, vectors)
    groups = _groups(labels)
    weights = draw_weights(groups, draws, _SEED)
    gain = interval(_means(samples.gain, weights)) or (0.0, 0.0)
    kinds = tuple(kind for kind in _TRAINED if _can_be_tried(kind, samples))
    ranks: dict[str, Floats] = {}
    for kind in ("length", *kinds):
        note(f"{kind}: {folds} folds")
        ranks[kind] = _cross_validate(kind, samples, labels, groups, folds)
    table, over = _table(samples, ranks, kinds, weights)
    learned, kind, verdict = _judge(table, ranks, samples, weights, gain, over)
    every = np.arange(len(labels))
    bare = fit(kind, samples, every).model(kind)
    strong, weak = (
        float(np.mean([getattr(label, f"score_{role}") for label in labels]))
        for role in ("strong", "weak")
    )
    model = Trained(
        format="towplane-router-1",
        kind=kind,
        trained_at=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        labels=Labels(len(labels), digest, strong, weak, gain),
        learned=learned,
        verdict=verdict,
        table=table,
        lanes=bare.lanes,
        centre=bare.centre,
        spread=bare.spread,
        weights=bare.weights,
        embedding=bare.embedding,
    )
    return Outcome(model, _gaps(samples, weights), _costs(labels))


def _can_be_tried(kind: Kind, samples: Samples) -> bool:
    if kind == "domain":
        return len(samples.domains) > 1
    return kind != "embedded" or samples.vectors is not None


def _groups(labels: Sequence[Label]) -> npt.NDArray[np.int64]:
    """Equal prompts have one number."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(label.prompt, len(numbers)) for label in labels])


def _cross_validate(
    kind: Kind,
    samples: Samples,
    labels: Sequence[Label],
    groups: npt.NDArray[np.int64],
    folds: int,
) -> Floats:
    """Of each prompt, the rank of its score within its fold, by a scorer that never saw it."""
    order = np.random.default_rng(_SEED).permutation(int(groups.max()) + 1)
    fold_of = order[groups] % folds
    found = np.zeros(len(labels))
    for fold in range(folds):
        held = np.flatnonzero(fold_of == fold)
        score = make_scorer(fit(kind, samples, np.flatnonzero(fold_of != fold)).model(kind))
        scores = np.array([score(labels[int(row)].prompt) for row in held])
        found[held] = rankdata(scores) / (len(held) + 1)
    return found


def _table(
    samples: Samples, ranks: dict[str, Floats], kinds: Sequence[str], weights: Floats
) -> tuple[tuple[Row, ...], dict[str, Interval | None]]:
    """A row for each scorer; and of each trained one the interval of its gain in quality over the
    length and over chance, whichever is the better, at a level that is shared among them
    (Bonferroni): by this it is judged."""
    level = 1 - 0.05 / max(1, len(kinds))
    rows = [Row("random", 0.5, 0.8, 0.5)]
    by_length = measure(ranks["length"], samples.gain, weights)
    by_chance = _means(samples.gain, weights) / 2
    over: dict[str, Interval | None] = {}
    for name, scores in (*ranks.items(), ("oracle", samples.gain)):
        drawn = measure(scores, samples.gain, weights)
        difference = interval(drawn.apgr - by_length.apgr) if name in kinds else None
        if name in kinds:
            found = [
                interval(drawn.area - area, level) or (-np.inf, np.inf)
                for area in (by_length.area, by_chance)
            ]
            over[name] = min(found)
        rows.append(_row(name, scores, samples.gain, drawn, difference))
    return tuple(rows), over


def _row(
    name: str, scores: Floats, gains: Floats, drawn: Measures, over_length: Interval | None
) -> Row:
    point = measure(scores, gains, np.ones((1, len(gains))))
    return Row(
        name,
        _known(point.cpt50),
        _known(point.cpt80),
        _known(point.apgr),
        interval(drawn.cpt50),
        interval(drawn.cpt80),
        interval(drawn.apgr),
        over_length,
    )


def _judge(
    table: Sequence[Row],
    ranks: dict[str, Floats],
    samples: Samples,
    weights: Floats,
    gain: Interval,
    over: dict[str, Interval | None],
) -> tuple[bool, Kind, str]:
    """Whether something was learned, which scorer to take, and why, in words."""
    if gain[0] <= 0:
        return (
            False,
            "length",
            (
                "nothing was learned: these labels do not show that the strong target is better "
                f"(difference {gain[0]:+.3g} to {gain[1]:+.3g})"
            ),
        )
    apgr = {row.scorer: row.apgr or 0.0 for row in table}
    better = [
        kind
        for kind in _TRAINED
        if (found := over.get(kind)) and found[0] > 0 and apgr[kind] - apgr["length"] >= LEAST_LEAD
    ]
    if not better:
        row = next(row for row in table if row.scorer == "length")
        by_length = (
            "the length alone is better than chance"
            if row.apgr_interval and row.apgr_interval[0] > 0.5
            else "nor does the length tell hard prompts from easy ones"
        )
        return (
            False,
            "length",
            (
                f"nothing was learned: no trained scorer beats the prompt's length beyond chance; "
                f"{by_length}"
            ),
        )
    best = max(better, key=lambda kind: apgr[kind])
    best_area = measure(ranks[best], samples.gain, weights).area
    for kind in better:
        ahead = interval(best_area - measure(ranks[kind], samples.gain, weights).area)
        if kind == best or ahead is None or ahead[0] <= 0:
            break
    why = "the best" if kind == best else f"simpler than {best} and not worse beyond chance"
    return True, kind, f"take {kind}: it beats the prompt's length, and is {why}"


def _gaps(samples: Samples, weights: Floats) -> tuple[DomainGap, ...]:
    """The measured difference of each domain, the largest first."""
    found = []
    for number, name in enumerate(samples.domains):
        rows = np.flatnonzero(samples.domain == number)
        gain = samples.gain[rows]
        spread = interval(_means(gain, weights[:, rows])) or (-np.inf, np.inf)
        found.append(DomainGap(name, len(rows), float(gain.mean()), spread))
    return tuple(sorted(found, key=lambda gap: -gap.gain))


def _costs(labels: Sequence[Label]) -> tuple[float, float] | None:
    strong = [label.cost_strong for label in labels if label.cost_strong is not None]
    weak = [label.cost_weak for label in labels if label.cost_weak is not None]
    if len(strong) < len(labels) or len(weak) < len(labels):
        return None
    return float(np.mean(strong)), float(np.mean(weak))


def _means(values: Floats, weights: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        found: Floats = weights @ values / weights.sum(axis=1)
    return found


def _known(values: Floats) -> float | None:
    return float(values[0]) if np.isfinite(values[0]) else None
