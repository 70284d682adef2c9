"""Jobs that are gone, and what they have left to be deleted

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "deleted_jobs",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column(
            "study_id", sa.Integer(), nullable=False, comment="Optuna's; its trials go in slices"
        ),
        sa.Column("deleted_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_deleted_jobs")),
    )


def downgrade() -> None:
    """Leave what is left of them where it is."""
    op.drop_table("deleted_jobs")
