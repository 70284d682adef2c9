"""The files that a job leaves behind in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.answers import Chosen, ModelRole, Recommended
from ridgeway.database.tables import artifacts
from ridgeway.errors import NotFound
from ridgeway.jobs.rows import read_job
from ridgeway.jobs.stored import read_recommended
from ridgeway.views import ENDED

MODEL = "model.safetensors"  # the name of the recommended model
LINEAR = "model-linear.safetensors"  # of the linear model beside a net
BASELINE = "model-baseline.safetensors"  # of the constant
PATH = "path.json"  # of the regularisation path
FEATURES = "features.json"  # of what the recommended model uses
SHOWN = "shown.json"  # of what pictures alone show


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


def trial_model(number: int) -> str:
    """Return the name of the refitted model of a trial that is not the recommended one."""
    return f"model-trial-{number}.safetensors"


def model_names(answer: Recommended) -> dict[ModelRole, str]:
    """Return the names of the models of an answer's roles; roles of one trial share one.

    The recommended one is a trial's, unless that was debiased, or the constant.
    """
    trials: dict[ModelRole, Chosen | None] = {
        "simplest": answer.simplest,
        "best": answer.best,
        "none": answer.none,
    }
    is_trials = answer.choice != "baseline" and answer.debias is None
    recommended = trials[answer.choice] if is_trials else None
    names: dict[ModelRole, str] = {"recommended": MODEL}
    for role, chosen in trials.items():
        if chosen is not None:
            same = recommended is not None and chosen.number == recommended.number
            names[role] = MODEL if same else trial_model(chosen.number)
    if answer.linear is not None:
        names["linear"] = LINEAR
    names["baseline"] = MODEL if answer.choice == "baseline" else BASELINE
    return names


def find_model(transaction: Connection, job_id: str, role: ModelRole) -> Artifact:
    """Find the model of a role; NotFound names the roles whose models the job has.

    Answers of earlier releases kept the recommended one alone.
    """
    answer = read_recommended(read_job(transaction, job_id).recommended)
    if answer is None or role == "recommended":
        return find_artifact(transaction, job_id, MODEL)
    names = model_names(answer)
    query = sa.select(artifacts.c.name).where(artifacts.c.job_id == job_id)
    kept = set(transaction.execute(query).scalars())
    has = [each for each, own in names.items() if own in kept]
    if role not in has:
        told = ", ".join(has) or "none"
        raise NotFound(f"Job {job_id} has no model of the role {role!r}; it has: {told}.")
    return find_artifact(transaction, job_id, names[role])


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
