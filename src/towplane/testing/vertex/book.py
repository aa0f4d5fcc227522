"""A row of the emulator's books: what it saw of a request, and what it would bill for it."""

from towplane.testing.book import Seen

__all__ = ["Billed"]


class Billed(Seen, kw_only=True):
    """One request; `output` holds the thoughts."""

    cached: int = 0
    written: int = 0
    """To the cache, of Claude."""
    thought: int = 0
    pictures: int = 0
    traffic: str = ""
    service: str = ""
    """`X-Vertex-AI-LLM-Shared-Request-Type` of the request."""
