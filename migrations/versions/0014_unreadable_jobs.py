"""Which jobs a worker can't read

Revision: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    comment = "jobs that it can't read: why, by their ids"
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("unreadable", sa.JSON(none_as_null=True), comment=comment))


def downgrade() -> None:
    """Forget them."""
    op.execute("ALTER TABLE workers DROP COLUMN unreadable")
