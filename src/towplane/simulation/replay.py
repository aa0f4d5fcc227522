"""Arrivals from the ledger: what was really asked, under another policy, fleet or price.

Of each request the attempt that decided is taken: when it began, its tokens, whose it was. A
request that was never answered has no known output and is left out, as is one whose usage nobody
told. The ledger keeps no hash of a prompt. What it says is how many input tokens were found in a
cache; here the requests of one key are taken to begin with the same prompt for so many tokens,
which is true of system prompts and tools and too little for conversations. The law: the file is
only read.
"""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from towplane.parts.errors import NotFound
from towplane.simulation.arrival import Arrival

__all__ = ["replay"]

_QUERY = (
    "SELECT at_us, tenant, key, input, cached_input, output FROM attempts WHERE model = ? "
    "AND final = 1 AND at_us >= ? AND at_us < ? AND input > 0 AND output > 0 ORDER BY at_us, id"
)
_BEFORE, _AFTER = 0, 2**62


def replay(
    path: Path, *, model: str, since: str | None = None, until: str | None = None, block: int = 64
) -> Iterator[Arrival]:
    """The requests for a model between two days (UTC, both included), from 0 s on."""
    if not path.exists():
        raise NotFound(
            f"there is no ledger at {path}", next_step="run the plane first, or name its document"
        )
    # Not `parts.storage`: that would make and configure a file; this never writes.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        start: int | None = None
        keys: dict[str, int] = {}
        rows = connection.execute(_QUERY, (model, _micros(since, 0), _micros(until, 1)))
        for at_us, tenant, key, tokens, cached, output in rows:
            if start is None:
                start = at_us
            prefix = keys.get(key)
            if prefix is None:
                digest = blake2b(f"{tenant}/{key}".encode(), digest_size=6).digest()
                prefix = keys[key] = int.from_bytes(digest) or 1
            count = min(cached or 0, tokens) // block
            base = prefix << 16
            yield Arrival(
                (at_us - start) / 1e6,
                tokens,
                output,
                tenant,
                prefix=prefix,
                blocks=tuple(range(base, base + count)),
            )
    finally:
        connection.close()


def _micros(day: str | None, days_after: int) -> int:
    if day is None:
        return _AFTER if days_after else _BEFORE
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days_after)
    return int(moment.timestamp()) * 1_000_000
