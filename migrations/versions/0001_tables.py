"""Jobs, leases, workers, data sets and artifacts

Revision: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create our tables."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column(
            "checksum",
            sa.String(length=64),
            nullable=False,
            comment="sha256 of the bytes that came in",
        ),
        sa.Column(
            "stored_checksum",
            sa.String(length=64),
            nullable=False,
            comment="sha256 of the stored table",
        ),
        sa.Column("address", sa.Text(), nullable=False, comment="key in the store"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, comment="that came in"),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False, comment="ridgeway.profiles.DatasetProfile"),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
        sa.UniqueConstraint("name", name=op.f("uq_datasets_name")),
    )
    op.create_table(
        "workers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=50), nullable=False),
        sa.Column("models", sa.JSON(), nullable=False, comment="names that a spec may use"),
        sa.Column("datasets", sa.JSON(), nullable=False, comment="names beside uploaded ones"),
        sa.Column("started_at", sa.Double(), nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False, comment="ridgeway.spec.JobSpec, resolved"),
        sa.Column("model", sa.String(length=200), nullable=False, comment="model.kind, for claims"),
        sa.Column("dataset", sa.String(length=200), nullable=False, comment="as the spec names it"),
        sa.Column(
            "dataset_id", sa.String(length=36), nullable=True, comment="of an uploaded data set"
        ),
        sa.Column(
            "study_id", sa.Integer(), nullable=False, comment="Optuna's; its name is the job's id"
        ),
        sa.Column("trials", sa.Integer(), nullable=False, comment="the budget"),
        sa.Column(
            "claimed", sa.Integer(), nullable=False, comment="trials in leases, of any state"
        ),
        sa.Column("complete", sa.Integer(), nullable=False),
        sa.Column("pruned", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("running", sa.Integer(), nullable=False),
        sa.Column("populations", sa.Integer(), nullable=False, comment="leased so far"),
        sa.Column(
            "population_limit", sa.Integer(), nullable=True, comment="fixed by the first claim"
        ),
        sa.Column(
            "closed", sa.Boolean(), nullable=False, comment="no new populations: out of time"
        ),
        sa.Column(
            "plan",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="what the first worker found out",
        ),
        sa.Column("best", sa.JSON(none_as_null=True), nullable=True, comment="ridgeway.views.Best"),
        sa.Column(
            "recommended",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="ridgeway.views.Recommended",
        ),
        sa.Column(
            "evaluations", sa.Integer(), nullable=False, comment="looks at the sealed test set"
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=True),
        sa.Column(
            "request_checksum",
            sa.String(length=64),
            nullable=True,
            comment="sha256 of the spec as it was asked for",
        ),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("started_at", sa.Double(), nullable=True),
        sa.Column("finished_at", sa.Double(), nullable=True),
        sa.Column("deadline", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_jobs_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_jobs_idempotency_key")),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_jobs_created_at_id"), ["created_at", "id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_jobs_state_priority_created_at"),
            ["state", "priority", "created_at"],
            unique=False,
        )

    op.create_table(
        "artifacts",
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False, comment="model.safetensors"),
        sa.Column("address", sa.Text(), nullable=False, comment="key in the store"),
        sa.Column("checksum", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id")),
        sa.PrimaryKeyConstraint("job_id", "name", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "leases",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="population or answer"),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, comment="of this kind within the job"),
        sa.Column("size", sa.Integer(), nullable=False, comment="trials"),
        sa.Column(
            "first_number",
            sa.Integer(),
            nullable=True,
            comment="numbers are contiguous; null until reserved",
        ),
        sa.Column("worker_id", sa.String(length=36), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False, comment="grows with each holder"),
        sa.Column(
            "attempts", sa.Integer(), nullable=False, comment="holders that did not hand it back"
        ),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_leases_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leases")),
        sa.UniqueConstraint(
            "job_id", "kind", "ordinal", name=op.f("uq_leases_job_id_kind_ordinal")
        ),
    )
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_leases_state_expires_at"), ["state", "expires_at"], unique=False
        )
    # On Optuna's table, ours: populations are addressed by the numbers of their trials.
    op.create_index("ix_ridgeway_trials_study_id_number", "trials", ["study_id", "number"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_ridgeway_trials_study_id_number", "trials")
    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_leases_state_expires_at"))

    op.drop_table("leases")
    op.drop_table("artifacts")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_state_priority_created_at"))
        batch_op.drop_index(batch_op.f("ix_jobs_created_at_id"))

    op.drop_table("jobs")
    op.drop_table("workers")
    op.drop_table("datasets")
