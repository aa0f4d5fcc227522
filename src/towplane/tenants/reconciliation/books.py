"""What the ledger says of one provider's models, by day, with the tokens apart as bills have them.

Input of the ledger includes what was read from and written to caches; a bill counts each once. The
law: the parts add up to the ledger's input.
"""

from collections.abc import Iterator

from towplane.parts.storage import Database
from towplane.tenants.reconciliation.compare import BookLine

__all__ = ["read_book"]

_QUERY = (
    "SELECT day, target, sum(input), sum(cached_input), sum(cache_write + cache_write_1h), "
    "sum(output), sum(cost_nanousd), sum(attempts), sum(measured), sum(estimated), sum(absent), "
    "sum(unpriced) FROM usage_by_day WHERE day BETWEEN ? AND ? "
    "AND substr(target, 1, length(?)) = ? GROUP BY day, target ORDER BY day, target"
)


def read_book(database: Database, provider: str, since: str, until: str) -> Iterator[BookLine]:
    """A line for each model and day; the days are UTC, both included."""
    lead = f"{provider}/"
    with database.read() as connection:
        rows = connection.exec_driver_sql(_QUERY, (since, until, lead, lead)).all()
    for day, target, total, read, written, output, cost, attempts, *counts in rows:
        measured, estimated, absent, unpriced = counts
        # Of attempts that count nothing it is not known what they cost: then the sum is not.
        is_known = bool(cost) or measured + estimated > unpriced
        yield BookLine(
            day=day,
            model=target.removeprefix(lead),
            tokens={
                "input": total - read - written,
                "cache_read": read,
                "cache_write": written,
                "output": output,
            },
            nanousd=cost if is_known else None,
            attempts=attempts,
            estimated=estimated,
            absent=absent,
            unpriced=unpriced,
        )
