"""The append-only journal of a worker: its writer, its reader, and the layout both share."""

from towplane.tenants.journal.layout import Incarnation, incarnations
from towplane.tenants.journal.reader import Batch, JournalReader, Position
from towplane.tenants.journal.writer import Journal, JournalWriter

__all__ = [
    "Batch",
    "Incarnation",
    "Journal",
    "JournalReader",
    "JournalWriter",
    "Position",
    "incarnations",
]
