"""Attempts keep the number of their names instead of eight texts; `attempts` becomes a view."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NAMES = ("tenant", "key", "model", "target", "upstream_model", "cause", "outcome", "usage")
_NUMBERS = ("status", "input", "cached_input", "output", "cost_nanousd", "ttft_us", "duration_us")
_names, _numbers = ", ".join(_NAMES), ", ".join(_NUMBERS)
_MOVE = (  # S608: the names come from this file
    f"INSERT INTO attempt_names SELECT DISTINCT NULL, {_names} FROM attempts",  # noqa: S608
    f"INSERT INTO attempt_numbers SELECT id, at_us, names, final, {_numbers} "  # noqa: S608
    f"FROM attempts JOIN attempt_names USING ({_names})",
    "DROP TABLE attempts",
    f"CREATE VIEW attempts AS SELECT id, at_us, {_names}, final, {_numbers} "  # noqa: S608
    "FROM attempt_numbers JOIN attempt_names USING (names)",
)


def upgrade() -> None:
    """Move the rows of the table into the two behind the view."""
    op.drop_index("attempts_by_time", "attempts")
    op.create_table(
        "attempt_names",
        sa.Column("names", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in _NAMES),
        sa.UniqueConstraint(*_NAMES),
    )
    op.create_table(
        "attempt_numbers",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(n, sa.BigInteger, nullable=False) for n in ("at_us", "names", "final")),
        *(sa.Column(name, sa.BigInteger) for name in _NUMBERS),
        sqlite_with_rowid=False,
    )
    for statement in _MOVE:
        op.execute(statement)
