"""Since when the store does not answer a worker

Revision: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    comment = "since when the store does not answer it, why, and a job that needs it"
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("store_outage", sa.JSON(none_as_null=True), comment=comment))


def downgrade() -> None:
    """Forget them."""
    op.execute("ALTER TABLE workers DROP COLUMN store_outage")
