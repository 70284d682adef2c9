"""How many members should share a step, as workers measured it

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "shared_steps",
        sa.Column(
            "shape", sa.String(length=64), nullable=False, comment="digest of the model's sizes"
        ),
        sa.Column("device", sa.String(length=200), nullable=False, comment="its make"),
        sa.Column("together", sa.Integer(), nullable=False, comment="members"),
        sa.Column("measured_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("shape", "device", name=op.f("pk_shared_steps")),
    )


def downgrade() -> None:
    """Measure anew."""
    op.drop_table("shared_steps")
