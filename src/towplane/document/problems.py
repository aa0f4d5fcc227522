"""What is wrong with a document: one value per error, and the error that carries them all.

Knows no section and no YAML. The law: a problem says where (file, line, column, dotted path), what
was expected, what was found, and the nearest known name where a name was meant.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Literal

import msgspec

from towplane.parts.errors import BadDocument

__all__ = ["DocumentError", "Place", "Problem", "find_nearest", "show_place"]

Place = tuple[str | int, ...]
"""Where in the document: keys and indices from the top."""

_MOST_COMPARED = 200
"""Names compared for one suggestion; a document with thousands of both must not take minutes."""

_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or, as a `warning`, most likely not meant."""

    file: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    column: int
    """From 1, in characters."""
    path: str
    """`routing.chat.targets[0].provider`; empty for the document as a whole."""
    what: str
    """The fault in a few words: `unknown key`, `missing key`, `not a known route`."""
    expected: str = ""
    found: str = ""
    nearest: str = ""
    """The known name that was probably meant."""
    severity: Literal["error", "warning"] = "error"

    @property
    def where(self) -> str:
        """`plane.yaml:7:5`, as editors and terminals understand it."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        text = f"{self.where}: "
        text += "warning: " if self.severity == "warning" else ""
        text += f"{self.path}: {self.what}" if self.path else self.what
        text += f"; expected {self.expected}" if self.expected else ""
        text += f"; found {self.found}" if self.found else ""
        return text + (f"; did you mean {self.nearest}?" if self.nearest else "")


class DocumentError(BadDocument):
    """A document that is refused, with every problem that could be found."""

    def __init__(self, problems: Sequence[Problem], *, next_step: str = "") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        file = self.problems[0].file
        head = f"{file} has {count} {'errors' if count > 1 else 'error'}"
        lines = "".join(f"\n  {problem}" for problem in self.problems)
        super().__init__(
            f"{head}:{lines}", next_step=next_step or f"correct it, then `towplane check -f {file}`"
        )
        self.details = {"problems": [msgspec.to_builtins(problem) for problem in self.problems]}


def find_nearest(name: str, known: Iterable[str]) -> str:
    """The known name that `name` probably means, or nothing."""
    import difflib  # only a document with errors pays for it

    wanted = name.lower()
    by_lower = {candidate.lower(): candidate for candidate in known}
    if len(by_lower) > _MOST_COMPARED:
        alike = (candidate for candidate in by_lower if candidate[:1] == wanted[:1])
        by_lower = {candidate: by_lower[candidate] for candidate in islice(alike, _MOST_COMPARED)}
    near = difflib.get_close_matches(wanted, by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def show_place(place: Place) -> str:
    """A place as people write it: `routing["gpt-4.1"].targets[0]`."""
    text = ""
    for step in place:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _BARE.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f'["{shorten(step)}"]'
    return text


def shorten(text: str, most: int = 60) -> str:
    """A text from a document, fit to stand in a message."""
    shown = "".join(char if char.isprintable() else "�" for char in text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
