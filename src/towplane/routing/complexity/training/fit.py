"""Fits each kind of scorer to labels: the numbers of a `Trained`, as a worker will use them.

- `length`: longer is harder, or shorter is, whichever the labels say.
- `domain`: a multinomial classifier over hashed words; the score is what its domains gained, each
  drawn towards the mean of all by `_SHRINK` labels' worth.
- `logistic`: the expected gain of a prompt by its hashed words and its length.
- `factorisation`: the same in the first factors of the matrix of prompts and words. For one pair of
  models RouteLLM's matrix factorisation is linear in the prompt's vector as well.
- `embedded`: the same in the mean of the vectors of its tokens, where an embedding is installed;
  told as a weight for each token.

All are regularised; how strongly is chosen on a part of the prompts that is held out. The law: a
fit depends on the labels that it is given and on nothing else (the seed is fixed).
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize
from scipy.sparse.linalg import svds

from towplane.routing.complexity.labels import Label
from towplane.routing.complexity.model import Embedding, Kind, Labels, Lane, Trained
from towplane.routing.complexity.training.vectors import Vectors, mean_vectors
from towplane.routing.complexity.words import BUCKETS, buckets_of

__all__ = ["Fit", "Samples", "fit", "read_samples"]

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

MOST_DOMAINS = 32
_LEAST_OF_DOMAIN = 5
_LEAST_OF_WORD = 3
"""Prompts that must have a word or a pair: what fewer have cannot foretell others."""
_SHRINK = 5.0
_FACTORS = 24
_RIDGES = (0.3, 3.0, 30.0)
_HELD_OUT = 0.2
_STEPS = 60
_SEED = 20261123


class Samples(NamedTuple):
    """Labels as arrays."""

    words: Any
    """A sparse matrix: of each prompt, how often each bucket, by the root of how many there are."""
    length: Floats
    """log(1 + characters)."""
    gain: Floats
    scale: float
    """The largest gain or loss."""
    domain: npt.NDArray[np.int64]
    """By number; −1: none, or too rare."""
    domains: tuple[str, ...]
    vectors: Vectors | None
    """None: no embedding is installed, or none is wanted."""
    means: Floats
    """The mean vector of each prompt, by `vectors`; empty without them."""

    @property
    def wish(self) -> Floats:
        """The gain between 0 and 1; 0.5 is none."""
        return (self.gain / self.scale + 1) / 2


class Fit(NamedTuple):
    """What was learned."""

    lanes: tuple[Lane, ...]
    centre: float
    spread: float
    weights: bytes
    embedding: Embedding | msgspec.UnsetType = msgspec.UNSET

    def model(self, kind: Kind) -> Trained:
        """As a worker would have it, without its history."""
        nothing = Labels(0, "", 0.0, 0.0, (0.0, 0.0))
        return Trained(
            "towplane-router-1", kind, "", nothing, False, "", (), *self[:4],
            embedding=self.embedding,
        )  # fmt: skip


def read_samples(labels: Sequence[Label], vectors: Vectors | None = None) -> Samples:
    """The labels as arrays; domains with fewer than five labels, or beyond the 32 most frequent,
    count as none."""
    count = Counter(label.domain for label in labels if label.domain)
    domains = tuple(
        sorted(name for name, n in count.most_common(MOST_DOMAINS) if n >= _LEAST_OF_DOMAIN)
    )
    number = {name: index for index, name in enumerate(domains)}
    gain = np.array([label.score_strong - label.score_weak for label in labels])
    prompts = [label.prompt for label in labels]
    return Samples(
        words=_words(prompts),
        length=np.log1p([float(len(prompt)) for prompt in prompts]),
        gain=gain,
        scale=float(np.abs(gain).max()) or 1.0,
        domain=np.array([number.get(label.domain, -1) for label in labels]),
        domains=domains,
        vectors=vectors,
        means=mean_vectors(vectors, prompts) if vectors else np.empty((len(labels), 0)),
    )


def fit(kind: Kind, samples: Samples, rows: Places) -> Fit:
    """What these rows of the samples teach."""
    length = samples.length[rows]
    centre, spread = float(length.mean()), float(length.std()) or 1.0
    z = (length - centre) / spread
    if kind == "length":
        along = float(np.dot(z, samples.gain[rows] - samples.gain[rows].mean()))
        return Fit((Lane("", length=-1.0 if along < 0 else 1.0),), centre, spread, b"")
    if kind == "embedded":
        assert samples.vectors is not None, "there is such a scorer only where there are vectors"
        theta = _fit_embedded(samples.vectors.rows, samples.means[rows], z, samples.wish[rows])
        found = _pack((Lane(""),), theta, centre, spread)
        return found._replace(embedding=samples.vectors.embedding)
    words, wish = samples.words[rows], samples.wish[rows]
    common = np.flatnonzero(words.getnnz(axis=0) >= _LEAST_OF_WORD)
    words = words[:, common]
    lanes: tuple[Lane, ...] = (Lane(""),)
    if kind == "logistic":
        theta = _fit_best(words, z, wish[:, None])
    elif kind == "factorisation":
        theta = _fit_factors(words, z, wish)
    else:
        lanes, theta = _fit_domains(samples, rows, words, z)
    whole = np.zeros((BUCKETS + 2, len(lanes)))
    whole[common], whole[-2:] = theta[:-2], theta[-2:]
    return _pack(lanes, whole, centre, spread)


def _words(texts: Sequence[str]) -> Any:
    starts, columns, values = [0], [], []
    for text in texts:
        buckets = buckets_of(text)
        for bucket, times in sorted(Counter(buckets).items()):
            columns.append(bucket)
            values.append(times / len(buckets) ** 0.5)
        starts.append(len(columns))
    return sparse.csr_matrix(
        (np.array(values), np.array(columns, dtype=np.int32), np.array(starts)),
        shape=(len(texts), BUCKETS),
    )


def _fit_domains(
    samples: Samples, rows: Places, words: Any, z: Floats
) -> tuple[tuple[Lane, ...], Floats]:
    """Shares of domains, and what each of them gained."""
    domain, gain = samples.domain[rows], samples.gain[rows]
    known = np.flatnonzero(domain >= 0)
    each = np.eye(len(samples.domains))[domain[known]]
    theta = _fit_best(words[known], z[known], each)
    mean = float(gain.mean())
    lanes = []
    for number, name in enumerate(samples.domains):
        own = gain[domain == number]
        gained = (float(own.sum()) + _SHRINK * mean) / (len(own) + _SHRINK)
        lanes.append(Lane(name, gain=(gained / samples.scale + 1) / 2, labels=len(own)))
    return tuple(lanes), theta


def _fit_factors(words: Any, z: Floats, wish: Floats) -> Floats:
    """Fit in the space of the first factors, told in the words' own space."""
    count, columns = words.shape
    factors = min(_FACTORS, count - 1, columns - 1)
    if factors < 1:  # there is nothing to take apart
        return _fit_best(words, z, wish[:, None])
    rarity = np.log((1 + count) / (1 + words.getnnz(axis=0))) + 1
    weighted = words @ sparse.diags_array(rarity)
    random = np.random.default_rng(_SEED)
    _, sizes, axes = svds(weighted, k=factors, v0=random.standard_normal(min(weighted.shape)))
    axes = axes[sizes > 1e-9]
    theta = _fit_best(weighted @ axes.T, z, wish[:, None])
    back = rarity[:, None] * (axes.T @ theta[:-2])
    return np.vstack([back, theta[-2:]])


def _fit_embedded(vectors: Any, means: Floats, z: Floats, wish: Floats) -> Floats:
    """Fit in the space of the vectors, told as a weight for each token. A unit is how far a prompt
    usually is from the middle of all, so that a ridge means the same for any vectors."""
    middle = means.mean(axis=0)
    away = means - middle
    unit = float(np.sqrt((away * away).sum(axis=1).mean())) or 1.0
    theta = _fit_best(away / unit, z, wish[:, None])
    along = theta[:-2] / unit
    return np.vstack([vectors @ along - middle @ along, theta[-2:]])


def _fit_best(words: Any, z: Floats, wish: Floats) -> Floats:
    """Weights by feature and lane, then those of the length, then the biases. The strength of the
    regularisation is what foretells prompts best that were held out."""
    count = words.shape[0]
    order = np.random.default_rng(_SEED).permutation(count)
    held = order[: max(1, int(count * _HELD_OUT))]
    kept = order[len(held) :]
    losses = []
    for ridge in _RIDGES:
        theta = _descend(words[kept], z[kept], wish[kept], ridge)
        losses.append(_loss(_logits(theta, words[held], z[held]), wish[held])[0])
    return _descend(words, z, wish, _RIDGES[int(np.argmin(losses))])


def _descend(words: Any, z: Floats, wish: Floats, ridge: float) -> Floats:
    shape = (words.shape[1] + 2, wish.shape[1])
    turned = words.T.tocsr() if sparse.issparse(words) else words.T

    def cost(flat: Floats) -> tuple[float, Floats]:
        theta = flat.reshape(shape)
        loss, error = _loss(_logits(theta, words, z), wish)
        weights = theta[:-2]
        slope = np.vstack(
            [turned @ error + ridge * weights, (z @ error)[None], error.sum(axis=0)[None]]
        )
        return loss + 0.5 * ridge * float(np.sum(weights * weights)), slope.ravel()

    found = minimize(
        cast("Callable[..., Any]", cost),
        np.zeros(shape[0] * shape[1]),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS},
    )
    return np.asarray(found.x, dtype=np.float64).reshape(shape)


def _logits(theta: Floats, words: Any, z: Floats) -> Floats:
    found: Floats = words @ theta[:-2] + z[:, None] * theta[-2] + theta[-1]
    return found


def _loss(logits: Floats, wish: Floats) -> tuple[float, Floats]:
    """Cross-entropy, and its slope: of one lane by itself, of several as shares of one."""
    if logits.shape[1] == 1:
        loss = float(np.sum(np.logaddexp(0, logits) - wish * logits))
        return loss, 1 / (1 + np.exp(-np.clip(logits, -500, 500))) - wish
    highest = logits.max(axis=1, keepdims=True)
    powers = np.exp(logits - highest)
    sums = powers.sum(axis=1, keepdims=True)
    loss = float(np.sum(np.log(sums[:, 0]) + highest[:, 0] - np.sum(wish * logits, axis=1)))
    return loss, powers / sums - wish


def _pack(lanes: tuple[Lane, ...], theta: Floats, centre: float, spread: float) -> Fit:
    """Weights as 16-bit numbers, each lane on a scale of its own."""
    weights = theta[:-2]
    steps = np.abs(weights).max(axis=0) / 32767
    steps[steps == 0] = 1.0
    whole = np.rint(weights / steps).astype("<i2")
    told = tuple(
        Lane(lane.name, float(bias), float(length), float(step), lane.gain, lane.labels)
        for lane, bias, length, step in zip(lanes, theta[-1], theta[-2], steps, strict=True)
    )
    return Fit(told, centre, spread, whole.tobytes())
