"""Scores of a prompt: how much it gains from a strong target. Pure functions made of a model.

`length` counts characters. A trained one lies between 0 and 1. The vendor's own come by the entry
point group `towplane.scorers`: functions from a text to a number, on whatever scale. No array
library is loaded: sums over buckets are sums of Python's numbers, several lanes in one.

The laws: a score depends on the text alone; a text without words has one too; what a trained scorer
looks at is bounded, so that no prompt costs more than a known time.
"""

from array import array
from collections.abc import Callable
from functools import partial
from math import exp, log1p, sqrt
from pathlib import Path

from towplane.parts.errors import Unsupported
from towplane.routing.complexity.embedding import check_embedding, open_tokens
from towplane.routing.complexity.model import Embedding, Trained, read_model
from towplane.routing.complexity.words import BUCKETS, buckets_of

__all__ = ["GROUP", "Score", "load_model", "load_own", "make_scorer", "score_length", "scorer_of"]

GROUP = "towplane.scorers"
"""Entry points of the vendor's own scorers."""

Score = Callable[[str], float]
"""From the last words of the user to a score; higher: more to gain from the strong target."""

_OFFSET = 1 << 15
"""Makes a signed 16-bit weight unsigned, so that lanes that are added do not run into each other:
a prompt has fewer than 2^16 buckets, and a lane 32 bits."""


def scorer_of(name: str, model: Trained | None) -> Score:
    """The scorer that a route names. Raises Unsupported."""
    if name == "length":
        return score_length
    if name != "trained":
        return load_own(name)
    assert model is not None, "the document asks for a model with `scorer: trained`"
    return make_scorer(model)


def score_length(text: str) -> float:
    """How long it is, in characters."""
    return float(len(text))


def load_model(path: Path) -> Trained:
    """The model in a file, if it can score here. Raises BadDocument for a file that is no model,
    and Unsupported for an embedding that is not installed as it was where the model was trained."""
    model = read_model(path)
    if isinstance(model.embedding, Embedding):
        check_embedding(model.embedding)
    return model


def load_own(name: str) -> Score:
    """The vendor's own function of this name. Raises Unsupported."""
    from importlib.metadata import entry_points  # 10 ms that few workers need

    found = list(entry_points(group=GROUP, name=name))
    if not found:
        raise Unsupported(
            f"no scorer is called {name}",
            next_step=f"use length or trained, or install the package whose entry point `{name}` "
            f"of {GROUP} it is",
        )
    own: Score = found[0].load()
    return own


def make_scorer(model: Trained) -> Score:
    """A trained scorer as a function. Raises Unsupported for one over an embedding that is not
    installed here as it was where the model was trained."""
    if isinstance(model.embedding, Embedding):
        return _embedded(model, model.embedding)
    if not model.weights:
        lane = model.lanes[0]
        return partial(_score_plain, lane.bias, lane.length, model.centre, model.spread)
    if len(model.lanes) == 1:
        return _linear(model)
    return _domains(model)


def _score_plain(bias: float, weight: float, centre: float, spread: float, text: str) -> float:
    return _squash(bias + weight * (log1p(len(text)) - centre) / spread)


def _linear(model: Trained) -> Score:
    lane = model.lanes[0]
    weights = [one * lane.step for one in _weights(model)]
    pick, bias, by_length = weights.__getitem__, lane.bias, lane.length
    centre, spread = model.centre, model.spread

    def score(text: str) -> float:
        buckets = buckets_of(text)
        words = sum(map(pick, buckets)) / sqrt(len(buckets) or 1)
        return _squash(bias + words + by_length * (log1p(len(text)) - centre) / spread)

    return score


def _embedded(model: Trained, embedding: Embedding) -> Score:
    """Linear in the mean of the tokens' vectors, which is the mean of a number for each token."""
    lane = model.lanes[0]
    tokens_of = open_tokens(embedding)
    weights = [one * lane.step for one in _weights(model)]
    pick, bias, by_length = weights.__getitem__, lane.bias, lane.length
    centre, spread = model.centre, model.spread

    def score(text: str) -> float:
        tokens = tokens_of(text)
        meant = sum(map(pick, tokens)) / (len(tokens) or 1)
        return _squash(bias + meant + by_length * (log1p(len(text)) - centre) / spread)

    return score


def _domains(model: Trained) -> Score:
    lanes, count = model.lanes, len(model.lanes)
    flat = _weights(model)
    rows = [
        int.from_bytes(
            array("I", [one + _OFFSET for one in flat[at : at + count]]).tobytes(), "little"
        )
        for at in range(0, BUCKETS * count, count)
    ]
    pick, width = rows.__getitem__, 4 * count
    centre, spread = model.centre, model.spread

    def score(text: str) -> float:
        buckets = buckets_of(text)
        sums = array("I", sum(map(pick, buckets)).to_bytes(width, "little"))
        surplus = len(buckets) * _OFFSET
        scale = 1 / sqrt(len(buckets) or 1)
        length = (log1p(len(text)) - centre) / spread
        logits = [
            lane.bias + lane.length * length + (one - surplus) * lane.step * scale
            for lane, one in zip(lanes, sums, strict=True)
        ]
        highest = max(logits)
        shares = [exp(one - highest) for one in logits]
        gained = sum(share * lane.gain for share, lane in zip(shares, lanes, strict=True))
        return gained / sum(shares)

    return score


def _weights(model: Trained) -> "array[int]":
    found = array("h")
    found.frombytes(model.weights)
    if found.itemsize != 2:  # pragma: no cover  # no platform of ours
        raise Unsupported("this machine's short integers are not 16 bits wide")
    return _little(found)


def _little(values: "array[int]") -> "array[int]":
    from sys import byteorder

    if byteorder != "little":
        values.byteswap()
    return values


def _squash(logit: float) -> float:
    """The logistic function, without overflow."""
    if logit >= 0:
        return 1 / (1 + exp(-min(logit, 700.0)))
    small = exp(max(logit, -700.0))
    return small / (1 + small)
