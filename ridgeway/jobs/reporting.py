"""What a job's report is made of, read out of the database and the store."""

from __future__ import annotations

from sqlalchemy.engine import Connection

from ridgeway.data.bundled import BUNDLED
from ridgeway.data.catalogue import dataset_by_id, profile_of
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import Conflict, InvalidInput, NotFound, Unreadable
from ridgeway.jobs.artifacts import MODEL, Artifact, find_artifact
from ridgeway.jobs.evidence import read_evidence
from ridgeway.jobs.lookups import find_trial
from ridgeway.jobs.rows import read_job
from ridgeway.model.file import Description, describe
from ridgeway.plots.evidence import Evidence
from ridgeway.report.material import Material
from ridgeway.report.page import without_answer
from ridgeway.report.verdict import chosen_of
from ridgeway.spec.profiles import DatasetProfile

LARGEST_HEADER = 2**26  # bytes of what a model's file says of it


def read_material(database: Database, store: Store, job_id: str) -> Material:
    """Gather what the report of a job tells.

    NotFound where there is no such job, Conflict where it has no answer, Unreadable where another
    release wrote its spec or files.
    """
    evidence = read_evidence(database, store, job_id)
    if evidence.answer is None:
        raise Conflict(without_answer(evidence))
    with database.reading() as transaction:
        profile = _profile(transaction, evidence)
        artifact = _model(transaction, job_id)
        epochs = _epochs(transaction, evidence)
    description = None if artifact is None else _description(store, artifact)
    bundled = evidence.spec.dataset in BUNDLED
    return Material(evidence, profile, description, epochs, bundled)


def _profile(transaction: Connection, evidence: Evidence) -> DatasetProfile | None:
    """Return the profile of the job's data set, by its id where it is an upload."""
    row = read_job(transaction, evidence.job.id)
    try:
        if row.dataset_id is not None:
            return dataset_by_id(transaction, row.dataset_id).profile
        dataset_id, profile = profile_of(transaction, row.dataset)
        return profile if dataset_id is None else None  # an upload that took a plug-in's name
    except (NotFound, Unreadable):  # of a plug-in that is gone, or another release's
        return None


def _model(transaction: Connection, job_id: str) -> Artifact | None:
    try:
        return find_artifact(transaction, job_id, MODEL)
    except NotFound:  # its refit diverged
        return None


def _epochs(transaction: Connection, evidence: Evidence) -> int | None:
    """Return the epoch that the recommended trial's value is of, where training ends early."""
    chosen = chosen_of(evidence.answer) if evidence.answer is not None else None
    if chosen is None or evidence.spec.early_stopping is None:
        return None
    try:
        found = find_trial(transaction, evidence.job.id, chosen.number)
    except NotFound:
        return None
    epoch = found.attributes.get("best_epoch")
    return epoch if isinstance(epoch, int) else None


def _description(store: Store, artifact: Artifact) -> Description | None:
    """Read the header of the model's file: the tensors behind it may be large."""
    with store.open(artifact.address) as file:
        length = file.read(8)
        header = file.read(min(int.from_bytes(length, "little"), LARGEST_HEADER))
    try:
        return describe(length + header)
    except (InvalidInput, Unreadable):
        return None
