"""Reads `plane.yaml`: bytes to a `Document`, or to every problem that can be found at once.

Composes `nodes` (YAML), `shape` (types) and `check` (what follows from the whole). Only `load_file`
touches the world, and only the one file.

The law: for any bytes, the answer is a `Document` or a `DocumentError`, nothing else.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from towplane.document.check import check_plane
from towplane.document.finding import Finding
from towplane.document.nodes import MOST_BYTES, Mark, read_nodes
from towplane.document.plane import Plane
from towplane.document.problems import DocumentError, Place, Problem, show_place
from towplane.document.shape import Shape, is_null

__all__ = ["Document", "find_mark", "load_file", "parse_document", "read_bytes"]


@dataclass(frozen=True, slots=True)
class Document:
    """A document that is right, and where it came from."""

    plane: Plane
    """With every path in it absolute."""
    file: str
    """As the caller named it."""
    digest: str
    """SHA-256 of its bytes, hexadecimal."""
    warnings: tuple[Problem, ...] = ()
    """What is allowed but most likely not meant."""
    marks: Mapping[Place, Mark] = field(default_factory=dict, repr=False, compare=False)
    """Where each value that was written stands."""


def load_file(path: Path) -> Document:
    """Reads and checks the document at `path`; raises `DocumentError`."""
    return parse_document(read_bytes(path), file=str(path), folder=path.parent)


def read_bytes(path: Path) -> bytes:
    """The file's bytes, one more than is allowed at most; raises `DocumentError`."""
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        next_step = f"`towplane init -f {path}` writes a first one"
        raise DocumentError([_unread(path, "no such file")], next_step=next_step) from None
    except OSError as error:
        what = f"cannot be read: {os.strerror(error.errno or 0)}"
        next_step = "check the path and that you may read it"
        raise DocumentError([_unread(path, what)], next_step=next_step) from None


def parse_document(data: bytes, *, file: str = "plane.yaml", folder: Path = Path()) -> Document:
    """Checks a document's bytes; relative paths in it are taken from `folder`."""
    root, problems = read_nodes(data, file)
    if root is None or is_null(root):
        if not problems:
            problems = [Problem(file=file, line=1, column=1, path="", what="the document is empty")]
            next_step = f"`towplane init --force -f {file}` writes a first one"
            raise DocumentError(problems, next_step=next_step)
        raise DocumentError(problems)
    shape = Shape(file, os.path.abspath(folder))
    plane = shape.build(root, Plane)
    problems += shape.problems
    warnings: list[Problem] = []
    for finding in check_plane(plane):
        if not _follows(finding, shape.broken):
            found = _place(finding, shape, file)
            (problems if finding.severity == "error" else warnings).append(found)
    if problems:
        raise DocumentError(sorted(problems, key=_position))
    digest = hashlib.sha256(data).hexdigest()
    return Document(plane, file, digest, tuple(sorted(warnings, key=_position)), shape.marks)


def _unread(path: Path, what: str) -> Problem:
    return Problem(file=str(path), line=0, column=0, path="", what=what)


def _follows(finding: Finding, broken: set[Place]) -> bool:
    """Whether a finding only follows from something that was reported already."""
    place = finding.place
    return finding.needs in broken or any(
        other[: len(place)] == place or place[: len(other)] == other for other in broken
    )


def _place(finding: Finding, shape: Shape, file: str) -> Problem:
    at_key = shape.key_marks.get(finding.place) if finding.at_key else None
    line, column = at_key or find_mark(finding.place, shape.marks)
    return Problem(
        file=file,
        line=line,
        column=column,
        path=show_place(finding.place),
        what=finding.what,
        expected=finding.expected,
        found=finding.found,
        nearest=finding.nearest,
        severity=finding.severity,
    )


def find_mark(place: Place, marks: Mapping[Place, Mark]) -> Mark:
    """Where a value stands, or the nearest thing around it that was written."""
    while place and place not in marks:
        place = place[:-1]
    return marks.get(place, (0, 0))


def _position(problem: Problem) -> tuple[int, int, str]:
    return problem.line, problem.column, problem.path
