"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables of the ledger and of the accounts."""
    op.create_table(
        "attempts",
        *_keys("id"),
        *_whole("at_us"),
        *_text("tenant", "key", "model", "target", "upstream_model", "cause", "outcome", "usage"),
        *_whole("final"),
        *_known("status", "input", "cached_input", "output", "cost_nanousd"),
        *_known("ttft_us", "duration_us"),
        sqlite_with_rowid=False,
    )
    op.create_index("attempts_by_time", "attempts", ["at_us"])
    op.create_table(
        "open_attempts",
        *_keys("id"),
        *_text("incarnation"),
        sa.Column("opened", sa.LargeBinary, nullable=False),
        *_whole("output"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_by_day",
        *_keys("day", "tenant", "key", "model", "target"),
        *_whole("requests", "attempts", "measured", "estimated", "absent", "unpriced"),
        *_whole("input", "cached_input", "output", "cost_nanousd"),
        sqlite_with_rowid=False,
    )
    op.create_index("usage_by_tenant", "usage_by_day", ["tenant", "day"])
    op.create_table(
        "journals",
        *_keys("incarnation"),
        *_whole("segment", "offset", "bad", "orphans"),
        *_known("finished_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "spend_by_writer",
        *_keys("incarnation", "tenant", "key", "day"),
        *_whole("cost_nanousd"),
        sqlite_with_rowid=False,
    )
    op.create_table("tenants", *_keys("name"), *_text("record"), sqlite_with_rowid=False)
    op.create_table("keys", *_keys("id"), *_text("tenant", "record"), sqlite_with_rowid=False)
    op.create_index("keys_by_tenant", "keys", ["tenant"])
    op.create_table(
        "audit",
        sa.Column("number", sa.Integer, primary_key=True),
        *_whole("at_us"),
        *_text("actor", "action", "subject"),
        *(sa.Column(name, sa.Text) for name in ("before", "after")),
        sqlite_autoincrement=True,
    )


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def _known(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger) for name in names]
