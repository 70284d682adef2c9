"""Uploaded data sets as jobs use them: which do, and renaming and deleting one for all that.

A data set that is deleted is gone for every call at once, and its table in the store with the next
sweep. While jobs that have ended name it, its row stays, for the profile that their reports show;
its name, which others may take, is then its id, which none may. The row goes with the last job.

Lock order: job, data set. Who gives a job a data set holds it against whoever deletes it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import (
    StoredDataset,
    check_name,
    find_dataset,
    plugin_names,
    profile_of,
)
from ridgeway.data.listing import describe_dataset
from ridgeway.database.clock import now
from ridgeway.database.tables import KEPT, datasets, jobs
from ridgeway.errors import Conflict, InvalidInput, NotFound
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_by
from ridgeway.views import ENDED, Dataset, JobUse

NEWEST = 20  # jobs that a data set tells of


def show_dataset(transaction: Connection, name_or_id: str, caller: Caller = LOCAL) -> Dataset:
    """Return the data set that a job of this `dataset` gets, and which jobs use it; or NotFound.

    Others' data sets and jobs are none to the caller.
    """
    dataset = describe_dataset(transaction, name_or_id, caller)
    ours = jobs_of(dataset.id, dataset.name) & seen_by(caller, jobs.c.owner)
    count = transaction.execute(sa.select(sa.func.count()).where(ours)).scalar_one()
    newest = (jobs.c.created_at.desc(), jobs.c.id.desc())
    query = sa.select(jobs.c.id, jobs.c.name, jobs.c.state).where(ours).order_by(*newest)
    rows = transaction.execute(query.limit(NEWEST)).all()
    used = [JobUse(id=row.id, name=row.name, state=row.state) for row in rows]
    return dataset.model_copy(update={"job_count": count, "jobs": used})


def name_now(transaction: Connection, job: sa.Row[Any]) -> str:
    """Return what the data set of a job's row is called now; NotFound where it is gone.

    Another data set may have the name that it was given then.
    """
    name: str = job.dataset
    if job.dataset_id is None:
        if (other := profile_of(transaction, name)[0]) is not None:
            raise NotFound(f"'{name}' is the upload {other} now.")
        return name
    stored = find_dataset(transaction, job.dataset_id)
    return name if name in (stored.id, stored.name) else stored.name


def rename_dataset(
    transaction: Connection, name_or_id: str, name: str, caller: Caller = LOCAL
) -> Dataset:
    """Give an upload another name; jobs go on with it, under the name that they were given.

    InvalidInput for a name that none may have, Conflict for one that is taken. Others' data sets
    are none to the caller: NotFound.
    """
    check_name(name)
    stored = _lock(transaction, name_or_id, "renamed", caller)
    if name in plugin_names(transaction):
        raise InvalidInput.of("name", name, "is the name of a plug-in's data set")
    try:
        with transaction.begin_nested():
            this = datasets.c.id == stored.id
            transaction.execute(sa.update(datasets).where(this).values(name=name))
    except IntegrityError:
        raise Conflict(f"There is a data set '{name}'; choose another name.") from None
    return show_dataset(transaction, stored.id, caller)


def delete_dataset(transaction: Connection, name_or_id: str, caller: Caller = LOCAL) -> None:
    """Delete an upload; Conflict, which names them, while jobs that have not ended use it.

    Others' data sets are none to the caller: NotFound.
    """
    stored = _lock(transaction, name_or_id, "deleted", caller)
    ours = jobs.c.dataset_id == stored.id
    open_ = sa.select(jobs.c.id, jobs.c.state).where(ours, jobs.c.state.not_in(ENDED))
    found = transaction.execute(open_.order_by(jobs.c.created_at)).all()
    if found:
        named = ", ".join(f"{row.id} ({row.state})" for row in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        told = f"Data set '{stored.name}' is in use by jobs that have not ended: {named}{more}"
        raise Conflict(f"{told}. Cancel them, or wait.")
    gone = {"deleted_at": now(), "name": stored.id}
    transaction.execute(sa.update(datasets).where(datasets.c.id == stored.id).values(gone))
    forget_dataset(transaction, stored.id)


def hold_dataset(transaction: Connection, dataset_id: str) -> bool:
    """Keep an upload from being deleted until the commit; False where it is gone."""
    query = sa.select(datasets.c.id).where(KEPT, datasets.c.id == dataset_id)
    held = query.with_for_update(read=True, key_share=True)
    return transaction.execute(held).first() is not None


def forget_dataset(transaction: Connection, dataset_id: str) -> None:
    """Take away the row of a deleted data set that no job names any more."""
    this = (datasets.c.id == dataset_id) & datasets.c.deleted_at.is_not(None)
    # Of two jobs that go at once, the second finds that it is the last.
    if transaction.execute(sa.select(datasets.c.id).where(this).with_for_update()).first() is None:
        return
    named = sa.select(jobs.c.id).where(jobs.c.dataset_id == dataset_id).limit(1)
    if transaction.execute(named).first() is None:
        transaction.execute(sa.delete(datasets).where(this))


def _lock(transaction: Connection, name_or_id: str, done: str, caller: Caller) -> StoredDataset:
    """Find an upload and hold its row; Conflict for a data set that is not an upload."""
    try:
        stored = find_dataset(transaction, name_or_id, caller)
    except NotFound:
        for kind, names in (
            ("bundled", {*bundled_profiles()}),
            ("plug-in's", plugin_names(transaction)),
        ):
            if name_or_id in names:
                told = f"'{name_or_id}' is a {kind} data set and can't be {done}"
                raise Conflict(f"{told}; uploads can.") from None
        raise
    held = sa.select(datasets.c.id).where(KEPT, datasets.c.id == stored.id).with_for_update()
    if transaction.execute(held).first() is None:
        raise NotFound(f"There is no data set '{name_or_id}'.")
    return stored


def jobs_of(dataset_id: str | None, name: str) -> sa.ColumnElement[bool]:
    """Select the jobs of an upload, whatever it was called then, or of a data set without an id."""
    if dataset_id is not None:
        return jobs.c.dataset_id == dataset_id
    return (jobs.c.dataset == name) & jobs.c.dataset_id.is_(None)
