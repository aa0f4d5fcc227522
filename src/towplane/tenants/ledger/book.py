"""The ledger: the journals of all workers folded into one database, exactly once.

Used by the plane process from a worker thread; a command may read the same database meanwhile. The
laws: events and the position behind them are one transaction, so that a death at any moment neither
loses nor repeats one; a segment is removed only when what it held is on disk in the database;
recovery takes only journals whose writer is dead, and doing it twice changes nothing.
"""

import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from towplane.parts.errors import Conflict
from towplane.parts.ids import PREFIX_CHARS
from towplane.parts.storage import Database
from towplane.tenants.journal.layout import (
    incarnations,
    segment_name,
    segment_numbers,
    sweep_drafts,
)
from towplane.tenants.journal.reader import START, Batch, JournalReader, Position
from towplane.tenants.ledger import usage as questions
from towplane.tenants.ledger.attempts import Row, attempts_of
from towplane.tenants.ledger.capacity import capacity_uses
from towplane.tenants.ledger.crash import request_of, settle_crashed
from towplane.tenants.ledger.fold import apply, decode_opened
from towplane.tenants.ledger.names import NamesBook
from towplane.tenants.ledger.reprice import PricesOf, Repriced, RepricingWanted, reprice
from towplane.tenants.ledger.schema import open_schema
from towplane.tenants.ledger.usage import Only, UsageBy, UsageRow
from towplane.tenants.pricing.provisioned import CapacityUse
from towplane.tenants.windows import Account

__all__ = ["FoldResult", "Ledger", "Recovered"]

_SAVE_POSITION = (
    "INSERT INTO journals VALUES (?, ?, ?, ?, ?, NULL) ON CONFLICT (incarnation) DO UPDATE SET "
    "segment = excluded.segment, offset = excluded.offset, bad = bad + excluded.bad, "
    "orphans = orphans + excluded.orphans"
)
# Ids of one worker ascend with time, so that an index by time, a tenth of the cost of a fold, would
# say nothing new: what is old stands at the beginning of its worker's ids.
_FIND_OLD = (
    "SELECT id FROM (SELECT id, at_us FROM attempt_numbers WHERE id >= ? AND id < ? "
    "ORDER BY id LIMIT ?) WHERE at_us < ?"
)
_PRUNE = tuple(
    f"DELETE FROM {table} WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608  # as here
    for table in ("attempt_numbers", "attempt_details", "price_adjustments")
)
_PRUNE_SCORES = "DELETE FROM scores WHERE at_us < ?"
"""A score comes after its request."""
_PRUNE_MARKS = "DELETE FROM attempt_marks WHERE id >= ? AND id <= ?"
"""By a worker's ids: quicker than one by one."""
_NEXT_ID = "SELECT id FROM attempt_numbers WHERE id >= ? ORDER BY id LIMIT 1"
_AFTER_ALL = "~"  # follows everything that an id is made of


class FoldResult(NamedTuple):
    """What one fold did."""

    events: int = 0
    opened: int = 0
    settled: int = 0
    bad: int = 0
    """Damaged places in journals."""
    orphans: int = 0
    """Ends without a beginning."""
    is_end: bool = True
    """Nothing is left in the journals for now."""


class Recovered(NamedTuple):
    """What a dead worker had left open, now settled as estimated."""

    incarnation: str
    attempts: int
    cost_nanousd: int


class _Read(NamedTuple):
    incarnation: str
    start: Position
    batch: Batch


class Ledger:
    """The ledger of one data_dir: `journal_root` is its folder of journals."""

    def __init__(self, database: Database, journal_root: Path) -> None:
        open_schema(database)
        self._database = database
        self._root = journal_root
        self._positions: dict[str, Position | None] = {}  # None: recovered, nothing will follow
        self._names = NamesBook()
        self._folding = threading.Lock()

    def fold(self, limit: int = 8_000) -> FoldResult:
        """Fold at most `limit` events of all journals, in one transaction."""
        with self._folding:
            reads = self._read(limit)
            result = self._write(reads)
            self._remove_folded([read.incarnation for read in reads])
            return result

    def recover(self, incarnation: str, now: float) -> Recovered:
        """Fold the rest of a dead worker's journal, and settle what it left open as estimated."""
        reader = JournalReader(self._root / incarnation)
        if reader.is_alive():
            raise Conflict(
                f"worker {incarnation} is alive", next_step="stop it, then recover its journal"
            )
        with self._folding:
            position = self._position(incarnation)
            while position is not None:
                batch = reader.read(position)
                self._write([_Read(incarnation, position, batch)])
                if batch.is_final:
                    break
                position = self._positions[incarnation]
            recovered = self._settle_open(incarnation, now)
            self._positions[incarnation] = None
            self._remove_folded([incarnation])
            return recovered

    def recover_dead(self, now: float) -> list[Recovered]:
        """Recover every journal whose writer is dead: what a plane does when it starts."""
        sweep_drafts(self._root)
        found = incarnations(self._root)
        dead = [j.name for j in found if not JournalReader(j.directory).is_alive()]
        with self._database.read() as connection:  # those whose folder somebody removed
            rows = connection.exec_driver_sql("SELECT DISTINCT incarnation FROM open_attempts")
            present = {journal.name for journal in found}
            dead += [row[0] for row in rows if row[0] not in present]
        return [self.recover(name, now) for name in dead]

    def lag(self) -> int:
        """How many events lie in the journals and not in the ledger yet."""
        with self._database.read() as connection:
            positions = _positions(connection)
        return sum(
            JournalReader(journal.directory).count(position)
            for journal in incarnations(self._root)
            if (position := positions.get(journal.name, START)) is not None
        )

    def damage(self) -> tuple[int, int]:
        """Damaged places and ends without a beginning, over all journals ever folded."""
        with self._database.read() as connection:
            row = connection.exec_driver_sql(
                "SELECT coalesce(sum(bad), 0), coalesce(sum(orphans), 0) FROM journals"
            ).one()
        return int(row[0]), int(row[1])

    def running(self) -> int:
        """How many attempts are open, as far as the journals have been folded."""
        with self._database.read() as connection:
            return int(
                connection.exec_driver_sql("SELECT count(*) FROM open_attempts").scalar_one()
            )

    def usage(
        self,
        by: UsageBy = "tenant",
        *,
        since: str | None = None,
        until: str | None = None,
        only: Only = Only(),  # noqa: B008  # a value
    ) -> list[UsageRow]:
        """What was used, by name; `since` and `until` are UTC days, both included."""
        with self._database.read() as connection:
            return questions.usage(connection, by=by, since=since, until=until, only=only)

    def attempts_of(self, request: str) -> list[Row]:
        """The settled attempts of one request, as far as folded."""
        with self._database.read() as connection:
            return attempts_of(connection, request)

    def spent(self, account: Account, window: str) -> int:
        """What `account` has spent in a window, in nano-dollars, as far as folded."""
        with self._database.read() as connection:
            return questions.spent(connection, account, window)

    def balances(self, now: float) -> dict[tuple[Account, str], int]:
        """What every account has spent in the windows that hold `now`."""
        with self._database.read() as connection:
            return questions.balances(connection, now)

    def spent_by_incarnation(self, incarnation: str) -> dict[tuple[Account, str], int]:
        """What one worker has spent: what a coordinator takes from its leases when it died."""
        with self._database.read() as connection:
            return questions.spent_by_incarnation(connection, incarnation)

    def targets(self) -> list[tuple[str, str]]:
        """Every target that the ledger knows, with the name of its model there."""
        with self._database.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT DISTINCT target, upstream_model FROM attempt_names ORDER BY 1, 2"
            )
            return [(row[0], row[1]) for row in rows]

    def reprice(
        self, prices_of: PricesOf, wanted: RepricingWanted, *, now: float, apply: bool = False
    ) -> Repriced:
        """Price past attempts again, by the prices of their own moments; see `reprice`."""
        return reprice(self._database, prices_of, wanted, now=now, apply=apply)

    def capacity_uses(
        self, targets: Sequence[str], *, since: str, until: str, only_marked: bool = False
    ) -> list[CapacityUse]:
        """What was used of targets that are paid for by the hour."""
        with self._database.read() as connection:
            return capacity_uses(
                connection, targets, since=since, until=until, only_marked=only_marked
            )

    def prune(self, before: float, most: int = 1000) -> int:
        """Remove at most `most` attempts opened before a time; the sums by day stay for good."""
        with self._database.write() as connection:
            removed = _prune(connection, round(before * 1_000_000), most)
            connection.exec_driver_sql(
                "DELETE FROM spend_by_writer WHERE incarnation IN "
                "(SELECT incarnation FROM journals WHERE finished_us < ?)",
                (round(before * 1_000_000),),
            )
            connection.exec_driver_sql(_PRUNE_SCORES, (round(before * 1_000_000),))
        return removed

    def _read(self, limit: int) -> list[_Read]:
        """The next events of each journal, before any lock on the database is taken."""
        reads: list[_Read] = []
        for journal in incarnations(self._root):
            if limit <= 0:
                break
            position = self._position(journal.name)
            if position is None:
                continue
            batch = JournalReader(journal.directory).read(position, limit)
            limit -= len(batch.events)
            reads.append(_Read(journal.name, position, batch))
        return reads

    def _write(self, reads: list[_Read]) -> FoldResult:
        """Put what was read into the tables, with the positions behind it."""
        is_end = all(read.batch.is_end for read in reads)
        moved = [read for read in reads if read.batch.position != read.start or read.batch.bad]
        if not moved:
            return FoldResult(is_end=is_end)
        events = opened = settled = bad = orphans = 0
        with self._writing() as connection:
            stored = _positions(connection)
            for incarnation, start, batch in moved:
                if stored.get(incarnation, START) != start:
                    continue  # another process was faster
                applied = apply(connection, self._names, incarnation, batch.events)
                connection.exec_driver_sql(
                    _SAVE_POSITION, (incarnation, *batch.position, batch.bad, applied.orphans)
                )
                stored[incarnation] = batch.position
                events += len(batch.events)
                opened += applied.opened
                settled += applied.settled
                bad += batch.bad
                orphans += applied.orphans
        self._positions.update(stored)
        return FoldResult(events, opened, settled, bad, orphans, is_end)

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """One transaction; when it fails, the numbers it gave to names are none."""
        try:
            with self._database.write() as connection:
                yield connection
        except BaseException:
            self._names.forget()
            raise

    def _settle_open(self, incarnation: str, now: float) -> Recovered:
        with self._writing() as connection:
            rows = connection.exec_driver_sql(
                "SELECT opened, output FROM open_attempts WHERE incarnation = ?", (incarnation,)
            ).all()
            left = [(decode_opened(opened), output) for opened, output in rows]
            answered = _answered(connection, {request_of(opened.id) for opened, _ in left})
            ends = settle_crashed(left, answered=answered, now=now)
            apply(connection, self._names, incarnation, ends)
            connection.exec_driver_sql(
                "INSERT INTO journals VALUES (?, ?, ?, 0, 0, ?) ON CONFLICT (incarnation) "
                "DO UPDATE SET finished_us = coalesce(finished_us, excluded.finished_us)",
                (incarnation, *START, round(now * 1_000_000)),
            )
        return Recovered(incarnation, len(ends), sum(end.cost_nanousd or 0 for end in ends))

    def _position(self, incarnation: str) -> Position | None:
        if incarnation not in self._positions:
            with self._database.read() as connection:
                self._positions[incarnation] = _positions(connection).get(incarnation, START)
        return self._positions[incarnation]

    def _remove_folded(self, names: list[str]) -> None:
        """Remove segments and journals that the database has on disk by now."""
        folded = [path for name in names for path in self._folded(name)]
        if folded and self._database.settle_to_disk():
            for path in folded:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _folded(self, incarnation: str) -> list[Path]:
        directory = self._root / incarnation
        position = self._positions.get(incarnation, START)
        if position is None:
            return [directory] if directory.exists() else []
        return [
            directory / segment_name(number)
            for number in segment_numbers(directory)
            if number < position.segment
        ]


def _positions(connection: sa.Connection) -> dict[str, Position | None]:
    rows = connection.exec_driver_sql(
        "SELECT incarnation, segment, offset, finished_us FROM journals"
    )
    return {row[0]: Position(row[1], row[2]) if row[3] is None else None for row in rows}


def _prune(connection: sa.Connection, before_us: int, most: int) -> int:
    """Remove old attempts, worker by worker."""
    removed = 0
    at = ""
    while removed < most and (first := connection.exec_driver_sql(_NEXT_ID, (at,)).first()):
        begin, at = first[0], first[0][:PREFIX_CHARS] + _AFTER_ALL
        left = most - removed
        found = connection.exec_driver_sql(_FIND_OLD, (begin, at, left, before_us))
        old = [row[0] for row in found]
        for statement in _PRUNE if old else ():
            connection.exec_driver_sql(statement, (msgspec.json.encode(old).decode(),))
        if old:
            connection.exec_driver_sql(_PRUNE_MARKS, (begin[:PREFIX_CHARS], old[-1]))
        removed += len(old)
    return removed


def _answered(connection: sa.Connection, requests: set[str]) -> set[str]:
    """Those of `requests` that have an attempt which decided what the client saw."""
    return {
        request
        for request in requests
        if connection.exec_driver_sql(
            "SELECT 1 FROM attempt_numbers WHERE id > ? AND id < ? AND final",
            (f"{request}.", f"{request}/"),  # `/` follows `.`: all attempts of the request
        ).first()
    }
