"""How much of a population's training is done, and the leases of a job by their state

Revision: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, and the index by which looks find the few leases that are open."""
    column = sa.Column(
        "share", sa.Double(), comment="0 to 1: how much of the training is done, if known"
    )
    with op.batch_alter_table("leases") as table:
        table.add_column(column)
        table.create_index(op.f("ix_leases_job_id_state"), ["job_id", "state"])


def downgrade() -> None:
    """Forget how far populations are."""
    with op.batch_alter_table("leases") as table:
        table.drop_index(op.f("ix_leases_job_id_state"))
        table.drop_column("share")
