"""Jobs for tests, put into the database as the service does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import dataset_by_id, ingest
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs.datasets import delete_dataset
from ridgeway.jobs.lifecycle import cancel_job, submit_job
from ridgeway.jobs.warm_starts import find_lessons
from ridgeway.settings import Settings
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec


def submit(database: Database, trials: int = 20, **fields: Any) -> str:
    """Queue a job on `digits`, or another data set; return its id. None leaves a field out.

    Its spec is as it was sent, which suits workers that do not train.
    """
    with database.transaction() as transaction:
        spec = _spec({"trials": trials, **fields})
        return submit_job(transaction, spec, lessons=find_lessons(transaction, spec, None))


def submit_resolved(database: Database, **fields: Any) -> str:
    """Queue a job on a bundled data set whose spec has its target and task; return its id."""
    spec = _spec(fields)
    check_spec(spec)
    with database.transaction() as transaction:
        return submit_job(transaction, resolve_spec(spec, bundled_profiles()[spec.dataset]))


def end_on_deleted(database: Database, store: Store, folder: Path) -> str:
    """An ended job on an upload that was deleted and swept; return the table's key in the store."""
    file = folder / "deleted.csv"
    file.write_text("a,b\n1,2\n3,4\n5,7\n")
    dataset = ingest(database, store, Settings(data=folder), file, "deleted")
    with database.transaction() as transaction:
        spec = _spec({"dataset": "deleted"})
        cancel_job(transaction, submit_job(transaction, spec, dataset_id=dataset.id))
        address = dataset_by_id(transaction, str(dataset.id)).address
        delete_dataset(transaction, "deleted")
    store.delete(address)
    return address


def _spec(fields: dict[str, Any]) -> JobSpec:
    given = {name: value for name, value in fields.items() if value is not None}
    return parse_spec({"dataset": "digits", **given})
