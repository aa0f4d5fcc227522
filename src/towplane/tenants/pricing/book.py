"""The price book: what a packaged list of public prices says about the models in use.

What it answered is kept in a file of the data_dir, so that the package (see `genai`) is asked only
about models it was not asked about before, and again when another version of it is installed. The
laws: a book that is missing, broken or silent makes prices unknown and says why, and never 0; what
is kept of an older version is used only until the newer one has answered.
"""

import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec

from towplane.tenants.pricing.entries import FOREVER, PriceEntry, moment_of
from towplane.tenants.pricing.questions import Answer, Chapter, Question

__all__ = ["NO_BOOK", "OLD_AFTER_DAYS", "PriceBook", "open_book"]

OLD_AFTER_DAYS = 60
"""A book in which no price has changed for so long is called old: in 0.2.3, on 16 of the 60 days
before its newest some price changed."""
_ANSWER_WITHIN_S = 30.0  # it takes about one
_PACKAGE = "genai-prices"
_FILE = "price-book.json"


class Known(NamedTuple):
    """What the book says about one model."""

    name: str | None
    """How the book calls it; None: it does not know it."""
    entries: tuple[PriceEntry, ...]


class PriceBook:
    """Answers to questions, and how far they can be trusted."""

    def __init__(
        self, answers: Iterable[Answer], *, package: str, newest: str | None, trouble: str = ""
    ) -> None:
        self.package = package
        """Name and version; empty: there is none."""
        self.newest = newest
        """The last day on which a price in it changed; None: not known."""
        self.trouble = trouble
        """What is wrong with it; empty: nothing."""
        self._known = {answer.question: _known(answer) for answer in answers}

    def find(self, question: Question | None) -> Known:
        """What it says; nothing about a question that was not asked when it was opened."""
        found = None if question is None else self._known.get(question)
        return found or Known(None, ())

    def age_days(self, today: str) -> int | None:
        """Days since a price in it changed; None: not known."""
        if self.newest is None:
            return None
        return max(0, (date.fromisoformat(today) - date.fromisoformat(self.newest)).days)

    def complaint(self, today: str) -> str:
        """What a person should do something about; empty: nothing."""
        age = self.age_days(today)
        if self.trouble or age is None or age <= OLD_AFTER_DAYS:
            return self.trouble
        return f"no price in {self.package} is newer than {self.newest}: install a newer version"


NO_BOOK = PriceBook((), package="", newest=None)
"""Where nobody has a question."""


def open_book(data_dir: Path, questions: Iterable[Question]) -> PriceBook:
    """The book with answers to these questions. May take a second, so not for the loop."""
    wanted = list(dict.fromkeys(questions))
    if not wanted:
        return NO_BOOK
    kept, trouble = _read_kept(data_dir / _FILE)
    package = _installed()
    if package is None:
        trouble = f"the package {_PACKAGE} is not installed: pip install 'towplane[prices]'"
    elif kept is None or kept.package != package or not _has_all(kept, wanted):
        before = [] if kept is None or kept.package != package else _questions(kept)
        asked = list(dict.fromkeys([*before, *wanted]))
        chapter, trouble = _ask(asked)
        if chapter is not None:
            kept = chapter
            trouble = _keep(data_dir / _FILE, chapter)
    if kept is None:
        return PriceBook((), package=package or "", newest=None, trouble=trouble)
    return PriceBook(kept.answers, package=kept.package, newest=kept.newest, trouble=trouble)


def _known(answer: Answer) -> Known:
    entries = (
        PriceEntry(
            FOREVER if entry.since is None else moment_of(entry.since),
            entry.sheet,
            "book",
            entry.source,
            entry.note,
        )
        for entry in answer.entries
    )
    return Known(answer.name, tuple(entries))


def _installed() -> str | None:
    from importlib import metadata  # slow to load, and needed only where there is a question

    try:
        return f"{_PACKAGE} {metadata.version(_PACKAGE)}"
    except metadata.PackageNotFoundError:
        return None


def _has_all(chapter: Chapter, wanted: list[Question]) -> bool:
    return set(wanted) <= set(_questions(chapter))


def _questions(chapter: Chapter) -> list[Question]:
    return [answer.question for answer in chapter.answers]


def _read_kept(path: Path) -> tuple[Chapter | None, str]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Chapter), ""
    except FileNotFoundError:
        return None, ""
    except (OSError, msgspec.MsgspecError, UnicodeError) as error:
        return None, f"{path} cannot be read: {error}"


def _keep(path: Path, chapter: Chapter) -> str:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(chapter))
        draft.rename(path)
    except OSError as error:
        return f"{path} cannot be written: {error.strerror}"
    return ""


def _ask(questions: list[Question]) -> tuple[Chapter | None, str]:
    """The package's answers, from a process that ends with them."""
    command = [sys.executable, "-m", "towplane.tenants.pricing.genai"]
    try:
        done = subprocess.run(
            command,
            input=msgspec.json.encode(questions),
            capture_output=True,
            timeout=_ANSWER_WITHIN_S,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Chapter), ""
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        return None, f"the price book cannot be read: {lines[-1][:200]}"
    except subprocess.TimeoutExpired:
        return None, f"the price book did not answer within {_ANSWER_WITHIN_S:.0f} s"
    except (OSError, msgspec.MsgspecError) as error:
        return None, f"the price book cannot be read: {error}"
