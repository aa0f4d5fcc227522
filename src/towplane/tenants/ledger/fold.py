"""Events of a journal become rows: attempts, and the sums of their day.

Works inside a transaction that somebody else owns; knows no file. The laws: an attempt has one row
however often its events are seen; Σ attempts = Σ usage_by_day; what an attempt costs belongs to the
day on which it was opened; unknown is never added as 0 without being counted as unknown.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.tenants.events import Event, Opened, Progress, Settled
from towplane.tenants.windows import DAY_S, day_of

__all__ = ["Applied", "apply", "decode_opened"]

_encode = msgspec.json.Encoder().encode
decode_opened = msgspec.json.Decoder(Opened).decode


class Applied(NamedTuple):
    """What a batch of events changed."""

    opened: int
    """Attempts that are now open."""
    settled: int
    orphans: int
    """Ends whose beginning nobody has seen: their line was damaged."""


# Plain SQL, because the ledger's budget is 10 µs per attempt and the driver takes tuples as they
# are. The `S608` that are silenced see names from this file put into SQL, never a value.
_INSERT_ATTEMPT = f"INSERT OR IGNORE INTO attempts VALUES ({','.join('?' * 18)})"  # noqa: S608
_INSERT_OPEN = "INSERT OR IGNORE INTO open_attempts VALUES (?, ?, ?, ?)"
_DELETE_OPEN = "DELETE FROM open_attempts WHERE id = ?"
_UPDATE_OUTPUT = "UPDATE open_attempts SET output = max(output, ?) WHERE id = ?"
_FIND_SETTLED = "SELECT id FROM attempts WHERE id IN (SELECT value FROM json_each(?))"
_FIND_OPEN = "SELECT id, opened FROM open_attempts WHERE id IN (SELECT value FROM json_each(?))"
_SUMS = (
    "requests",
    "attempts",
    "measured",
    "estimated",
    "absent",
    "unpriced",
    "input",
    "cached_input",
    "output",
    "cost_nanousd",
)
_KINDS = {kind: _SUMS.index(kind) for kind in ("measured", "estimated", "absent")}
_ADD_USAGE = (
    f"INSERT INTO usage_by_day VALUES ({','.join('?' * 15)}) "  # noqa: S608
    "ON CONFLICT (day, tenant, key, model, target) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
)
_ADD_SPEND = (
    "INSERT INTO spend_by_writer VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (incarnation, tenant, key, day) DO UPDATE SET "
    "cost_nanousd = cost_nanousd + excluded.cost_nanousd"
)

_Ended = tuple[Opened, Settled]


def apply(connection: sa.Connection, incarnation: str, events: Iterable[Event]) -> Applied:
    """Put the events of one incarnation into the tables."""
    opened, output, settled = _sort(events)
    stored = _find_open(connection, [*settled, *(id_ for id_ in output if id_ not in settled)])
    ended: list[_Ended] = []
    lost: list[str] = []
    for attempt, end in settled.items():
        begin = opened.get(attempt)
        if begin is None and attempt in stored:
            begin = decode_opened(stored[attempt])
        if begin is None:
            lost.append(attempt)
        else:
            ended.append((begin, end))
    orphans = len(lost) - len(_find_settled(connection, lost))

    ended = _insert_ended(connection, ended)
    _add_sums(connection, incarnation, ended)
    begun = _insert_open(
        connection, incarnation, [o for id_, o in opened.items() if id_ not in settled], output
    )
    _run(connection, _DELETE_OPEN, [(id_,) for id_ in stored if id_ in settled])
    further = [(n, id_) for id_, n in output.items() if id_ in stored and id_ not in settled]
    _run(connection, _UPDATE_OUTPUT, further)
    return Applied(begun, len(ended), orphans)


def _sort(
    events: Iterable[Event],
) -> tuple[dict[str, Opened], dict[str, int], dict[str, Settled]]:
    """By kind and attempt; the first of two equal ones counts, and the furthest progress."""
    opened: dict[str, Opened] = {}
    output: dict[str, int] = {}
    settled: dict[str, Settled] = {}
    for event in events:
        kind = type(event)
        if kind is Settled:
            settled.setdefault(event.id, event)  # type: ignore[arg-type]  # mypy keeps the union
        elif kind is Opened:
            opened.setdefault(event.id, event)  # type: ignore[arg-type]  # as above
        elif isinstance(event, Progress):
            output[event.id] = max(event.output, output.get(event.id, 0))
    return opened, output, settled


def _find_open(connection: sa.Connection, ids: list[str]) -> dict[str, bytes]:
    rows = connection.exec_driver_sql(_FIND_OPEN, (_encode(ids).decode(),))
    return {row[0]: row[1] for row in rows}


def _find_settled(connection: sa.Connection, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    rows = connection.exec_driver_sql(_FIND_SETTLED, (_encode(ids).decode(),))
    return {row[0] for row in rows}


def _insert_ended(connection: sa.Connection, ended: list[_Ended]) -> list[_Ended]:
    """Insert the rows of ended attempts; returns those that were not there before."""
    if not ended:
        return ended
    rows = [_row(begin, end) for begin, end in ended]
    connection.exec_driver_sql("SAVEPOINT ended")
    if connection.exec_driver_sql(_INSERT_ATTEMPT, rows).rowcount != len(rows):
        # Only after an event was written twice, so looking each one up costs nothing otherwise.
        connection.exec_driver_sql("ROLLBACK TO ended")
        done = _find_settled(connection, [begin.id for begin, _ in ended])
        ended = [(begin, end) for begin, end in ended if begin.id not in done]
        _run(connection, _INSERT_ATTEMPT, [row for row in rows if row[0] not in done])
    connection.exec_driver_sql("RELEASE ended")
    return ended


def _insert_open(
    connection: sa.Connection, incarnation: str, begun: list[Opened], output: dict[str, int]
) -> int:
    """Keep attempts that have begun and not ended; returns how many are new."""
    done = _find_settled(connection, [opened.id for opened in begun])
    rows = [
        (opened.id, incarnation, _encode(opened), output.get(opened.id, 0))
        for opened in begun
        if opened.id not in done
    ]
    return connection.exec_driver_sql(_INSERT_OPEN, rows).rowcount if rows else 0


def _add_sums(connection: sa.Connection, incarnation: str, ended: list[_Ended]) -> None:
    """Add ended attempts to the sums of their day and of their worker."""
    sums: dict[tuple[float, str, str, str, str], list[int]] = {}
    for begin, end in ended:
        # The number of the day stands for its name, which few rows need.
        account = (begin.at // DAY_S, begin.tenant, begin.key, begin.model, begin.target)
        total = sums.get(account)
        if total is None:
            total = sums[account] = [0] * len(_SUMS)
        _add(total, end)
    spend: dict[tuple[str, str, str], int] = {}
    rows = []
    for (number, tenant, key, model, target), total in sums.items():
        day = day_of(number * DAY_S)
        rows.append((day, tenant, key, model, target, *total))
        spend[tenant, key, day] = spend.get((tenant, key, day), 0) + total[-1]
    _run(connection, _ADD_USAGE, rows)
    _run(connection, _ADD_SPEND, [(incarnation, *whose, cost) for whose, cost in spend.items()])


def _add(total: list[int], end: Settled) -> None:
    """Add one attempt to `total`, which is in the order of `_SUMS`."""
    if end.id.endswith(".1"):  # a request is counted by its first attempt: exact after any crash
        total[0] += 1
    total[1] += 1
    total[_KINDS[end.usage]] += 1
    if end.cost_nanousd is not None:
        total[9] += end.cost_nanousd
    elif end.usage != "absent":
        total[5] += 1
    if end.input is not None:
        total[6] += end.input
    if end.cached_input is not None:
        total[7] += end.cached_input
    if end.output is not None:
        total[8] += end.output


def _row(begin: Opened, end: Settled) -> tuple[Any, ...]:  # what the driver takes
    return (
        begin.id,
        round(begin.at * 1_000_000),
        begin.tenant,
        begin.key,
        begin.model,
        begin.target,
        begin.upstream_model,
        begin.cause,
        end.outcome,
        end.usage,
        end.final,
        end.status,
        end.input,
        end.cached_input,
        end.output,
        end.cost_nanousd,
        None if end.ttft_ms is None else round(end.ttft_ms * 1000),
        None if end.outcome == "crashed" else round(end.duration_ms * 1000),
    )


def _run(connection: sa.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, list(rows))
