"""Keys, sessions, the audit log, and whose a job or a data set is

Revision: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OWNED = {"datasets": "brought", "jobs": "submitted"}


def upgrade() -> None:
    """Create the tables and the columns; what there is already belongs to nobody."""
    for table, verb in OWNED.items():
        comment = f"id of the key that {verb} it; none without keys"
        op.add_column(table, sa.Column("owner", sa.String(length=36), comment=comment))
        op.create_index(
            op.f(f"ix_{table}_owner_created_at_id"), table, ["owner", "created_at", "id"]
        )
    _create_keys()
    _create_sessions()
    _create_audit()


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("prefix", sa.String(length=8), nullable=False, comment="by which it is known"),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="sha256 of the whole key"),
        sa.Column(
            "name", sa.String(length=200), nullable=False, comment="whose it is, or what for"
        ),
        sa.Column("scope", sa.String(length=16), nullable=False, comment="read, submit or admin"),
        sa.Column("open_jobs", sa.Integer(), comment="most at a time; none for no limit, as below"),
        sa.Column("trials", sa.Integer(), comment="most in its open jobs together"),
        sa.Column("bytes", sa.BigInteger(), comment="most of its data sets together"),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.Column("used_at", sa.Double(), comment="written every few minutes"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("hash", sa.String(length=64), nullable=False, comment="sha256 of the cookie"),
        sa.Column("key_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_sessions_key_id")),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_key_id_expires_at"), "sessions", ["key_id", "expires_at"])


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("key_id", sa.String(36), comment="none for a command, and without keys"),
        sa.Column("actor", sa.String(16), nullable=False, comment="the key's prefix, or local"),
        sa.Column(
            "action", sa.String(200), nullable=False, comment="method and route, or the command"
        ),
        sa.Column("object", sa.String(200), comment="id of the job, the data set or the key"),
        sa.Column(
            "outcome", sa.String(16), nullable=False, comment="done, or the status it got instead"
        ),
        sa.Column("address", sa.String(64), comment="of the client"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])


def downgrade() -> None:
    """Forget whose everything is: without keys it is everybody's."""
    for table in ("audit", "sessions", "api_keys"):
        op.drop_table(table)
    for table in OWNED:
        op.drop_index(op.f(f"ix_{table}_owner_created_at_id"), table)
        # A batch would write SQLite's table anew, and others refer to it.
        op.execute(f"ALTER TABLE {table} DROP COLUMN owner")
