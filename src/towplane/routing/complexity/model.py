"""A trained scorer as one file: what a worker scores by, and what is known of how good it is.

The file is JSON. It holds hashed words as numbers, never a word of a prompt, and it never changes:
a new training makes a new file, so that the document says which one is in force and the old one can
come back. Knows no request; `scorer` makes a function of it.

The laws: what was written is read back equal; a file that was altered is refused.
"""

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from towplane.parts.errors import BadDocument
from towplane.routing.complexity.words import BUCKETS

__all__ = ["Embedding", "Interval", "Labels", "Lane", "Row", "Trained", "read_model", "write_model"]

MOST_BYTES = 16 * 1024 * 1024

Kind = Literal["length", "domain", "logistic", "factorisation", "embedded"]
Interval = tuple[float, float]


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One number that is computed of a prompt: of a domain, or the only one."""

    name: str
    """The domain; empty: the only one."""
    bias: float = 0.0
    length: float = 0.0
    """Weight of the length, on the scale of `Trained`."""
    step: float = 0.0
    """What one unit of the stored weights is worth."""
    gain: float = 0.5
    """Of a domain: what strong gains over weak, 0.5 for nothing."""
    labels: int = 0
    """Labelled prompts of this domain."""


class Labels(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it was learned from."""

    count: int
    digest: str
    """SHA-256 of the file."""
    strong: float
    """Mean score of the strong target."""
    weak: float
    gain: Interval
    """Interval of the difference."""


class Embedding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vectors that a model was learned over. They are not in the file: a worker needs the
    tokenizer that goes with them, and the very same one."""

    package: str
    version: str
    """Of the package, when the model was trained."""
    model: str
    dimension: int
    tokens: int
    """How many there are; each has a vector, and a weight in the file."""
    vectors: str
    """SHA-256 of the file of vectors. Nothing but training reads it."""
    tokenizer: str
    """SHA-256 of the tokenizer's file: with another one the tokens, and so the scores, differ."""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How one scorer does on prompts that it has not seen; shares of calls to the strong target."""

    scorer: str
    cpt50: float | None
    cpt80: float | None
    apgr: float | None
    cpt50_interval: Interval | None = None
    cpt80_interval: Interval | None = None
    apgr_interval: Interval | None = None
    over_length: Interval | None = None
    """Interval of its APGR minus that of the prompt's length."""


class Trained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scorer that was learned. Its score lies between 0 and 1: 0.5 is no difference expected."""

    format: Literal["towplane-router-1"]
    kind: Kind
    trained_at: str
    """UTC."""
    labels: Labels
    learned: bool
    """Whether it is better than the prompt's length alone, beyond chance."""
    verdict: str
    table: tuple[Row, ...]
    lanes: tuple[Lane, ...]
    centre: float
    """Of log(1 + characters): the mean of the labelled prompts."""
    spread: float
    """And its standard deviation."""
    weights: bytes = b""
    """By bucket, a signed 16-bit number for each lane, little-endian; empty: words do not count.
    Of kind `embedded`: by token."""
    digest: str = ""
    """SHA-256 of all the rest."""
    embedding: Embedding | msgspec.UnsetType = msgspec.UNSET
    """Of kind `embedded`; else absent from the file, so that older ones keep their digests."""


def write_model(model: Trained, path: Path) -> Trained:
    """Write it, whole or not at all; answers it with its digest."""
    sealed = msgspec.structs.replace(model, digest=_digest(model))
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(sealed), indent=1) + b"\n")
    draft.rename(path)
    return sealed


def read_model(path: Path) -> Trained:
    """The model in a file. Raises BadDocument, saying what is wrong with it."""
    next_step = "`towplane routing train LABELS.jsonl --out FILE` writes one"
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BadDocument(
            f"the model {path} cannot be read: {error.strerror}", next_step=next_step
        ) from None
    if len(data) > MOST_BYTES:
        raise BadDocument(f"{path} is too large for a model", next_step=next_step)
    try:
        model = msgspec.json.decode(data, type=Trained)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadDocument(f"{path} is no model: {error}", next_step=next_step) from None
    if model.digest != _digest(model):
        raise BadDocument(f"the model {path} was altered or is broken", next_step=next_step)
    if not model.lanes or len(model.weights) not in _sizes(model) or model.spread <= 0:
        raise BadDocument(f"{path} is a model of another size", next_step=next_step)
    return model


def _sizes(model: Trained) -> tuple[int, ...]:
    """How many bytes the weights may have."""
    if (model.kind == "embedded") != isinstance(model.embedding, Embedding):
        return ()
    if isinstance(model.embedding, Embedding):
        return (model.embedding.tokens * 2,) if len(model.lanes) == 1 else ()
    return (0, BUCKETS * len(model.lanes) * 2)


def _digest(model: Trained) -> str:
    bare = msgspec.structs.replace(model, digest="")
    return hashlib.sha256(msgspec.json.encode(bare)).hexdigest()
