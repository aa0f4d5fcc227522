"""A text as the tokens of an embedding that is installed: vectors of tokens, learned elsewhere.

The vectors and their tokenizer are two files of a package (extra `embeddings`). Only the files are
read: importing wordllama 0.4 would load what nobody needs, and its own loader looks for the
tokenizer in a folder that its wheel does not have, and then fetches it. A score that is linear in
the mean of a text's vectors is the mean of a number for each token, so a worker needs the tokenizer
alone; training reads the vectors (`training.vectors`).

The laws: nothing is fetched, and nothing is imported before a model asks for it; equal texts have
equal tokens, because a tokenizer of another digest is refused; no text has more than a known number
of tokens.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from towplane.parts.errors import Unsupported
from towplane.parts.extras import load_extra
from towplane.routing.complexity.model import Embedding
from towplane.routing.complexity.words import ends_of

__all__ = ["DIMENSION", "MODEL", "MOST_BYTES", "PACKAGE", "Files", "Tokens", "check_embedding",
           "find_files", "open_tokens"]  # fmt: skip

PACKAGE, MODEL, DIMENSION = "wordllama", "l2_supercat_256", 256
MOST_BYTES = 4000
"""Of UTF-8 that are cut into tokens, half of them from the end. A sign that the vocabulary lacks is
a token for each byte, and 8,000 bytes of such signs would cost 2.2 ms."""

Tokens = Callable[[str], list[int]]
"""From a text to the numbers of its tokens."""

_EXTRA = "embeddings"
_INSTALL = f"pip install 'towplane[{_EXTRA}]'"


class Files(NamedTuple):
    """What lies in the package."""

    vectors: Path
    """safetensors: `embedding.weight`, a row for each token."""
    tokenizer: Path


def find_files() -> Files:
    """The files of the installed package. Raises Unsupported where there are none."""
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise Unsupported(f"the package {PACKAGE} is not installed", next_step=_INSTALL)
    folder = Path(next(iter(found.submodule_search_locations)))
    files = Files(
        folder / "weights" / f"{MODEL}.safetensors",
        folder / "tokenizers" / "l2_supercat_tokenizer_config.json",
    )
    for file in files:
        if not file.is_file():
            raise Unsupported(
                f"the package {PACKAGE} that is installed has no {file.name}", next_step=_INSTALL
            )
    return files


def check_embedding(embedding: Embedding) -> None:
    """Raises Unsupported where a model over this embedding could not score as it was trained."""
    _find_tokenizer(embedding)
    if find_spec("tokenizers") is None:
        raise Unsupported("the package tokenizers is not installed", next_step=_INSTALL)


def open_tokens(embedding: Embedding) -> Tokens:
    """What cuts texts into tokens as where the model was trained. Takes some 0.1 s and 22 MiB, once
    in a process. Raises Unsupported, as `check_embedding`."""
    return _open(_find_tokenizer(embedding), embedding.tokenizer)


def _find_tokenizer(embedding: Embedding) -> Path:
    name = f"the embedding {embedding.model} of {embedding.package}"
    anew = "train anew: `towplane routing train LABELS.jsonl --out FILE`"
    if (embedding.package, embedding.model) != (PACKAGE, MODEL):
        raise Unsupported(f"the model scores by {name}, which is not known here", next_step=anew)
    try:
        file = find_files().tokenizer
    except Unsupported as error:
        raise Unsupported(
            f"the model scores by {name}, but {error.say}", next_step=error.next_step
        ) from None
    if hashlib.sha256(file.read_bytes()).hexdigest() != embedding.tokenizer:
        raise Unsupported(
            f"the model scores by {name} {embedding.version}, and what is installed cuts texts "
            "into other tokens",
            next_step=f"pip install {embedding.package}=={embedding.version}, or {anew}",
        )
    return file


@lru_cache(maxsize=1)
def _open(file: Path, _digest: str) -> Tokens:
    encode = load_extra("tokenizers", _EXTRA).Tokenizer.from_file(str(file)).encode

    def tokens_of(text: str) -> list[int]:
        data = ends_of(text).encode("utf-8", "replace")
        if len(data) > MOST_BYTES:
            half = MOST_BYTES // 2
            data = b"%b %b" % (data[:half], data[-half:])
        found: list[int] = encode(data.decode("utf-8", "ignore"), add_special_tokens=False).ids
        return found

    return tokens_of
