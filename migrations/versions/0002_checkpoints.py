"""Where a lease's population left off

Revision: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COMMENT = "key in the store; of the population in mid-training"


def upgrade() -> None:
    """Leases may have a checkpoint."""
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.add_column(sa.Column("checkpoint", sa.Text(), nullable=True, comment=COMMENT))


def downgrade() -> None:
    """Forget them."""
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.drop_column("checkpoint")
