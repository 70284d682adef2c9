"""Data sets that are deleted while jobs that have ended name them; when a lease was done

Revision: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_SECONDS = sa.Double()


def upgrade() -> None:
    """Add the columns, and find the jobs of a data set by an index."""
    with op.batch_alter_table("datasets") as table:
        comment = "since then only jobs that have ended name it"
        table.add_column(sa.Column("deleted_at", _SECONDS, comment=comment))
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("finished_at", _SECONDS, comment="when it was done"))
    op.create_index(op.f("ix_jobs_dataset_id"), "jobs", ["dataset_id"], unique=False)


def downgrade() -> None:
    """Forget when; deleted data sets are there again, by the names that are their ids."""
    op.drop_index(op.f("ix_jobs_dataset_id"), "jobs")
    # A batch would write SQLite's tables anew, and others refer to them.
    op.execute("ALTER TABLE leases DROP COLUMN finished_at")
    op.execute("ALTER TABLE datasets DROP COLUMN deleted_at")
