"""Past attempts priced again, from the usage that was stored and the prices of their own moments.

The laws: a settled row is never changed, for what is new stands in `price_adjustments`, and the
last adjustment of an attempt is its cost in force; the sums by day follow in the same transaction,
so that budgets and reports include every adjustment; a cost that is known is never replaced by an
unknown one; doing it twice changes nothing, and nor does doing it with the prices of then.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.parts.storage import Database
from towplane.parts.usage import Detail, Usage
from towplane.tenants import audit
from towplane.tenants.ledger.schema import DETAILS
from towplane.tenants.prices import cost_of
from towplane.tenants.pricing.entries import PriceEntry, entry_at, moment_of
from towplane.tenants.windows import DAY_S, day_of

__all__ = ["PricesOf", "Repriced", "RepricedDay", "RepricingWanted", "reprice"]

PricesOf = Callable[[str, str], Sequence[PriceEntry]]
"""From a target's name and its upstream model to the prices of that model in time."""

_PAGE = 5_000  # attempts in one transaction, so that no fold waits for long
_COLUMNS = (
    "id, at_us, tenant, key, model, target, upstream_model, service, input, cached_input, output, "
    f"cost_nanousd, {', '.join(DETAILS)}"
)
_SELECT = (
    f"SELECT {_COLUMNS} FROM attempts WHERE id > ? AND at_us >= ? AND at_us < ? "  # noqa: S608  # ours
    "AND usage <> 'absent' AND model = coalesce(?, model) ORDER BY id LIMIT ?"
)
_BEGIN = (
    "INSERT INTO repricings (at_us, actor, since, until, model, book, attempts, "
    "difference_nanousd) VALUES (?, ?, ?, ?, ?, ?, 0, 0)"
)
_ADD_UP = (
    "UPDATE repricings SET attempts = attempts + ?, difference_nanousd = difference_nanousd + ? "
    "WHERE number = ?"
)
_ADJUST = "INSERT INTO price_adjustments VALUES (?, ?, ?, ?)"
_CHANGE_DAY = (
    "UPDATE usage_by_day SET cost_nanousd = cost_nanousd + ?, unpriced = unpriced - ? WHERE "
    "day = ? AND tenant = ? AND key = ? AND model = ? AND target = ? AND service = ?"
)


class RepricingWanted(NamedTuple):
    """What to price again."""

    since: str
    """First day, UTC."""
    until: str
    """Last day, included."""
    model: str | None = None
    """As clients ask for it; None: all."""
    actor: str = "plane"
    book: str = ""
    """Which price book is used, for the record."""


class RepricedDay(msgspec.Struct, kw_only=True):
    """One model on one day."""

    day: str
    model: str
    attempts: int = 0
    """With known usage."""
    changed: int = 0
    """Whose cost is another one now."""
    newly_priced: int = 0
    """Of them, those whose cost was unknown."""
    unknown: int = 0
    """Without a price in force: what they had is kept."""
    before_nanousd: int = 0
    """Sum of the costs that were known."""
    after_nanousd: int = 0
    difference_nanousd: int = 0


class Repriced(msgspec.Struct, kw_only=True):
    """What repricing would change, or has changed."""

    number: int | None
    """Of the repricing in the ledger; None: nothing was written."""
    days: list[RepricedDay]
    attempts: int
    changed: int
    pruned: int
    """Attempts of these days that the ledger does not keep one by one any more: they stay as they
    are."""
    difference_nanousd: int


class _Attempt(NamedTuple):
    id: str
    at_us: int
    tenant: str
    key: str
    model: str
    target: str
    upstream_model: str
    service: str
    usage: Usage
    cost_nanousd: int | None

    @property
    def day(self) -> str:
        return day_of(self.at_us / 1_000_000)


class _Change(NamedTuple):
    attempt: _Attempt
    cost_nanousd: int


def reprice(
    database: Database, prices_of: PricesOf, wanted: RepricingWanted, *, now: float, apply: bool
) -> Repriced:
    """Price again; writes only if `apply`."""
    days: dict[tuple[str, str], RepricedDay] = {}
    number: int | None = None
    last: str | None = ""
    while last is not None:
        # Read in the transaction that writes, so that two repricings do not count one change twice.
        with database.write() if apply else database.read() as connection:
            attempts, last = _page(connection, wanted, last)
            found = (_price_again(one, prices_of, days) for one in attempts)
            changes = [change for change in found if change is not None]
            if apply and changes:
                if number is None:
                    number = _begin(connection, wanted, now)
                _write(connection, number, changes)
    rows = sorted(days.values(), key=lambda day: (day.day, day.model))
    priced = sum(day.attempts for day in rows)
    result = Repriced(
        number=number,
        days=rows,
        attempts=priced,
        changed=sum(day.changed for day in rows),
        pruned=_pruned(database, wanted, priced),
        difference_nanousd=sum(day.difference_nanousd for day in rows),
    )
    if number is not None:
        _note(database, wanted, result, now)
    return result


def _page(
    connection: sa.Connection, wanted: RepricingWanted, last: str
) -> tuple[list[_Attempt], str | None]:
    """The attempts after `last`, and after which one the next page begins."""
    begin, end = _bounds(wanted)
    rows = connection.exec_driver_sql(_SELECT, (last, begin, end, wanted.model, _PAGE)).all()
    return [_attempt(tuple(row)) for row in rows], rows[-1][0] if len(rows) == _PAGE else None


def _bounds(wanted: RepricingWanted) -> tuple[int, int]:
    end = moment_of(wanted.until) + DAY_S
    return round(moment_of(wanted.since) * 1_000_000), round(end * 1_000_000)


def _attempt(row: Sequence[Any]) -> _Attempt:
    service, details = row[7], row[12:]
    detail = None
    if details[0] is not None or service != "standard":
        counts = dict(zip(DETAILS, (count or 0 for count in details), strict=True))
        detail = Detail(**counts, service=service)
    usage = Usage(row[8] or 0, row[10] or 0, row[9] or 0, detail)
    id_, at_us, tenant, key, model, target, upstream_model = row[:7]
    return _Attempt(id_, at_us, tenant, key, model, target, upstream_model, service, usage, row[11])


def _price_again(
    attempt: _Attempt, prices_of: PricesOf, days: dict[tuple[str, str], RepricedDay]
) -> _Change | None:
    """Count an attempt; its new cost if that is another one."""
    where = attempt.day, attempt.model
    day = days.get(where)
    if day is None:
        day = days[where] = RepricedDay(day=where[0], model=where[1])
    before = attempt.cost_nanousd
    entry = entry_at(prices_of(attempt.target, attempt.upstream_model), attempt.at_us / 1_000_000)
    after = None
    if entry is not None and entry.sheet is not None:
        after = cost_of(entry.sheet, attempt.usage)
    day.attempts += 1
    day.unknown += after is None
    day.before_nanousd += before or 0
    kept = before if after is None else after
    day.after_nanousd += kept or 0
    day.difference_nanousd += (kept or 0) - (before or 0)
    if after is None or after == before:
        return None
    day.changed += 1
    day.newly_priced += before is None
    return _Change(attempt, after)


def _begin(connection: sa.Connection, wanted: RepricingWanted, now: float) -> int:
    values = (wanted.actor, wanted.since, wanted.until, wanted.model, wanted.book)
    connection.exec_driver_sql(_BEGIN, (round(now * 1_000_000), *values))
    return int(connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one())


def _write(connection: sa.Connection, number: int, changes: list[_Change]) -> None:
    connection.exec_driver_sql(
        _ADJUST, [(c.attempt.id, number, c.cost_nanousd, c.attempt.cost_nanousd) for c in changes]
    )
    sums: dict[tuple[str, ...], tuple[int, int]] = {}
    for one, cost in changes:
        where = one.day, one.tenant, one.key, one.model, one.target, one.service
        money, priced = sums.get(where, (0, 0))
        sums[where] = (
            money + cost - (one.cost_nanousd or 0),
            priced + (one.cost_nanousd is None),
        )
    connection.exec_driver_sql(_CHANGE_DAY, [(*change, *where) for where, change in sums.items()])
    difference = sum(money for money, _ in sums.values())
    connection.exec_driver_sql(_ADD_UP, (len(changes), difference, number))


def _pruned(database: Database, wanted: RepricingWanted, kept: int) -> int:
    """Attempts with known usage that are in the sums of these days and in no row."""
    with database.read() as connection:
        counted = connection.exec_driver_sql(
            "SELECT coalesce(sum(measured + estimated), 0) FROM usage_by_day "
            "WHERE day BETWEEN ? AND ? AND model = coalesce(?, model)",
            (wanted.since, wanted.until, wanted.model),
        ).scalar_one()
    return max(0, int(counted) - kept)


def _note(database: Database, wanted: RepricingWanted, result: Repriced, now: float) -> None:
    with database.write() as connection:
        audit.note(
            connection,
            actor=wanted.actor,
            action="usage-repriced",
            subject=f"repricing/{result.number}",
            before=None,
            after=_Summary(
                since=wanted.since,
                until=wanted.until,
                model=wanted.model,
                book=wanted.book,
                attempts=result.changed,
                difference_nanousd=result.difference_nanousd,
            ),
            now=now,
        )


class _Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit keeps of a repricing."""

    since: str
    until: str
    model: str | None
    book: str
    attempts: int
    difference_nanousd: int
