"""Why a lease's last holder was lost

Revision: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    column = sa.Column(
        "lost_because", sa.Text(), comment="why a holder was lost, where it is known"
    )
    with op.batch_alter_table("leases") as table:
        table.add_column(column)


def downgrade() -> None:
    """Forget why."""
    with op.batch_alter_table("leases") as table:
        table.drop_column("lost_because")
