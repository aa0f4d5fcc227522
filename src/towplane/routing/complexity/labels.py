"""Labelled prompts: how well a strong and a weak target answered each, as JSON lines.

    {"prompt": "...", "score_strong": 0.9, "score_weak": 0.4, "domain": "law"}

`domain`, `cost_strong` and `cost_weak` (USD) may be there; what else stands in a line is left out.
Knows no model and no target.

The law: every line is read or named with its number and what is wrong with it; none is skipped.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import TypeVar

import msgspec

from towplane.parts.errors import BadRequest

__all__ = ["Label", "Prompt", "digest_of", "parse_labels", "read_labels", "read_prompts"]

T = TypeVar("T")

_MOST_COMPLAINTS = 20
_NEXT = (
    'each line is a JSON object such as {"prompt": "...", "score_strong": 0.9, "score_weak": 0.4}'
)


class Prompt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt, and what is known of a good answer to it."""

    prompt: str
    domain: str = ""
    reference: str = ""
    """A right answer, of prompts that are to be labelled."""


class Label(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt that both targets have answered."""

    prompt: str
    score_strong: float
    """How good its answer was, on any scale; higher is better."""
    score_weak: float
    domain: str = ""
    cost_strong: float | None = None
    """What its answer cost, USD; absent: unknown."""
    cost_weak: float | None = None


_label = msgspec.json.Decoder(Label)
_prompt = msgspec.json.Decoder(Prompt)


def read_labels(path: Path) -> list[Label]:
    """The labels of a file. Raises BadRequest with every line that is wrong."""
    return parse_labels(_lines(path), str(path))


def read_prompts(path: Path) -> list[Prompt]:
    """The prompts of a file, labelled or not. Raises BadRequest."""
    return _parse(_prompt, _lines(path), str(path), _wrong_prompt)


def parse_labels(lines: Iterable[bytes], name: str) -> list[Label]:
    """Labels, line by line. Raises BadRequest with every line that is wrong."""
    return _parse(_label, lines, name, _wrong_label)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise BadRequest(
            f"{path} cannot be read: {error.strerror}",
            param="labels",
            next_step="check the path and that you may read it",
        ) from None


def _parse(
    decoder: msgspec.json.Decoder[T], lines: Iterable[bytes], name: str, wrong: Callable[[T], str]
) -> list[T]:
    found: list[T] = []
    complaints: list[str] = []
    count = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = decoder.decode(line)
            complaint = wrong(one)
            if not complaint:
                found.append(one)
                continue
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            complaint = str(error)
        count += 1
        if len(complaints) < _MOST_COMPLAINTS:
            complaints.append(f"{name}:{number}: {complaint}")
    if count:
        more = f"\n... and {count - len(complaints)} more" if count > len(complaints) else ""
        what = "line is" if count == 1 else "lines are"
        raise BadRequest(
            f"{count} {what} wrong:\n" + "\n".join(complaints) + more,
            param="labels",
            next_step=_NEXT,
        )
    return found


def _wrong_prompt(one: Prompt) -> str:
    return "" if one.prompt.strip() else "the prompt is empty"


def _wrong_label(one: Label) -> str:
    if not one.prompt.strip():
        return "the prompt is empty"
    for name in ("score_strong", "score_weak", "cost_strong", "cost_weak"):
        value = getattr(one, name)
        if value is not None and not isfinite(value):
            return f"{name} is no finite number"
        if value is not None and name.startswith("cost") and value < 0:
            return f"{name} is below 0"
    return ""
