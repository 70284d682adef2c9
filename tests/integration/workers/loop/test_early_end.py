"""A job that ends by itself, from its submission to the answer."""

from __future__ import annotations

import re

import numpy as np
import pytest
from submitting import submit_resolved

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.extend import extend_job
from ridgeway.settings import Settings
from ridgeway.spec.validation import FoldsValidation
from ridgeway.study import reading
from ridgeway.study.reading import StudyTrial
from ridgeway.views import Job
from workers.loop.worker import Worker
from workers.population.results import error_of_differences
from workers.sampling.ending import doublings, expected_gain, nearest

TRIALS = 80
LINEAR = {
    "dataset": "wine",
    "model": {"kind": "linear"},
    "search": {"penalty": "l2"},
    "trials": TRIALS,
}


def work(database: Database, settings: Settings, job_id: str) -> tuple[Job, list[StudyTrial]]:
    store = Store(settings.resolved_store_url())
    worker = Worker(database, store, settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        return job, reading.complete_trials(transaction, _study(job))


def _study(job: Job) -> int:
    return int(job.links.dashboard.rpartition("/")[2])


@pytest.fixture
def ended(database: Database, service_settings: Settings) -> tuple[Job, list[StudyTrial]]:
    return work(database, service_settings, submit_resolved(database, **LINEAR, stop="auto"))


def test_it_ends_once_the_rest_is_worth_less_than_a_tenth_of_the_error(
    database: Database, service_settings: Settings, ended: tuple[Job, list[StudyTrial]]
) -> None:
    job, trials = ended
    assert job.state == "succeeded", job.error
    assert job.recommended is not None
    count = len(trials)
    assert 20 <= count < TRIALS
    assert job.progress.running == job.progress.failed == 0
    told = re.fullmatch(
        r"The search ended by itself: further trials were expected to gain (\S+), less than a "
        r"tenth of (\S+), the standard error of differences between the best ones; the answer "
        rf"rests on {count} of {TRIALS} trials\.",
        job.warnings[-1],
    )
    assert told is not None, job.warnings
    losses = np.array([trial.value for trial in trials], float)
    gain = expected_gain(losses, doublings(count, TRIALS))
    near = [trials[index].facts.fold_values or [] for index in nearest(losses)]
    error = error_of_differences(near, FoldsValidation())
    assert gain <= 0.1 * error
    assert (float(told[1]), float(told[2])) == pytest.approx((gain, error), rel=0.06)

    # The same trials as those of a job that goes on, which gains no more than was expected.
    _, whole = work(database, service_settings, submit_resolved(database, **LINEAR))
    assert len(whole) == TRIALS
    assert [t.params for t in whole[:count]] == [t.params for t in trials]
    assert losses.min() - min(trial.value or 0.0 for trial in whole) <= 0.1 * error

    # More trials are trained where they are asked for, and it is asked again.
    with database.transaction() as transaction:
        extend_job(transaction, job.id, TRIALS)
    extended, more = work(database, service_settings, job.id)
    assert extended.state == "succeeded"
    assert count <= len(more) <= 2 * TRIALS
