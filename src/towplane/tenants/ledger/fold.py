"""Events of a journal become rows: attempts, and the sums of their day.

Works inside a transaction that somebody else owns; knows no file. The laws: an attempt has one row
however often its events are seen; Σ attempts = Σ usage_by_day; what an attempt costs belongs to the
day on which it was opened; unknown is never added as 0 without being counted as unknown.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.tenants.events import Event, Opened, Progress, Settled
from towplane.tenants.ledger.names import Names, NamesBook
from towplane.tenants.ledger.schema import DETAILS
from towplane.tenants.windows import DAY_S, Used, day_of

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


# Plain SQL, because the ledger's budget is 5 µs per attempt and the driver takes tuples as they
# are. The `S608` that are silenced see names from this file put into SQL, never a value.
# NULL costs the driver as much as half a row: where it is common, -1 travels for it.
_ROW = "(?,?,?,?,?,?,nullif(?,-1),?,nullif(?,-1),nullif(?,-1),?)"
_ROW_WIDTH = 11
_MANY = 250  # rows in one statement, which halves the cost of each
_INSERT = f"INSERT OR IGNORE INTO attempt_numbers VALUES {_ROW}"  # noqa: S608
_INSERT_OPEN = "INSERT OR IGNORE INTO open_attempts VALUES (?, ?, ?, ?)"
_DELETE_OPEN = "DELETE FROM open_attempts WHERE id = ?"
_UPDATE_OUTPUT = "UPDATE open_attempts SET output = max(output, ?) WHERE id = ?"
_FIND_SETTLED = "SELECT id FROM attempt_numbers WHERE id IN (SELECT value FROM json_each(?))"
_FIND_OPEN = "SELECT id, opened FROM open_attempts WHERE id IN (SELECT value FROM json_each(?))"
_FIND_OPENED_AGAIN = "SELECT id, opened FROM open_attempts WHERE id BETWEEN ? AND ?"
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
_ADD_USAGE = (
    f"INSERT INTO usage_by_day VALUES ({','.join('?' * (16 + len(DETAILS)))}) "  # noqa: S608
    "ON CONFLICT (day, tenant, key, model, target, service) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in (*_SUMS, *DETAILS))
)
_ADD_DETAIL = f"INSERT OR IGNORE INTO attempt_details VALUES (?{',?' * len(DETAILS)})"  # noqa: S608
_MARKS_ROW = "(?,?,?,?,?)"
_MARKS_WIDTH = 5
_ADD_MARKS = f"INSERT OR IGNORE INTO attempt_marks VALUES {_MARKS_ROW}"  # noqa: S608
_ADD_SPEND = (
    "INSERT INTO spend_by_writer VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (incarnation, tenant, key, day) DO UPDATE SET "
    "cost_nanousd = cost_nanousd + excluded.cost_nanousd, "
    "requests = requests + excluded.requests, tokens = tokens + excluded.tokens"
)

_Ended = tuple[Opened, Settled]
_Day = float  # the number of the day stands for its name, which few rows need
_Total = list[int]  # in the order of _SUMS, then of DETAILS
_COST = _SUMS.index("cost_nanousd")
_REQUESTS, _INPUT, _OUTPUT = map(_SUMS.index, ("requests", "input", "output"))
_NO_DETAILS = [0] * len(DETAILS)
_NOTHING = (0,) * len(DETAILS)
_read_details = attrgetter(*DETAILS)


def apply(
    connection: sa.Connection, book: NamesBook, incarnation: str, events: Iterable[Event]
) -> Applied:
    """Put the events of one incarnation into the tables."""
    opened, output, ended, others = _sort(events)
    stored = _find_open(connection, opened, [*others, *(i for i in output if i not in opened)])
    ended += [(decode_opened(stored[id_]), end) for id_, end in others.items() if id_ in stored]
    lost = [id_ for id_ in others if id_ not in stored]

    count = _add_ended(connection, book, incarnation, ended)
    settled = {begin.id for begin, _ in ended}
    begun = _insert_open(
        connection, incarnation, [o for id_, o in opened.items() if id_ not in settled], output
    )
    _run(connection, _DELETE_OPEN, [(id_,) for id_ in stored if id_ in settled])
    further = [(n, id_) for id_, n in output.items() if id_ in stored and id_ not in settled]
    _run(connection, _UPDATE_OUTPUT, further)
    _insert(connection, _ADD_MARKS, _MARKS_ROW, _MARKS_WIDTH, _marks_of(opened))
    return Applied(begun, count, orphans=len(lost) - len(_find_settled(connection, lost)))


def _sort(
    events: Iterable[Event],
) -> tuple[dict[str, Opened], dict[str, int], list[_Ended], dict[str, Settled]]:
    """What was opened, the furthest progress, and what ended: begun here, or elsewhere."""
    opened: dict[str, Opened] = {}
    output: dict[str, int] = {}
    ended: list[_Ended] = []
    others: dict[str, Settled] = {}
    for event in events:
        kind = type(event)
        if kind is Settled:
            begin = opened.get(event.id)
            if begin is None:
                others.setdefault(event.id, event)  # type: ignore[arg-type]  # mypy keeps the union
            else:
                ended.append((begin, event))  # type: ignore[arg-type]  # as above
        elif kind is Opened:
            opened.setdefault(event.id, event)  # type: ignore[arg-type]  # as above
        else:
            assert isinstance(event, Progress)
            output[event.id] = max(event.output, output.get(event.id, 0))
    return opened, output, ended, others


def _marks_of(opened: dict[str, Opened]) -> list[Any]:
    """The values of the rows of marks."""
    values: list[Any] = []
    for id_, begin in opened.items():
        kept = begin.marked
        if kept is not None:
            values += (id_, kept.blocks, kept.opening, kept.session, kept.marks)
    return values


def _find_open(
    connection: sa.Connection, opened: dict[str, Opened], further: list[str]
) -> dict[str, bytes]:
    """What earlier batches left open of the attempts that this one tells something about."""
    found: dict[str, bytes] = {}
    if further:
        rows = connection.exec_driver_sql(_FIND_OPEN, (_encode(further).decode(),))
        found = {row[0]: row[1] for row in rows}
    if opened:
        # Ids ascend, so that this range is empty unless a beginning was written twice.
        bounds = (min(opened), max(opened))
        again = connection.exec_driver_sql(_FIND_OPENED_AGAIN, bounds)
        found |= {row[0]: row[1] for row in again if row[0] in opened}
    return found


def _find_settled(connection: sa.Connection, ids: list[str]) -> set[str]:
    if not ids:
        return set()
    rows = connection.exec_driver_sql(_FIND_SETTLED, (_encode(ids).decode(),))
    return {row[0] for row in rows}


def _add_ended(
    connection: sa.Connection, book: NamesBook, incarnation: str, ended: list[_Ended]
) -> int:
    """Add the rows and sums of ended attempts; returns how many were not there before."""
    if not ended:
        return 0
    connection.exec_driver_sql("SAVEPOINT ended")
    sums, values, details = _count(connection, book, ended)
    if _insert(connection, _INSERT, _ROW, _ROW_WIDTH, values) != len(ended):
        # Only after an event was written twice, so looking each one up costs nothing otherwise.
        connection.exec_driver_sql("ROLLBACK TO ended")
        book.forget()
        once = {both[0].id: both for both in ended}
        done = _find_settled(connection, list(once))
        ended = [both for id_, both in once.items() if id_ not in done]
        sums, values, details = _count(connection, book, ended)
        _insert(connection, _INSERT, _ROW, _ROW_WIDTH, values)
    _run(connection, _ADD_DETAIL, details)
    connection.exec_driver_sql("RELEASE ended")
    _add_sums(connection, incarnation, sums)
    return len(ended)


def _insert(
    connection: sa.Connection, statement: str, row: str, width: int, values: list[Any]
) -> int:
    """Insert rows of a width that lie one after the other in `values`; returns how many were new.
    `statement` inserts one `row`."""
    new = 0
    rest = len(values) - len(values) % (width * _MANY)
    for start in range(0, rest, width * _MANY):
        many = tuple(values[start : start + width * _MANY])
        new += connection.exec_driver_sql(statement + f",{row}" * (_MANY - 1), many).rowcount
    rows = [tuple(values[at : at + width]) for at in range(rest, len(values), width)]
    return new + (connection.exec_driver_sql(statement, rows).rowcount if rows else 0)


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


def _count(
    connection: sa.Connection, book: NamesBook, ended: list[_Ended]
) -> tuple[list[tuple[_Day, Names, _Total]], list[Any], list[tuple[Any, ...]]]:
    """The sums of ended attempts by day and names, the values of their rows, and the rows of what
    was special."""
    groups: dict[tuple[Any, ...], list[_Ended]] = {}
    for both in ended:
        begin, end = both
        detail = end.detail
        alike = (
            begin.at // DAY_S, begin.tenant, begin.key, begin.model, begin.target,
            begin.upstream_model, begin.cause, end.outcome, end.usage,
            "standard" if detail is None else detail.service, end.credential or "",
            detail is not None,
        )  # fmt: skip
        group = groups.get(alike)
        if group is None:
            groups[alike] = [both]
        else:
            group.append(both)
    named = [
        (day, Names(*names), has_detail, group)
        for (day, *names, has_detail), group in groups.items()
    ]
    numbers = book.numbers(connection, {names for _, names, _, _ in named})
    values: list[Any] = []
    details: list[tuple[Any, ...]] = []
    sums: list[tuple[_Day, Names, _Total]] = []
    for day, names, has_detail, group in named:
        total = _count_alike(names, numbers[names], group, values)
        total += _count_details(group, details) if has_detail else _NO_DETAILS
        sums.append((day, names, total))
    return sums, values, details


def _count_alike(names: Names, number: int, group: list[_Ended], values: list[Any]) -> _Total:
    """The sums of attempts with the same names; appends their rows to `values`."""
    requests = unpriced = inputs = cached_inputs = outputs = costs = 0
    is_over = names.outcome != "crashed"  # how long those took, nobody knows
    for begin, end in group:
        attempt = begin.id
        cached, cost, ttft = end.cached_input, end.cost_nanousd, end.ttft_ms
        if attempt[-2:] == ".1":  # a request is counted by its first attempt: exact after any crash
            requests += 1
        inputs += end.input or 0
        cached_inputs += cached or 0
        outputs += end.output or 0
        if cost is None:
            unpriced += 1
        else:
            costs += cost
        values += (
            attempt,
            int(begin.at * 1_000_000),
            number,
            1 if end.final else 0,
            end.status,
            end.input,
            -1 if cached is None else cached,
            end.output,
            -1 if cost is None else cost,
            -1 if ttft is None else int(ttft * 1000 + 0.5),
            int(end.duration_ms * 1000 + 0.5) if is_over else None,
        )
    count, kind = len(group), names.usage
    kinds = (count * (kind == of) for of in ("measured", "estimated", "absent"))
    unpriced = 0 if kind == "absent" else unpriced
    return [requests, count, *kinds, unpriced, inputs, cached_inputs, outputs, costs]


def _count_details(group: list[_Ended], details: list[tuple[Any, ...]]) -> list[int]:
    """The sums of what was special; appends the rows of it to `details`."""
    rows = [_read_details(end.detail) for _, end in group if end.detail is not None]
    details += [
        (end.id, *row) for (_, end), row in zip(group, rows, strict=True) if row != _NOTHING
    ]
    return [sum(column) for column in zip(*rows, strict=True)]


def _add_sums(
    connection: sa.Connection, incarnation: str, sums: list[tuple[_Day, Names, _Total]]
) -> None:
    """Add to the sums of the days and of the worker."""
    spend: dict[tuple[str, str, str], Used] = {}
    rows = []
    for number, names, total in sums:
        day = day_of(number * DAY_S)
        rows.append((day, *names[:4], names.service, *total))
        whose = (names.tenant, names.key, day)
        tokens = total[_INPUT] + total[_OUTPUT]
        used = Used(total[_REQUESTS], tokens, total[_COST])
        spend[whose] = spend.get(whose, Used()).plus(used)
    _run(connection, _ADD_USAGE, rows)
    spent = [
        (incarnation, *whose, used.nanousd, used.requests, used.tokens)
        for whose, used in spend.items()
    ]
    _run(connection, _ADD_SPEND, spent)


def _run(connection: sa.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        connection.exec_driver_sql(statement, list(rows))
