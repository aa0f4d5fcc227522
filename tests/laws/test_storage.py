"""The database: what a look at its log says about commits, by whomever."""

import os
import time
from pathlib import Path

from towplane.parts.storage import Database


def long_ago(database: Database) -> None:
    log = database.path.with_name(f"{database.path.name}-wal")
    then = time.time() - 60
    os.utime(log, (then, then))


def test_the_time_of_the_last_commit_stays_until_the_next_by_anybody(tmp_path: Path) -> None:
    ours, theirs = Database(tmp_path / "a.sqlite"), Database(tmp_path / "a.sqlite")
    assert ours.last_commit_ns() is None
    with ours.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n)")
    long_ago(ours)
    first = ours.last_commit_ns()
    assert first is not None
    with theirs.read() as connection:
        connection.exec_driver_sql("SELECT * FROM t").all()
    assert ours.last_commit_ns() == first
    with theirs.write() as connection:
        connection.exec_driver_sql("INSERT INTO t VALUES (1)")
    assert ours.last_commit_ns() != first
    ours.close()
    theirs.close()


def test_a_commit_of_just_now_has_no_time_yet(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n)")
    log = database.path.with_name("a.sqlite-wal")
    soon = time.time() + 3600  # a clock that was set back counts as now, too
    os.utime(log, (soon, soon))
    assert database.last_commit_ns() is None
    database.close()
