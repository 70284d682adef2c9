"""What keys and jobs were charged for workers' time, and what a key's weight is

Revision: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; an earlier release's service and workers leave them at their defaults."""
    op.create_table(
        "accounts",
        sa.Column("owner", sa.String(36), nullable=False, comment="a key's id; '' without one"),
        sa.Column(
            "virtual_time", sa.Double(), nullable=False, comment="seconds of workers by weight"
        ),
        sa.Column("reached", sa.Double(), nullable=False, comment="where its last claim began"),
        sa.Column("jobs_reached", sa.Double(), nullable=False, comment="the same among its jobs"),
        sa.Column("began", sa.Boolean(), nullable=False, comment="its last claim began a job"),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_accounts")),
    )
    op.create_index(op.f("ix_accounts_reached"), "accounts", ["reached"])
    time = "seconds of workers that it was charged, from where it started"
    took = "that its populations take of a worker, of late"
    added = {
        "jobs": (
            sa.Column(
                "virtual_time", sa.Double(), nullable=False, server_default="0", comment=time
            ),
            sa.Column("lease_seconds", sa.Double(), comment=took),
        ),
        "leases": (
            sa.Column("charged", sa.Double(), comment="seconds, to its last holder"),
            sa.Column("held_from", sa.Double(), comment="when that one claimed it"),
        ),
        "api_keys": (
            sa.Column(
                "weight", sa.Integer(), nullable=False, server_default="1", comment="of its share"
            ),
        ),
    }
    for table, columns in added.items():
        for column in columns:
            op.add_column(table, column)


def downgrade() -> None:
    """Forget them: the oldest job goes first again."""
    # A batch would write SQLite's tables anew, and others refer to them.
    op.execute("ALTER TABLE api_keys DROP COLUMN weight")
    for name in ("charged", "held_from"):
        op.execute(f"ALTER TABLE leases DROP COLUMN {name}")
    for name in ("virtual_time", "lease_seconds"):
        op.execute(f"ALTER TABLE jobs DROP COLUMN {name}")
    op.drop_index(op.f("ix_accounts_reached"), "accounts")
    op.drop_table("accounts")
