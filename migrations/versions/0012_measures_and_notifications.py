"""What workers measured, when they told of a job, and who is told of its end

Revision: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the tables."""
    with op.batch_alter_table("workers") as table:
        comment = "ridgeway.measures.Measures since its start"
        table.add_column(sa.Column("measures", sa.JSON(none_as_null=True), comment=comment))
    with op.batch_alter_table("jobs") as table:
        comment = "when there was a plan, and training began"
        table.add_column(sa.Column("trained_from", sa.Double(), comment=comment))
        comment = "when trials last ended, for the job's pace"
        table.add_column(sa.Column("told_at", sa.Double(), comment=comment))
    with op.batch_alter_table("leases") as table:
        table.add_column(sa.Column("told_at", sa.Double(), comment="when that was told"))
    op.create_table(
        "retired_measures",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False, comment="1: one row"),
        sa.Column("measures", sa.JSON(), nullable=False, comment="ridgeway.measures.Measures"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retired_measures")),
    )
    op.create_table(
        "notifications",
        sa.Column("id", sa.String(36), nullable=False, comment="a webhook-id, whatever the try"),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False, comment="waiting, sent or given_up"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.Double(), comment="the first try"),
        sa.Column("due_at", sa.Double(), nullable=False, comment="the next try, or a lease's end"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_notifications_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
    )
    with op.batch_alter_table("notifications") as table:
        table.create_index(op.f("ix_notifications_job_id"), ["job_id"])
        table.create_index(op.f("ix_notifications_state_due_at"), ["state", "due_at"])


def downgrade() -> None:
    """Forget them."""
    op.drop_table("notifications")
    op.drop_table("retired_measures")
    # A batch would write SQLite's tables anew, and others refer to them.
    op.execute("ALTER TABLE workers DROP COLUMN measures")
    op.execute("ALTER TABLE leases DROP COLUMN told_at")
    op.execute("ALTER TABLE jobs DROP COLUMN told_at")
    op.execute("ALTER TABLE jobs DROP COLUMN trained_from")
