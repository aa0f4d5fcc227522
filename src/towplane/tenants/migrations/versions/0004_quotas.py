"""Requests and tokens by worker, projects that were created, alerts that were sent."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what stands beside the rest; nothing that is there changes."""
    for name in ("requests", "tokens"):
        column = sa.Column(name, sa.BigInteger, nullable=False, server_default="0")
        op.add_column("spend_by_writer", column)
    op.create_table("projects", *_keys("tenant", "name"), *_text("record"), sqlite_with_rowid=False)
    op.create_table(
        "alerts",
        sa.Column("number", sa.Integer, primary_key=True),
        *_text("id", "kind", "account", "tenant", "measure", "window"),
        *_whole("share_ppm", "amount", "used", "at_us"),
        *_text("state"),
        *_whole("tries", "due_us"),
        sa.Column("ended_us", sa.BigInteger),
        *_text("trouble"),
        sa.UniqueConstraint("kind", "account", "measure", "window", "share_ppm", "amount"),
        sqlite_autoincrement=True,
    )
    op.create_index("alerts_by_state", "alerts", ["state", "due_us"])


def _keys(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, primary_key=True) for name in names]


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _whole(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]
