"""Requests with all their attempts, as the ledger has them, and the scores that vendors give them.

Reads and writes inside a transaction that somebody else owns. The laws: a request's rows come
together, requests in the order of time; what is unknown in one attempt is unknown in the sum; the
last score of a request holds.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa

from towplane.tenants.ledger.crash import request_of

__all__ = ["RequestRow", "Shadowed", "keep_score", "requests_of", "shadowed"]

_QUERY = sa.text(
    "SELECT a.id, a.tenant, a.target, a.outcome, a.final, a.ttft_us, a.duration_us, a.input, "
    "a.output, a.cost_nanousd, a.at_us, s.score FROM attempts AS a "
    "LEFT JOIN scores AS s ON s.request = substr(a.id, 1, length(a.id) - 2) "
    "WHERE a.model = :model AND a.at_us >= :since AND a.cause NOT IN ('mirror', 'probe') "
    "ORDER BY a.at_us, a.id"
)
_KEEP = sa.text(
    "INSERT INTO scores VALUES (:request, :model, :score, :at) ON CONFLICT (request) DO UPDATE "
    "SET model = excluded.model, score = excluded.score, at_us = excluded.at_us"
)
_SHADOWED = sa.text(
    "SELECT m.id, m.target, m.outcome, m.ttft_us, m.duration_us, m.input, m.output, "
    "m.cost_nanousd, o.target, o.outcome, o.ttft_us, o.duration_us, o.input, o.output, "
    "o.cost_nanousd FROM attempts AS m JOIN attempts AS o "
    "ON o.id = substr(m.id, 1, length(m.id) - 3) || '.1' "
    "WHERE m.model = :model AND m.cause = 'mirror' AND m.at_us >= :since ORDER BY m.at_us, m.id"
)


class RequestRow(NamedTuple):
    """One request."""

    id: str
    tenant: str
    target: str
    """Of the first attempt."""
    outcome: str
    """Of the last one: what its client saw."""
    ttft_us: int | None
    duration_us: int | None
    """Of all attempts one after the other; of several at once, the longest."""
    input: int | None
    output: int | None
    cost_nanousd: int | None
    score: float | None


class Shadowed(NamedTuple):
    """An attempt of a client's request, or its shadow."""

    target: str
    outcome: str
    ttft_us: int | None
    duration_us: int | None
    input: int | None
    output: int | None
    cost_nanousd: int | None


def requests_of(
    connection: sa.Connection, model: str, *, since_us: int = 0
) -> Iterator[RequestRow]:
    """Those for a model that began at a moment or later, as far back as attempts are kept."""
    rows = connection.execute(_QUERY, {"model": model, "since": since_us})
    for request, found in groupby(rows, lambda row: request_of(row[0])):
        attempts = sorted(found, key=lambda row: (len(row[0]), row[0]))
        first = attempts[0]
        if not first[0].endswith(".1"):
            continue  # its beginning is not kept any more
        last = next((row for row in attempts if row[4]), attempts[-1])
        yield RequestRow(
            id=request,
            tenant=first[1],
            target=first[2],
            outcome=last[3],
            ttft_us=last[5],
            duration_us=_duration(attempts, last),
            input=_sum(row[7] for row in attempts),
            output=_sum(row[8] for row in attempts),
            cost_nanousd=_sum(row[9] for row in attempts),
            score=first[11],
        )


def keep_score(
    connection: sa.Connection, *, request: str, model: str, score: float, at_us: int
) -> None:
    """What the vendor thinks of an answer."""
    parameters = {"request": request, "model": model, "score": score, "at": at_us}
    connection.execute(_KEEP, parameters)


def shadowed(
    connection: sa.Connection, model: str, *, since_us: int = 0
) -> Iterator[tuple[str, Shadowed, Shadowed]]:
    """Mirrored requests: the client's id, its first attempt, its shadow."""
    for row in connection.execute(_SHADOWED, {"model": model, "since": since_us}):
        yield row[0][:-3], Shadowed(*row[8:15]), Shadowed(*row[1:8])


def _duration(attempts: Sequence[Any], last: Any) -> int | None:
    """Attempts that failed, and the one that answered or one that it overtook."""
    overtaken = [row[6] or 0 for row in attempts if row[3] == "cancelled" and row is not last]
    others = [row[6] for row in attempts if row[3] != "cancelled" and row is not last]
    if last[6] is None:
        return None
    return _sum([*others, max([last[6], *overtaken])])


def _sum(values: Iterable[int | None]) -> int | None:
    total = 0
    for value in values:
        if value is None:
            return None
        total += value
    return total
