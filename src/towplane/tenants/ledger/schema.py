"""The tables of the ledger and of the accounts, and how a database gets and keeps them.

A new database is made from the tables below, without Alembic; one that is behind is migrated by the
steps in `tenants/migrations`. The law: both ways end in the same schema (a test compares them).
Money is whole nano-dollars, time whole microseconds since the epoch, a day ISO 8601 in UTC.
"""

import sqlalchemy as sa

from towplane.parts.errors import Unsupported
from towplane.parts.storage import Database
from towplane.parts.usage import Detail

__all__ = [
    "CREATE_ATTEMPTS",
    "DETAILS",
    "HEAD",
    "alerts",
    "attempt_details",
    "attempt_marks",
    "attempt_names",
    "attempt_numbers",
    "audit",
    "journals",
    "keys",
    "metadata",
    "open_attempts",
    "open_schema",
    "price_adjustments",
    "projects",
    "repricings",
    "scores",
    "spend_by_writer",
    "tenants",
    "usage_by_day",
]

HEAD = "0007"
"""The newest step of `tenants/migrations/versions`."""

metadata = sa.MetaData()
_Text, _Int, _Blob = sa.Text, sa.BigInteger, sa.LargeBinary


_OLD_NAMES = ("tenant", "key", "model", "target", "upstream_model", "cause", "outcome", "usage")
_NAMES = (*_OLD_NAMES, "service", "credential")
_NUMBERS = ("status", "input", "cached_input", "output", "cost_nanousd", "ttft_us", "duration_us")

DETAILS = tuple(name for name in Detail.__struct_fields__ if name != "service")
"""The counts of `parts.usage.Detail`, by which columns are called and ordered."""


def _whole(name: str) -> "sa.Column[int]":
    return sa.Column(name, _Int, nullable=False)


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, _Text, nullable=False)


attempt_names = sa.Table(
    "attempt_names",  # what attempts have in common, each combination once: see `names`
    metadata,
    sa.Column("names", sa.Integer, primary_key=True),
    *(_text(name) for name in _NAMES),
    sa.UniqueConstraint(*_NAMES),
)

attempt_numbers = sa.Table(
    "attempt_numbers",  # settled, never changed again; the request is the id up to its last dot
    metadata,
    sa.Column("id", _Text, primary_key=True),
    *(_whole(name) for name in ("at_us", "names", "final")),
    *(sa.Column(name, _Int) for name in _NUMBERS),
    sqlite_with_rowid=False,
)

attempt_details = sa.Table(
    "attempt_details",  # of those attempts whose usage had special parts: few rows, if any
    metadata,
    sa.Column("id", _Text, primary_key=True),
    *(_whole(name) for name in DETAILS),
    sqlite_with_rowid=False,
)

attempt_marks = sa.Table(
    "attempt_marks",  # what prompts have in common, by the first attempt: see `routing.marks`
    metadata,
    sa.Column("id", _Text, primary_key=True),
    *(_whole(name) for name in ("blocks", "opening", "session")),
    sa.Column("marks", _Blob, nullable=False),
    sqlite_with_rowid=False,
)

repricings = sa.Table(
    "repricings",  # append-only: who priced which days again, and what came of it
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    _whole("at_us"),
    *(_text(name) for name in ("actor", "since", "until")),
    sa.Column("model", _Text),
    _text("book"),
    *(_whole(name) for name in ("attempts", "difference_nanousd")),
    sqlite_autoincrement=True,
)

price_adjustments = sa.Table(
    "price_adjustments",  # append-only: the last one of an attempt is its cost in force
    metadata,
    sa.Column("id", _Text, primary_key=True),
    sa.Column("repricing", _Int, primary_key=True),
    _whole("cost_nanousd"),
    sa.Column("before_nanousd", _Int),
    sqlite_with_rowid=False,
)

_REPRICED = (
    "SELECT cost_nanousd FROM price_adjustments WHERE price_adjustments.id = attempt_numbers.id "
    "ORDER BY repricing DESC LIMIT 1"
)
CREATE_ATTEMPTS = (  # S608: the names come from this file
    f"CREATE VIEW attempts AS SELECT attempt_numbers.id, at_us, {', '.join(_OLD_NAMES)}, "  # noqa: S608
    "final, "
    + ", ".join(
        f"coalesce(({_REPRICED}), attempt_numbers.cost_nanousd) AS cost_nanousd"
        if name == "cost_nanousd"
        else name
        for name in _NUMBERS
    )
    + f", service, credential, {', '.join(DETAILS)}, "
    "attempt_numbers.cost_nanousd AS settled_nanousd FROM attempt_numbers "
    "JOIN attempt_names USING (names) LEFT JOIN attempt_details USING (id)"
)
"""One row per settled attempt, as everybody reads it: `cost_nanousd` is the cost in force, after
any repricing, and `settled_nanousd` the one with which it was settled."""

open_attempts = sa.Table(
    "open_attempts",  # opened and not settled: running now, or left behind by a crash
    metadata,
    sa.Column("id", _Text, primary_key=True),
    _text("incarnation"),
    sa.Column("opened", _Blob, nullable=False),  # the event, as in the journal
    _whole("output"),
    sqlite_with_rowid=False,
)

_SUMS = ("requests", "attempts", "measured", "estimated", "absent", "unpriced")
_AMOUNTS = ("input", "cached_input", "output", "cost_nanousd")

usage_by_day = sa.Table(
    "usage_by_day",
    metadata,
    *(
        sa.Column(name, _Text, primary_key=True)
        for name in ("day", "tenant", "key", "model", "target", "service")
    ),
    *(_whole(name) for name in (*_SUMS, *_AMOUNTS, *DETAILS)),
    sa.Index("usage_by_tenant", "tenant", "day"),
    sqlite_with_rowid=False,
)

journals = sa.Table(
    "journals",  # up to where each journal has been folded
    metadata,
    sa.Column("incarnation", _Text, primary_key=True),
    *(_whole(name) for name in ("segment", "offset", "bad", "orphans")),
    sa.Column("finished_us", _Int),
    sqlite_with_rowid=False,
)

spend_by_writer = sa.Table(
    "spend_by_writer",  # what one worker spent of the leases it held
    metadata,
    *(sa.Column(name, _Text, primary_key=True) for name in ("incarnation", "tenant", "key", "day")),
    _whole("cost_nanousd"),
    *(sa.Column(name, _Int, nullable=False, server_default="0") for name in ("requests", "tokens")),
    sqlite_with_rowid=False,
)

tenants = sa.Table(
    "tenants",  # the created ones; those of the document stand in the document
    metadata,
    sa.Column("name", _Text, primary_key=True),
    _text("record"),
    sqlite_with_rowid=False,
)

keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", _Text, primary_key=True),
    _text("tenant"),
    _text("record"),
    sa.Index("keys_by_tenant", "tenant"),
    sqlite_with_rowid=False,
)

projects = sa.Table(
    "projects",  # the created ones, as `tenants`
    metadata,
    *(sa.Column(name, _Text, primary_key=True) for name in ("tenant", "name")),
    _text("record"),
    sqlite_with_rowid=False,
)

scores = sa.Table(
    "scores",  # what the vendor thinks of the answers to requests; the last word on each holds
    metadata,
    sa.Column("request", _Text, primary_key=True),
    _text("model"),
    sa.Column("score", sa.Float, nullable=False),
    _whole("at_us"),
    sqlite_with_rowid=False,
)

alerts = sa.Table(
    "alerts",  # limits that came near, each share of each limit once in a window; see `alerts`
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    *(_text(name) for name in ("id", "kind", "account", "tenant", "measure", "window")),
    *(_whole(name) for name in ("share_ppm", "amount", "used", "at_us")),
    _text("state"),
    *(_whole(name) for name in ("tries", "due_us")),
    sa.Column("ended_us", _Int),
    _text("trouble"),
    sa.UniqueConstraint("kind", "account", "measure", "window", "share_ppm", "amount"),
    sa.Index("alerts_by_state", "state", "due_us"),
    sqlite_autoincrement=True,
)

audit = sa.Table(
    "audit",  # append-only; its last number is the version of the accounts
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    _whole("at_us"),
    *(_text(name) for name in ("actor", "action", "subject")),
    *(sa.Column(name, _Text) for name in ("before", "after")),
    sqlite_autoincrement=True,
)


def open_schema(database: Database) -> None:
    """Make the tables of a new database, or bring an older one to this version."""
    found = _revision(database)
    if found == HEAD:
        return
    if found is not None:
        _migrate(database, found)
        return
    with database.write() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):  # another process was first
            metadata.create_all(connection)
            connection.exec_driver_sql(CREATE_ATTEMPTS)
            connection.exec_driver_sql(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
                "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
            connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


def _revision(database: Database) -> str | None:
    with database.read() as connection:
        known = connection.exec_driver_sql(
            "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
        ).first()
        if known is None:
            return None
        row = connection.exec_driver_sql("SELECT version_num FROM alembic_version").first()
        return None if row is None else str(row[0])


def _migrate(database: Database, found: str) -> None:
    if found > HEAD:
        raise Unsupported(
            f"{database.path} was written by a newer towplane (schema {found}, here {HEAD})",
            next_step="install that version again, or restore an older backup",
        )
    from towplane.tenants.migrations.run import upgrade  # Alembic only when it is needed

    upgrade(database)
