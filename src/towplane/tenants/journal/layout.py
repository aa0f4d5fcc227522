"""Where a journal lies: one folder per worker incarnation, numbered segments, a lock that says
whether the writer lives.

    journal/<incarnation>/.lock           flocked by the writer for as long as it lives
    journal/<incarnation>/00000001.jsonl  a segment: JSON lines, then zeros to its full size
    journal/<incarnation>/.next           the segment after the last, allocated ahead of need
    journal/.new-<incarnation>/           a folder whose writer has not taken its lock yet

The laws: a folder becomes visible under its name only when its lock is held, so that a new writer
is never taken for a dead one; a segment is finished once the next number exists.
"""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "LOCK",
    "LONGEST_LINE",
    "NEXT",
    "Incarnation",
    "draft_of",
    "incarnations",
    "is_locked",
    "segment_name",
    "segment_numbers",
    "sweep_drafts",
]

LOCK = ".lock"
NEXT = ".next"
LONGEST_LINE = 64 * 1024
"""Bytes of one event with its newline; a reader may trust that no line is longer."""
_SUFFIX = ".jsonl"
_DRAFT = ".new-"
_DRAFT_LIFE_S = 60.0  # far above the milliseconds between making a draft and locking it


class Incarnation(NamedTuple):
    """One life of one worker, and where its journal is."""

    name: str
    directory: Path


def incarnations(root: Path) -> list[Incarnation]:
    """The journals under `root`, oldest first."""
    try:
        names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except FileNotFoundError:
        return []
    return [Incarnation(name, root / name) for name in names if not name.startswith(".")]


def segment_name(number: int) -> str:
    """The file name of segment `number`."""
    return f"{number:08d}{_SUFFIX}"


def segment_numbers(directory: Path) -> list[int]:
    """The numbers of the segments that exist, ascending."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def is_locked(directory: Path) -> bool:
    """Whether the writer of this folder is alive."""
    try:
        handle = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def draft_of(directory: Path) -> Path:
    """The folder that becomes `directory` when its writer holds the lock."""
    return directory.with_name(_DRAFT + directory.name)


def sweep_drafts(root: Path) -> None:
    """Remove what writers left that died while they started."""
    long_ago = time.time() - _DRAFT_LIFE_S
    try:
        drafts = [entry for entry in os.scandir(root) if entry.name.startswith(_DRAFT)]
    except FileNotFoundError:
        return
    for draft in drafts:
        if draft.stat().st_mtime < long_ago and not is_locked(Path(draft.path)):
            shutil.rmtree(draft.path, ignore_errors=True)
