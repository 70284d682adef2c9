"""Sizes of populations by a worker's device, not by a job's first claim

Revision: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

BEFORE, NOW = "fixed by the first claim", "read by workers of earlier releases"


def upgrade() -> None:
    _say(NOW, BEFORE)


def downgrade() -> None:
    _say(BEFORE, NOW)


def _say(comment: str, before: str) -> None:
    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.alter_column(
            "jobs",
            "population_limit",
            existing_type=sa.Integer(),
            existing_comment=before,
            comment=comment,
        )
