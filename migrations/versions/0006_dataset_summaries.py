"""What a list says of a data set, in columns of its own

A profile has a description of every column, megabytes for a wide table; a page reads none.

Revision: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FEW = 20  # a numeric target of more distinct integers than this is a regression's
datasets = sa.table(
    "datasets",
    sa.column("id", sa.String),
    sa.column("profile", sa.JSON),
    sa.column("column_count", sa.Integer),
    sa.column("target", sa.Text),
    sa.column("task", sa.String),
)


def upgrade() -> None:
    """Add the columns, and fill them from the profiles, one data set at a time."""
    # SQLite adds no required column without a default; every row gets its own values below.
    with op.batch_alter_table("datasets", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("column_count", sa.Integer(), nullable=False, server_default="0")
        )
        batch_op.add_column(
            sa.Column(
                "target",
                sa.Text(),
                nullable=False,
                server_default="",
                comment="the column predicted by default",
            )
        )
        batch_op.add_column(
            sa.Column(
                "task",
                sa.String(length=16),
                nullable=False,
                server_default="",
                comment="that this target implies",
            )
        )
        batch_op.create_index(
            batch_op.f("ix_datasets_created_at_id"), ["created_at", "id"], unique=False
        )
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    for dataset_id in connection.execute(sa.select(datasets.c.id)).scalars().all():
        this = datasets.c.id == dataset_id
        profile = connection.execute(sa.select(datasets.c.profile).where(this)).scalar_one()
        target = profile["columns"][-1]
        few = target["integral"] and target["distinct"] <= FEW
        classes = target["kind"] == "category" or few
        connection.execute(
            sa.update(datasets)
            .where(this)
            .values(
                column_count=len(profile["columns"]),
                target=target["name"],
                task="classification" if classes else "regression",
            )
        )


def downgrade() -> None:
    """Drop them; the profiles have it all."""
    op.drop_index(op.f("ix_datasets_created_at_id"), "datasets")
    # A batch would write SQLite's table anew, and jobs refer to it.
    for column in ("task", "target", "column_count"):
        op.execute(f"ALTER TABLE datasets DROP COLUMN {column}")
