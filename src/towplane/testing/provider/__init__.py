"""FakeProvider: an OpenAI-compatible server on a real socket that does what its scripts say."""

from towplane.testing.book import Book, Seen
from towplane.testing.provider.script import GOOD, Failure, Script
from towplane.testing.provider.server import FakeProvider

__all__ = ["GOOD", "Book", "Failure", "FakeProvider", "Script", "Seen"]
