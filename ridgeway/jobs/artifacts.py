"""The files that a job leaves behind in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import artifacts
from ridgeway.errors import NotFound
from ridgeway.jobs.rows import read_job
from ridgeway.views import ENDED

MODEL = "model.safetensors"  # the name of the recommended model
PATH = "path.json"  # of the regularisation path
FEATURES = "features.json"  # of what the recommended model uses


@dataclass(frozen=True)
class Artifact:
    """A file of a job in the store."""

    address: str  # key in the store
    checksum: str
    bytes: int


def find_artifact(transaction: Connection, job_id: str, name: str) -> Artifact:
    """Find a file of the job by its name; NotFound where it has none of that name."""
    job = read_job(transaction, job_id)
    row = transaction.execute(
        sa.select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.name == name)
    ).one_or_none()
    if row is None:
        when = "" if job.state in ENDED else " yet"
        raise NotFound(f"Job {job_id} has no {name}{when}.")
    return Artifact(row.address, row.checksum, row.bytes)


def replace_artifacts(
    transaction: Connection, job_id: str, kept: Mapping[str, Artifact], created_at: float
) -> None:
    """Record an answer's files, by name, in place of those of an earlier answer.

    All of those go: the new answer need not have each, as a refit may diverge.
    """
    transaction.execute(sa.delete(artifacts).where(artifacts.c.job_id == job_id))
    for name, artifact in kept.items():
        row = {"job_id": job_id, "name": name, "created_at": created_at, **asdict(artifact)}
        transaction.execute(sa.insert(artifacts).values(row))
