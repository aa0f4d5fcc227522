"""What was special about an attempt, its service class and credential; costs that were repriced."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OLD_NAMES = ("tenant", "key", "model", "target", "upstream_model", "cause", "outcome", "usage")
_NAMES = (*_OLD_NAMES, "service", "credential")
_NUMBERS = ("status", "input", "cached_input", "output", "cost_nanousd", "ttft_us", "duration_us")
_DETAILS = (
    "cache_write", "cache_write_1h", "reasoning", "audio_input", "image_input", "audio_output",
    "image_output", "tool_input", "searches",
)  # fmt: skip
_OLD_DAY = ("day", "tenant", "key", "model", "target")
_SUMS = ("requests", "attempts", "measured", "estimated", "absent", "unpriced", "input",
         "cached_input", "output", "cost_nanousd")  # fmt: skip
_REPRICED = (
    "SELECT cost_nanousd FROM price_adjustments WHERE price_adjustments.id = attempt_numbers.id "
    "ORDER BY repricing DESC LIMIT 1"
)
_VIEW = (  # S608: the names come from this file
    f"CREATE VIEW attempts AS SELECT attempt_numbers.id, at_us, {', '.join(_OLD_NAMES)}, "  # noqa: S608
    "final, "
    + ", ".join(
        f"coalesce(({_REPRICED}), attempt_numbers.cost_nanousd) AS cost_nanousd"
        if name == "cost_nanousd"
        else name
        for name in _NUMBERS
    )
    + f", service, credential, {', '.join(_DETAILS)}, "
    "attempt_numbers.cost_nanousd AS settled_nanousd FROM attempt_numbers "
    "JOIN attempt_names USING (names) LEFT JOIN attempt_details USING (id)"
)


def upgrade() -> None:
    """Give names and days a service class, and keep the rest in tables of their own."""
    op.execute("DROP VIEW attempts")
    _change_names()
    _change_days()
    op.create_table("attempt_details", *_keys("id"), *_whole(*_DETAILS), sqlite_with_rowid=False)
    op.create_table(
        "repricings",
        sa.Column("number", sa.Integer, primary_key=True),
        *_whole("at_us"),
        *_text("actor", "since", "until"),
        sa.Column("model", sa.Text),
        *_text("book"),
        *_whole("attempts", "difference_nanousd"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "price_adjustments",
        *_keys("id"),
        sa.Column("repricing", sa.BigInteger, primary_key=True),
        *_whole("cost_nanousd"),
        sa.Column("before_nanousd", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.execute(_VIEW)


def _change_names() -> None:
    op.execute("ALTER TABLE attempt_names RENAME TO old_names")
    op.create_table(
        "attempt_names",
        sa.Column("names", sa.Integer, primary_key=True),
        *_text(*_NAMES),
        sa.UniqueConstraint(*_NAMES),
    )
    names = ", ".join(_OLD_NAMES)
    op.execute(  # S608: as above
        f"INSERT INTO attempt_names SELECT names, {names}, 'standard', '' FROM old_names"  # noqa: S608
    )
    op.execute("DROP TABLE old_names")


def _change_days() -> None:
    op.drop_index("usage_by_tenant", "usage_by_day")
    op.execute("ALTER TABLE usage_by_day RENAME TO old_days")
    op.create_table(
        "usage_by_day",
        *_keys(*_OLD_DAY, "service"),
        *_whole(*_SUMS, *_DETAILS),
        sqlite_with_rowid=False,
    )
    zeros = ", ".join("0" for _ in _DETAILS)
    op.execute(  # S608: as above
        f"INSERT INTO usage_by_day SELECT {', '.join(_OLD_DAY)}, 'standard', "  # noqa: S608
        f"{', '.join(_SUMS)}, {zeros} FROM old_days"
    )
    op.execute("DROP TABLE old_days")
    op.create_index("usage_by_tenant", "usage_by_day", ["tenant", "day"])


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
