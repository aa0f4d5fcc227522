"""Marks lie at other depths from the 33rd on, and prompts are measured beyond 512 stretches.

What older marks say up to the 32nd stays true; of prompts that were not measured to their end, it
was never known where in them a mark lies.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Cut off what would be read at another depth; no attempt is changed."""
    op.execute("DELETE FROM attempt_marks WHERE blocks >= 512")
    op.execute("UPDATE attempt_marks SET marks = substr(marks, 1, 128) WHERE length(marks) > 128")
