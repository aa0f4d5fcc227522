"""A SQLite database in a file: several processes read it while one writes.

Knows no table. Transactions are explicit: `read` sees one consistent snapshot, `write` takes the
write lock at its start (so that what it read cannot change before it writes) and commits or rolls
back as a whole. The law: a committed transaction survives the death of any process; it survives a
power cut once `settle_to_disk` has returned.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from towplane.parts.errors import Platform

__all__ = ["Database"]

_BUSY_MS = 10_000  # another process's writes take milliseconds; a disk may stall for seconds
_TICK_NS = 50_000_000  # above the precision of a file's time


class Database:
    """One database file; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = path.with_name(f"{path.name}-wal")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.engine = sa.create_engine(
            f"sqlite:///{path}",
            pool_size=4,
            max_overflow=4,
            pool_use_lifo=True,  # the one used last still knows its pages and statements
        )
        sa.event.listen(self.engine, "connect", _configure)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: all of it, or nothing."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    def last_commit_ns(self) -> int | None:
        """When any process last committed, by one system call: while this stays the same, so does
        the content. None while another commit could still bear the same time, or when unknown."""
        try:
            found = self._log.stat().st_mtime_ns
        except FileNotFoundError:
            return None
        return found if time.time_ns() - found > _TICK_NS else None

    def settle_to_disk(self) -> bool:
        """Move what is committed from the log into the file, synced; False if somebody reads it."""
        with self.engine.connect() as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(FULL)").one()[0]
        return not busy

    def close(self) -> None:
        """Let all connections go."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql(begin)
                try:
                    yield connection
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
        except sa.exc.OperationalError as error:
            raise Platform(
                f"the database {self.path} does not answer: {error.orig}",
                next_step=f"check the disk and the permissions of {self.path.parent}",
            ) from error


def _configure(connection, _record) -> None:  # type: ignore[no-untyped-def]  # DBAPI's, untyped
    connection.isolation_level = None  # the driver begins nothing by itself
    for pragma in (
        f"busy_timeout={_BUSY_MS}",
        "journal_mode=WAL",
        "synchronous=NORMAL",  # the journal, not this file, answers for the last second
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")
