"""Which penalties workers offer

Revision: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    comment = "names; none where an earlier release started it"
    with op.batch_alter_table("workers") as table:
        table.add_column(sa.Column("penalties", sa.JSON(), comment=comment))


def downgrade() -> None:
    """Forget the penalties."""
    with op.batch_alter_table("workers") as table:
        table.drop_column("penalties")
