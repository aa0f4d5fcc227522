"""Texts as vectors: the mean of the vectors of a text's tokens, of the embedding that is installed.

The law: the tokens are those that a worker will find in the text.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from towplane.parts.errors import Unsupported
from towplane.parts.extras import load_extra
from towplane.routing.complexity.embedding import (
    DIMENSION,
    MODEL,
    PACKAGE,
    Tokens,
    find_files,
    open_tokens,
)
from towplane.routing.complexity.labels import digest_of
from towplane.routing.complexity.model import Embedding

__all__ = ["Vectors", "mean_vectors", "open_vectors"]


class Vectors(NamedTuple):
    """An embedding whose vectors were read."""

    embedding: Embedding
    rows: npt.NDArray[np.float32]
    """A row for each token."""
    tokens_of: Tokens


def open_vectors() -> Vectors:
    """The embedding that is installed. Takes some 0.2 s and 80 MiB. Raises Unsupported."""
    from importlib.metadata import version

    files = find_files()
    tensors = load_extra("safetensors.numpy", "embeddings").load_file(files.vectors)
    rows = np.asarray(tensors["embedding.weight"], dtype=np.float32)
    if rows.ndim != 2 or rows.shape[1] != DIMENSION:
        raise Unsupported(
            f"{files.vectors} has vectors of another size: {rows.shape}",
            next_step="pip install 'towplane[embeddings]'",
        )
    embedding = Embedding(
        package=PACKAGE,
        version=version(PACKAGE),
        model=MODEL,
        dimension=DIMENSION,
        tokens=len(rows),
        vectors=digest_of(files.vectors),
        tokenizer=digest_of(files.tokenizer),
    )
    return Vectors(embedding, rows, open_tokens(embedding))


def mean_vectors(vectors: Vectors, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """A row for each text; noughts where it has no tokens."""
    found = np.zeros((len(texts), vectors.rows.shape[1]))
    for row, text in zip(found, texts, strict=True):
        tokens = vectors.tokens_of(text)
        if tokens:
            row[:] = vectors.rows[tokens].mean(axis=0)
    return found
