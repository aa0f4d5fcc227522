"""The fake Bedrock's own books: what it saw and what it would bill, to compare with a ledger."""

from towplane.testing.book import Book, Seen

__all__ = ["BedrockBook", "Bill"]


class Bill(Seen, kw_only=True):
    """One request. `input` is what stands beside the caches, as on Bedrock's wire."""

    operation: str = ""
    """The last part of the path: `converse-stream`, `invoke`, …"""
    amzn_request_id: str = ""
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    """Of `cache_write`, what lives for an hour."""
    service: str = "default"
    account: str = ""
    """The access key, or `bearer`."""
    exception: str = ""
    """What was answered instead."""

    @property
    def total_input(self) -> int:
        """All input, as the normal form counts it."""
        return self.input + self.cache_read + self.cache_write


class BedrockBook(Book):
    """Every request seen; safe to read from any thread."""

    def bills(self) -> dict[str, Bill]:
        """What was billed, by Bedrock's request id: requests that were answered with 200."""
        return {
            row.amzn_request_id: row
            for row in self.rows()
            if isinstance(row, Bill) and row.status == 200
        }
