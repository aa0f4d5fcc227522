"""What prompts have in common, of routes that keep it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table; nothing that is there changes."""
    op.create_table(
        "attempt_marks",
        sa.Column("id", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("blocks", "opening", "session")
        ),
        sa.Column("marks", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )
