"""Prices in time: the entries of one model, each in force from its moment until the next one.

Pure. The laws: before the first entry the price is unknown; an entry without a sheet makes it
unknown from its moment on and says why; from the document's first entry on, the document alone
speaks, and before it the price book.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from towplane.tenants.prices import Sheet

__all__ = ["FOREVER", "PriceEntry", "entry_at", "merge", "moment_of"]

FOREVER = 0.0
"""The moment from which an entry holds whose source tells no day."""


class PriceEntry(NamedTuple):
    """One entry."""

    since: float
    """Wall clock, seconds since the epoch."""
    sheet: Sheet | None
    """None: unknown, for the reason in `note`."""
    origin: Literal["document", "book"]
    source: str = ""
    """Where the figure was read."""
    note: str = ""
    """What a person should know of it, such as why it is unknown."""


def moment_of(day: str) -> float:
    """The UTC midnight with which a day begins."""
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def entry_at(entries: Iterable[PriceEntry], at: float) -> PriceEntry | None:
    """The entry in force at a moment; of two from the same moment the later in the list."""
    found: PriceEntry | None = None
    for entry in entries:
        if entry.since <= at and (found is None or entry.since >= found.since):
            found = entry
    return found


def merge(document: Sequence[PriceEntry], book: Sequence[PriceEntry]) -> tuple[PriceEntry, ...]:
    """The entries of a model, ascending: the document's, and the book's before them."""
    ours = sorted(document, key=lambda entry: entry.since)
    first = ours[0].since if ours else float("inf")
    theirs = sorted(book, key=lambda entry: entry.since)
    return (*(entry for entry in theirs if entry.since < first), *ours)
