"""Our tables in the study database, beside Optuna's own.

Times are seconds since 1970 by the database's clock; no other clock is compared with them.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from ridgeway.database.clock import SECONDS

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_OPTIONAL_JSON = sa.JSON(none_as_null=True)
_DOUBLE: sa.Double[float] = sa.Double()

datasets = Table(
    "datasets",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("name", sa.String(200), nullable=False, unique=True),
    Column("checksum", sa.String(64), nullable=False, comment="sha256 of the bytes that came in"),
    Column("stored_checksum", sa.String(64), nullable=False, comment="sha256 of the stored table"),
    Column("address", sa.Text, nullable=False, comment="key in the store"),
    Column("bytes", sa.BigInteger, nullable=False, comment="that came in"),
    Column("rows", sa.BigInteger, nullable=False),
    Column("column_count", sa.Integer, nullable=False),
    Column("target", sa.Text, nullable=False, comment="the column predicted by default"),
    Column("task", sa.String(16), nullable=False, comment="that this target implies"),
    Column("profile", sa.JSON, nullable=False, comment="ridgeway.profiles.DatasetProfile"),
    Column("created_at", SECONDS, nullable=False),
    Column("deleted_at", SECONDS, comment="since then only jobs that have ended name it"),
    Column("owner", sa.String(36), comment="id of the key that brought it; none without keys"),
    Index(None, "created_at", "id"),
    Index(None, "owner", "created_at", "id"),
)

# Of a data set that was not deleted. The row of one that was stays while jobs name it, without a
# file; its bytes count for nobody.
KEPT = datasets.c.deleted_at.is_(None)

jobs = Table(
    "jobs",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("name", sa.Text, nullable=False),
    Column("state", sa.String(16), nullable=False),
    Column("priority", sa.Integer, nullable=False),
    Column("spec", sa.JSON, nullable=False, comment="ridgeway.spec.JobSpec, resolved"),
    Column("model", sa.String(200), nullable=False, comment="model.kind, for claims"),
    Column("dataset", sa.String(200), nullable=False, comment="as the spec names it"),
    Column(
        "dataset_id", sa.String(36), ForeignKey("datasets.id"), comment="of an uploaded data set"
    ),
    Column("study_id", sa.Integer, nullable=False, comment="Optuna's; its name is the job's id"),
    Column("trials", sa.Integer, nullable=False, comment="the budget"),
    Column("claimed", sa.Integer, nullable=False, comment="trials in leases, of any state"),
    Column("complete", sa.Integer, nullable=False),
    Column("pruned", sa.Integer, nullable=False),
    Column("failed", sa.Integer, nullable=False),
    Column("running", sa.Integer, nullable=False),
    Column("populations", sa.Integer, nullable=False, comment="leased so far"),
    Column("population_limit", sa.Integer, comment="read by workers of earlier releases"),
    Column("closed", sa.Boolean, nullable=False, comment="no new populations: out of time"),
    Column("plan", _OPTIONAL_JSON, comment="what the first worker found out"),
    Column("best", _OPTIONAL_JSON, comment="ridgeway.views.Best"),
    Column("recommended", _OPTIONAL_JSON, comment="ridgeway.views.Recommended"),
    Column("evaluations", sa.Integer, nullable=False, comment="looks at the sealed test set"),
    Column("error", sa.Text),
    Column("warnings", sa.JSON, nullable=False),
    Column("idempotency_key", sa.String(200), unique=True),
    Column("request_checksum", sa.String(64), comment="sha256 of the spec as it was asked for"),
    Column("created_at", SECONDS, nullable=False),
    Column("started_at", SECONDS),
    Column("finished_at", SECONDS),
    Column("deadline", SECONDS),
    Column("owner", sa.String(36), comment="id of the key that submitted it; none without keys"),
    Column("trained_from", SECONDS, comment="when there was a plan, and training began"),
    Column("told_at", SECONDS, comment="when trials last ended, for the job's pace"),
    Column(
        "virtual_time",
        _DOUBLE,
        nullable=False,
        server_default="0",
        comment="seconds of workers that it was charged, from where it started",
    ),
    Column("lease_seconds", _DOUBLE, comment="that its populations take of a worker, of late"),
    Index(None, "state", "priority", "created_at"),
    Index(None, "created_at", "id"),
    Index(None, "dataset_id"),
    Index(None, "owner", "created_at", "id"),
)

leases = Table(
    "leases",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("job_id", sa.String(36), ForeignKey("jobs.id"), nullable=False),
    Column("kind", sa.String(16), nullable=False, comment="population or answer"),
    Column("state", sa.String(16), nullable=False),
    Column("ordinal", sa.Integer, nullable=False, comment="of this kind within the job"),
    Column("size", sa.Integer, nullable=False, comment="trials"),
    Column("first_number", sa.Integer, comment="numbers are contiguous; null until reserved"),
    Column("worker_id", sa.String(36)),
    Column("fence", sa.Integer, nullable=False, comment="grows with each holder"),
    Column("attempts", sa.Integer, nullable=False, comment="holders that did not hand it back"),
    Column("expires_at", SECONDS, nullable=False),
    Column("checkpoint", sa.Text, comment="key in the store; of the population in mid-training"),
    Column("created_at", SECONDS, nullable=False),
    Column("lost_because", sa.Text, comment="why a holder was lost, where it is known"),
    Column("share", _DOUBLE, comment="0 to 1: how much of the training is done, if known"),
    Column("finished_at", SECONDS, comment="when it was done"),
    Column("told_at", SECONDS, comment="when that was told"),
    Column("charged", _DOUBLE, comment="seconds, to its last holder"),
    Column("held_from", SECONDS, comment="when that one claimed it"),
    UniqueConstraint("job_id", "kind", "ordinal"),
    Index(None, "job_id", "state"),
    Index(None, "state", "expires_at"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("host", sa.Text, nullable=False),
    Column("pid", sa.Integer, nullable=False),
    Column("device", sa.Text, nullable=False),
    Column("version", sa.String(50), nullable=False),
    Column("models", sa.JSON, nullable=False, comment="names that a spec may use"),
    Column("datasets", sa.JSON, nullable=False, comment="names beside uploaded ones"),
    Column("penalties", sa.JSON, comment="names; none where an earlier release started it"),
    Column("measures", _OPTIONAL_JSON, comment="ridgeway.measures.Measures since its start"),
    Column("unreadable", _OPTIONAL_JSON, comment="jobs that it can't read: why, by their ids"),
    Column(
        "store_outage",
        _OPTIONAL_JSON,
        comment="since when the store does not answer it, why, and a job that needs it",
    ),
    Column("started_at", SECONDS, nullable=False),
    Column("seen_at", SECONDS, nullable=False),
)

# What workers measured whose rows are gone.
retired_measures = Table(
    "retired_measures",
    metadata,
    Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="1: one row"),
    Column("measures", sa.JSON, nullable=False, comment="ridgeway.measures.Measures"),
)

# Who is to be told of a job's end; the row waits from the job's submission on.
notifications = Table(
    "notifications",
    metadata,
    Column("id", sa.String(36), primary_key=True, comment="a webhook-id, whatever the try"),
    Column("job_id", sa.String(36), ForeignKey("jobs.id"), nullable=False),
    Column("url", sa.Text, nullable=False),
    Column("state", sa.String(16), nullable=False, comment="waiting, sent or given_up"),
    Column("attempts", sa.Integer, nullable=False),
    Column("first_at", SECONDS, comment="the first try"),
    Column("due_at", SECONDS, nullable=False, comment="the next try, or a lease's end"),
    Index(None, "job_id"),
    Index(None, "state", "due_at"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", sa.String(36), ForeignKey("jobs.id"), primary_key=True),
    Column("name", sa.String(100), primary_key=True, comment="model.safetensors"),
    Column("address", sa.Text, nullable=False, comment="key in the store"),
    Column("checksum", sa.String(64), nullable=False),
    Column("bytes", sa.BigInteger, nullable=False),
    Column("created_at", SECONDS, nullable=False),
)

# Gone for everybody; a sweeper deletes their trials and files.
deleted_jobs = Table(
    "deleted_jobs",
    metadata,
    Column("job_id", sa.String(36), primary_key=True),
    Column("study_id", sa.Integer, nullable=False, comment="Optuna's; its trials go in slices"),
    Column("deleted_at", SECONDS, nullable=False),
)

# What workers measured: how many members of a model should share a step on a device.
shared_steps = Table(
    "shared_steps",
    metadata,
    Column("shape", sa.String(64), primary_key=True, comment="digest of the model's sizes"),
    Column("device", sa.String(200), primary_key=True, comment="its make"),
    Column("together", sa.Integer, nullable=False, comment="members"),
    Column("measured_at", SECONDS, nullable=False),
)

# Triggers on Optuna's `trial_values` keep it, whoever writes there.
ranked_trials = Table(
    "ranked_trials",
    metadata,
    Column("trial_id", sa.Integer, primary_key=True, autoincrement=False),
    Column("study_id", sa.Integer, nullable=False),
    Column(
        "signed_value",
        _DOUBLE,
        nullable=False,
        comment="of the first objective; the lower the better",
    ),
    Index(None, "study_id", "signed_value", "trial_id"),
)

# Never deleted, only revoked: what a key made goes on naming it.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", sa.String(36), primary_key=True),
    Column("prefix", sa.String(8), nullable=False, unique=True, comment="by which it is known"),
    Column("hash", sa.String(64), nullable=False, comment="sha256 of the whole key"),
    Column("name", sa.String(200), nullable=False, comment="whose it is, or what for"),
    Column("scope", sa.String(16), nullable=False, comment="read, submit or admin"),
    Column("open_jobs", sa.Integer, comment="most at a time; none for no limit, as below"),
    Column("trials", sa.Integer, comment="most in its open jobs together"),
    Column("bytes", sa.BigInteger, comment="most of its data sets together"),
    Column("requests_per_minute", sa.Integer),
    Column("created_at", SECONDS, nullable=False),
    Column("expires_at", SECONDS),
    Column("revoked_at", SECONDS),
    Column("used_at", SECONDS, comment="written every few minutes"),
    Column("weight", sa.Integer, nullable=False, server_default="1", comment="of its share"),
)

# What the jobs of each key, or of none, had of the workers: ridgeway/jobs/accounts.py.
accounts = Table(
    "accounts",
    metadata,
    Column("owner", sa.String(36), primary_key=True, comment="a key's id; '' without one"),
    Column("virtual_time", _DOUBLE, nullable=False, comment="seconds of workers by weight"),
    Column("reached", _DOUBLE, nullable=False, comment="where its last claim began"),
    Column("jobs_reached", _DOUBLE, nullable=False, comment="the same among its jobs"),
    Column("began", sa.Boolean, nullable=False, comment="its last claim began a job"),
    Index(None, "reached"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", sa.String(64), primary_key=True, comment="sha256 of the cookie"),
    Column("key_id", sa.String(36), ForeignKey("api_keys.id"), nullable=False),
    Column("created_at", SECONDS, nullable=False),
    Column("expires_at", SECONDS, nullable=False),
    Index(None, "key_id", "expires_at"),
)

audit = Table(
    "audit",
    metadata,
    Column("id", sa.Integer, primary_key=True),
    Column("at", SECONDS, nullable=False),
    Column("key_id", sa.String(36), comment="none for a command, and without keys"),
    Column("actor", sa.String(16), nullable=False, comment="the key's prefix, or local"),
    Column("action", sa.String(200), nullable=False, comment="method and route, or the command"),
    Column("object", sa.String(200), comment="id of the job, the data set or the key"),
    Column("outcome", sa.String(16), nullable=False, comment="done, or the status it got instead"),
    Column("address", sa.String(64), comment="of the client"),
    Index(None, "at"),
)
