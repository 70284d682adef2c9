"""`ridgeway gc`: room made by deleting what nobody needs, beside whatever runs.

Jobs that ended long ago go as `DELETE /v1/jobs/{id}` lets them go. Files go where no row names them
and none ever will (ridgeway/jobs/leftovers.py): what a running job or an upload has just written is
younger than the grace period, or its lease still runs. Folders of scratch go with dead services,
files of rows that workers of this machine kept when they are old (ridgeway/data/row_files.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from ridgeway.data.row_files import RowFiles
from ridgeway.data.store import Entry, Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import require_schema
from ridgeway.host.scratch import sweep_scratch
from ridgeway.jobs.deletion import delete_some
from ridgeway.jobs.leftovers import Leftovers
from ridgeway.jobs.retention import OldJob, delete_if_old, old_jobs
from ridgeway.settings import Settings

KINDS = ("checkpoints", "models", "data sets")  # of files that nothing names


class Freed(BaseModel):
    """What of one kind was deleted, or would be: how many, and the bytes of their files."""

    model_config = ConfigDict(frozen=True)

    kind: str
    count: int
    bytes: int
    names: list[str]


@dataclass(frozen=True)
class Collection:
    """What to collect: jobs that ended so many seconds ago, if any, and how old files must be."""

    older_than_seconds: float | None
    dry_run: bool = False


def collect(settings: Settings, wanted: Collection) -> list[Freed]:
    """Delete what nobody needs, or with `dry_run` only find it; return it by kind."""
    database, store = Database.of(settings), Store.of(settings)
    try:
        require_schema(database)
        jobs = _old(database, wanted)
        freed = [_jobs(database, store, jobs, wanted)]
        leftovers = Leftovers(database, store, settings.leftover_seconds)
        going = {job.id for job in jobs}  # whose files go with them
        found = [each for each in leftovers.overdue() if each.key.split("/")[1] not in going]
        if not wanted.dry_run:
            found = [each for each in found if leftovers.delete_overdue(each)]
        freed += _by_kind(found)
        freed.append(_uploads(leftovers, wanted))
    finally:
        database.close()
    rows = RowFiles.of(settings).make_room(dry_run=wanted.dry_run)
    scratch = sweep_scratch(dry_run=wanted.dry_run)
    return [*freed, _of_machine("files of rows", rows), _of_machine("scratch", scratch)]


def _of_machine(kind: str, sizes: Sequence[int]) -> Freed:
    return Freed(kind=kind, count=len(sizes), bytes=sum(sizes), names=[])


def _old(database: Database, wanted: Collection) -> list[OldJob]:
    if wanted.older_than_seconds is None:
        return []
    with database.reading() as transaction:
        return old_jobs(transaction, wanted.older_than_seconds)


def _jobs(database: Database, store: Store, found: Sequence[OldJob], wanted: Collection) -> Freed:
    """Delete the old jobs, and wait until their trials and files are gone."""
    seconds, total, names = wanted.older_than_seconds or 0.0, 0, list[str]()
    for job in found:
        held = sum(entry.bytes for entry in store.entries(f"jobs/{job.id}"))
        if wanted.dry_run or delete_if_old(database, job.id, seconds):
            total += held
            names.append(f"{job.id} {job.name}".rstrip())
    if not wanted.dry_run:
        _until_done(lambda: delete_some(database, store))
    return Freed(kind="jobs", count=len(names), bytes=total, names=names)


def _uploads(leftovers: Leftovers, wanted: Collection) -> Freed:
    """Give up the uploads in parts that nobody will end; the store does not tell their bytes."""
    found = leftovers.uploads() if wanted.dry_run else leftovers.abort_uploads()
    names = [each.path for each in found]
    return Freed(kind="unfinished uploads", count=len(names), bytes=0, names=names)


def _until_done(step: Callable[[], bool]) -> None:
    """Take a step until none is left; others get as long to write in as each took."""
    while True:
        begun = time.monotonic()
        if not step():
            return
        time.sleep(time.monotonic() - begun)


def _by_kind(gone: Iterable[Entry]) -> Iterable[Freed]:
    for kind in KINDS:
        own = [entry for entry in gone if _kind(entry) == kind]
        total, names = sum(entry.bytes for entry in own), [entry.key for entry in own]
        yield Freed(kind=kind, count=len(own), bytes=total, names=names)


def _kind(entry: Entry) -> str:
    if entry.key.startswith("datasets/"):
        return "data sets"
    return "checkpoints" if "/checkpoints/" in entry.key else "models"
