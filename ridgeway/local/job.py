"""A job from its submission to its answer, in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from sqlalchemy.engine import Connection

from ridgeway.client.pictures import Picture
from ridgeway.data.catalogue import StoredDataset, Upload, add_dataset, find_dataset
from ridgeway.data.judging import judged_profile
from ridgeway.data.store import sha256
from ridgeway.data.tables import Table, to_parquet
from ridgeway.errors import InvalidInput, JobFailed, NotFound, RidgewayError
from ridgeway.features import Features
from ridgeway.fleet import require_offered
from ridgeway.jobs import artifacts, lifecycle, lookups
from ridgeway.jobs.own_trials import own_complete_trials
from ridgeway.jobs.rows import read_job, update_job
from ridgeway.jobs.warm_starts import Lessons, find_lessons
from ridgeway.local.folder import Kept, Place, keep, opened
from ridgeway.local.interrupts import kept_interrupts
from ridgeway.local.protocol import fitted
from ridgeway.local.reporting import plot_of, report_of
from ridgeway.local.working import Crew, work
from ridgeway.paths import RegularisationPath
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.memory import study_in_memory
from ridgeway.study.reading import StudyTrial
from ridgeway.views import Job

# Above a job that an interrupted process left in a kept folder: somebody waits for this one.
PRIORITY = 100


@dataclass(frozen=True)
class Finished:
    """A job that has succeeded, and what it leaves. model: its file's bytes."""

    job: Job
    trials: tuple[StudyTrial, ...]  # own ones that are complete, by number
    model: bytes | None = field(repr=False)
    path: RegularisationPath | None = field(repr=False)
    features: Features | None = field(repr=False)
    kept: Kept = field(repr=False)

    def study(self) -> optuna.Study:
        """Return the job's study as one in memory, with every trial that has ended."""
        with self.kept.opened() as place, place.database.reading() as transaction:
            return study_in_memory(transaction, self.job.id)

    def report(self, model: str | None = None) -> str | None:
        """Return the job's report, an HTML page; None where nothing here makes one.

        model: the name of the model's file where it lies beside the page.
        """
        with self.kept.opened() as place:
            return report_of(place, self.job.id, model)

    def plot(self, name: str) -> Picture:
        """Return a plot of the job, which notebooks show and `save` writes (docs/plots.md)."""
        with self.kept.opened() as place:
            return plot_of(place, self.job.id, name)


@dataclass(frozen=True)
class Rows:
    """The rows of a job: a canonical table, what it is called, and what is to be said of it.

    typed: whether their owner gave numbers as such: then all of them are inputs.
    """

    name: str
    table: Table
    notes: tuple[str, ...] = ()
    typed: bool = False


def run(rows: Rows, fields: Mapping[str, Any], crew: Crew, folder: Path | None = None) -> Finished:
    """Run a job of these rows and fields of a spec; return it when it has its answer.

    folder: where study, data set and model are kept; by default nowhere. InvalidInput for what the
    door of a service refuses too, JobFailed with the job's own words where it ends without answer.
    Interrupted at the keyboard it ends, with all processes, and leaves a cancelled job at most.
    """
    upload, data = _upload(rows)
    own = {"name": rows.name, "priority": PRIORITY, **fields, "dataset": upload.name}
    spec = parse_spec(own)
    check_spec(spec)
    if spec.notify:
        message = "are told by a service, and this job has none; accepted: []"
        raise InvalidInput.of("notify", [each.url for each in spec.notify], message)
    spec, notes = fitted(spec, upload.profile)
    spec = resolve_spec(spec, upload.profile)
    with kept_interrupts() as interrupts, opened(folder) as place:
        with place.database.reading() as transaction:
            require_offered(transaction, spec)
            stored = _stored(transaction, upload.name)
            lessons = find_lessons(transaction, spec, None if stored is None else stored.id)
        place.store.put(upload.address, data)
        with place.database.transaction() as transaction:
            job_id = _submit(transaction, upload, spec, lessons)
            _note(transaction, job_id, [*rows.notes, *notes])
        try:
            work(place, job_id, spec.timeout_seconds, crew, interrupts)
        except BaseException:
            with suppress(RidgewayError), place.database.transaction() as transaction:
                lifecycle.cancel_job(transaction, job_id)
            raise
        return _finished(place, job_id, folder)


def _upload(rows: Rows) -> tuple[Upload, bytes]:
    """Return the rows as a data set, named by what it holds, and its bytes.

    A kept folder may have other rows of this name, or the same ones: looks at those are counted.
    """
    data = to_parquet(rows.table)
    checksum = sha256(data)
    name, address = f"{rows.name}-{checksum[:8]}", f"datasets/{checksum}.parquet"
    profile = judged_profile(rows.table, numbers=not rows.typed)
    return Upload(name, checksum, checksum, address, len(data), profile), data


def _submit(transaction: Connection, upload: Upload, spec: JobSpec, lessons: Lessons | None) -> str:
    stored = _stored(transaction, upload.name) or add_dataset(transaction, upload)
    return lifecycle.submit_job(transaction, spec, lessons=lessons, dataset_id=stored.id)


def _stored(transaction: Connection, name: str) -> StoredDataset | None:
    """Return a data set of a kept folder; None where it has none of this name yet."""
    with suppress(NotFound):
        return find_dataset(transaction, name)
    return None


def _note(transaction: Connection, job_id: str, notes: Sequence[str]) -> None:
    told = read_job(transaction, job_id).warnings
    update_job(transaction, job_id, warnings=[*told, *notes])


def _finished(place: Place, job_id: str, folder: Path | None) -> Finished:
    """Read what an ended job leaves; JobFailed where it has no answer."""
    with place.database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        if job.state != "succeeded":
            raise JobFailed(job.error or f"The job was {job.state}.")
        study_id = lookups.study_of(transaction, job_id)
        trials = own_complete_trials(transaction, job_id, study_id)
        names = (artifacts.MODEL, artifacts.PATH, artifacts.FEATURES)
        model, path, features = (_left(transaction, place, job_id, name) for name in names)
    return Finished(
        job=job,
        trials=tuple(trials),
        model=model,
        path=None if path is None else RegularisationPath.model_validate_json(path),
        features=None if features is None else Features.model_validate_json(features),
        kept=keep(place, folder, f"jobs/{job_id}"),
    )


def _left(transaction: Connection, place: Place, job_id: str, name: str) -> bytes | None:
    with suppress(NotFound):
        return place.store.get(artifacts.find_artifact(transaction, job_id, name).address)
    return None
