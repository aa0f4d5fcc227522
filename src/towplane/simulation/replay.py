"""Arrivals from the ledger: what was really asked, under another policy, fleet or price.

A request came when its first attempt began; its tokens are those of the attempt that decided. One
that was never answered has no known output and is left out, as is one whose usage nobody told.
Where the route kept marks of prompts (`routing.marks`), requests share blocks as their prompts were
alike; where it did not, those of one key are taken to begin alike for as many tokens as were found
in a cache, which is true of system prompts and tools and too little for conversations. The laws:
the file is only read; nothing in it is a word of a prompt.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

import msgspec

from towplane.parts.errors import NotFound
from towplane.simulation.arrival import Arrival
from towplane.simulation.rebuilding import Rebuilt

__all__ = ["Replayed", "replay", "survey"]

_FIRST = "rtrim(a.id, '0123456789') || '1'"
"""Of the same request: an attempt's id is the request's, a dot, its number."""
_OF = (
    "FROM attempts AS a {join} WHERE a.model = ? AND a.final = 1 AND a.at_us >= ? AND a.at_us < ? "
    "AND a.cause NOT IN ('mirror', 'probe') "
)
_JOIN = f"LEFT JOIN attempt_marks AS m ON m.id = {_FIRST}"
_USABLE = "a.input > 0 AND a.output > 0"
_COLUMNS = "SELECT a.at_us, a.tenant, a.key, a.input, a.cached_input, a.output, "
_MARKS = "m.blocks, m.marks, m.opening, m.session "
_NO_MARKS = "NULL, NULL, NULL, NULL "
_COUNT = (
    f"SELECT count(*), coalesce(sum({_USABLE}), 0), min(a.at_us), max(a.at_us), "
    f"sum(CASE WHEN {_USABLE} AND a.cached_input IS NOT NULL THEN a.input END), "
    f"sum(CASE WHEN {_USABLE} THEN a.cached_input END), sum(a.cost_nanousd), "
)
_BEFORE, _AFTER = 0, 2**62


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger has for a replay."""

    requests: int
    """Those that are replayed."""
    left_out: int
    """Those whose lengths nobody knows."""
    marked: int
    """Those replayed of which it is known how they begin."""
    seconds: float
    """From the first to the last."""
    hit_rate: float | None
    """Input tokens that were found in a cache then, as far as targets said; None: none did."""
    cost_nanousd: int | None
    """What they cost then; None: no price was known."""

    @property
    def marked_share(self) -> float | None:
        """None: there is no request."""
        return self.marked / self.requests if self.requests else None


def replay(
    path: Path, *, model: str, since: str | None = None, until: str | None = None, block: int = 64
) -> Iterator[Arrival]:
    """The requests for a model between two days (UTC, both included), from 0 s on."""
    with closing(_open(path)) as connection:
        keeps = _keeps_marks(connection)
        query = (
            _COLUMNS + (_MARKS if keeps else _NO_MARKS) + _OF.format(join=_JOIN if keeps else "")
            + f"AND {_USABLE} ORDER BY a.at_us, a.id"
        )  # fmt: skip
        start: int | None = None
        keys: dict[str, int] = {}
        rebuilt = Rebuilt(block)
        for row in connection.execute(query, _bounds(model, since, until)):
            at_us, tenant, key, tokens, cached, output, blocks, marks, opening, session = row
            if start is None:
                start = at_us
            at = (at_us - start) / 1e6
            if marks is not None:
                ids = rebuilt.blocks(tokens, blocks, marks)
                yield Arrival(at, tokens, output, tenant, session, opening, ids)
                continue
            prefix = keys.get(key)
            if prefix is None:
                digest = blake2b(f"{tenant}/{key}".encode(), digest_size=6).digest()
                prefix = keys[key] = int.from_bytes(digest) or 1
            count = min(cached or 0, tokens) // block
            base = prefix << 16
            ids = tuple(range(base, base + count))
            yield Arrival(at, tokens, output, tenant, prefix=prefix, blocks=ids)


def survey(
    path: Path, *, model: str, since: str | None = None, until: str | None = None
) -> Replayed:
    """What `replay` would find."""
    with closing(_open(path)) as connection:
        keeps = _keeps_marks(connection)
        marked = f"coalesce(sum({_USABLE} AND m.id IS NOT NULL), 0) " if keeps else "0 "
        query = _COUNT + marked + _OF.format(join=_JOIN if keeps else "")
        row = connection.execute(query, _bounds(model, since, until)).fetchone()
    found, usable, first, last, told, cached, cost, marked_count = row
    return Replayed(
        requests=usable,
        left_out=found - usable,
        marked=marked_count,
        seconds=(last - first) / 1e6 if found else 0.0,
        hit_rate=cached / told if told else None,
        cost_nanousd=cost,
    )


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise NotFound(
            f"there is no ledger at {path}", next_step="run the plane first, or name its document"
        )
    # Not `parts.storage`: that would make and configure a file; this never writes.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _keeps_marks(connection: sqlite3.Connection) -> bool:
    """Not so before the plane that owns it was upgraded: this migrates nothing."""
    known = "SELECT 1 FROM sqlite_master WHERE name = 'attempt_marks'"
    return connection.execute(known).fetchone() is not None


def _bounds(model: str, since: str | None, until: str | None) -> tuple[str, int, int]:
    return model, _micros(since, 0), _micros(until, 1)


def _micros(day: str | None, days_after: int) -> int:
    if day is None:
        return _AFTER if days_after else _BEFORE
    moment = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(days=days_after)
    return int(moment.timestamp()) * 1_000_000
