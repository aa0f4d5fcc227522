"""What is asked of the price book and what it answers: the values that travel and are kept.

Knows neither the package nor the document.
"""

import msgspec

from towplane.tenants.prices import Sheet

__all__ = ["Answer", "BookEntry", "Chapter", "Question"]


class Question(msgspec.Struct, frozen=True, array_like=True):
    """Which prices are wanted."""

    kind: str
    """The kind of provider, as the document says it."""
    endpoint: str
    """Its base URL where the kind does not say whose API it is; else empty."""
    model: str
    """The model's name there."""


class BookEntry(msgspec.Struct, frozen=True, array_like=True):
    """Prices from a day on."""

    since: str | None
    """ISO 8601; None: the book tells no day."""
    sheet: Sheet | None
    """None: unknown, for the reason in `note`."""
    source: str
    note: str = ""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What the book says about one question."""

    question: Question
    name: str | None
    """How the book calls the model; None: it does not know it."""
    entries: list[BookEntry] = []


class Chapter(msgspec.Struct, frozen=True):
    """Everything that was asked so far, and which book answered."""

    package: str
    """Name and version."""
    newest: str | None
    """The last day on which a price in it changed; the book is at least so new."""
    answers: list[Answer]
