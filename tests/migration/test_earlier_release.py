"""A data folder that an earlier release wrote opens, goes on and answers."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
import pytest
from invariants import check
from safetensors.torch import load

from ridgeway import load_model
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import require_schema
from ridgeway.host.upkeep import prepare_database
from ridgeway.jobs import artifacts, lifecycle, lookups
from ridgeway.jobs.extend import extend_job
from ridgeway.settings import Settings
from ridgeway.views import Job, Trial
from workers.loop.worker import Worker

WRITTEN = Path(__file__).parent / "written"
JOBS = ("succeeded", "paused", "paused, by fista", "killed")
AUTO = JOBS[:3]  # `"lambda": "auto"`
BUDGETS = {"succeeded": 18, "paused": 40, "paused, by fista": 30, "killed": 10}


@dataclass(frozen=True)
class Opened:
    """The data folder, opened by this release."""

    settings: Settings
    database: Database
    store: Store

    def jobs(self) -> dict[str, Job]:
        """Return every job by its name."""
        with self.database.reading() as transaction:
            page = lookups.list_jobs(transaction, cursor=None, limit=100)
        return {job.name: job for job in page.jobs}

    def trials(self, job: Job) -> list[Trial]:
        """Return every trial of a job by its number."""
        with self.database.reading() as transaction:
            page = lookups.list_trials(
                transaction, job.id, state=None, order="number", cursor=None, limit=1000
            )
        return page.trials


@dataclass(frozen=True)
class Seen:
    """A job and its trials at one moment."""

    job: Job
    trials: list[Trial]


@dataclass(frozen=True)
class Continued:
    """The folder as it was found, and after the work that was left in it was done."""

    opened: Opened
    before: Mapping[str, Seen]
    after: Mapping[str, Seen]


def unpack(archive: Path, folder: Path) -> Opened:
    """Open the archived data folder as `ridgeway serve` does, in a folder of its own."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    settings = Settings(data=folder)
    database = Database.of(settings)
    prepare_database(database)
    return Opened(settings, database, Store(settings.resolved_store_url()))


def look(opened: Opened) -> dict[str, Seen]:
    """Read every job with its trials, by the job's name."""
    return {name: Seen(job, opened.trials(job)) for name, job in opened.jobs().items()}


@pytest.fixture(scope="module", params=["595319e"])
def continued(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Continued]:
    """Extend what had succeeded, resume what was paused, and work until nothing is left."""
    opened = unpack(WRITTEN / f"{request.param}.tar.gz", tmp_path_factory.mktemp("data"))
    before = look(opened)
    with opened.database.transaction() as transaction:
        extend_job(transaction, before["succeeded"].job.id, 6)
        lifecycle.resume_job(transaction, before["paused"].job.id)
        lifecycle.resume_job(transaction, before["paused, by fista"].job.id)
    worker = Worker(opened.database, opened.store, opened.settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    yield Continued(opened, before, look(opened))
    opened.database.close()


def test_every_job_and_trial_is_read_as_it_was_left(continued):
    require_schema(continued.opened.database)
    left = {
        name: (seen.job.state, seen.job.progress.complete, seen.job.progress.pruned)
        for name, seen in continued.before.items()
    }
    assert left == {
        "succeeded": ("succeeded", 12, 0),
        "paused": ("paused", 9, 3),
        "paused, by fista": ("paused", 6, 0),
        "killed": ("running", 3, 0),
    }
    counts = {name: len(seen.trials) for name, seen in continued.before.items()}
    assert counts == {"succeeded": 12, "paused": 12, "paused, by fista": 6, "killed": 4}


@pytest.mark.parametrize("name", JOBS)
def test_the_job_ends_with_an_answer_with_no_trial_lost_or_counted_twice(continued, name):
    job = check(continued.opened.database, continued.after[name].job.id, extended=True)
    progress = job.progress
    assert progress.complete + progress.pruned == progress.trials == BUDGETS[name]
    assert [trial.number for trial in continued.after[name].trials] == list(range(BUDGETS[name]))
    assert job.recommended is not None
    assert job.recommended.test.best is not None
    assert job.recommended.test.best > job.recommended.test.baseline


@pytest.mark.parametrize("name", JOBS)
def test_no_trial_from_before_has_changed(continued, name):
    before, after = continued.before[name].trials, continued.after[name].trials
    ended = [trial for trial in before if trial.state != "running"]
    assert ended == after[: len(ended)]
    assert [trial.params for trial in before] == [trial.params for trial in after[: len(before)]]


@pytest.mark.parametrize("name", AUTO)
def test_the_strengths_stay_those_that_the_job_s_plan_found(continued, name):
    before, after = continued.before[name].job, continued.after[name].job
    assert before.lambda_range == after.lambda_range
    assert before.lambda_range is not None
    strengths = [t.params["lambda"] for t in continued.after[name].trials if "lambda" in t.params]
    assert strengths
    assert all(
        before.lambda_range.low <= float(str(each)) <= before.lambda_range.high
        for each in strengths
    )


@pytest.mark.parametrize("name", JOBS)
def test_stock_optuna_reads_the_study(continued, name):
    job = continued.after[name].job
    url = continued.opened.database.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name=job.study, storage=storage)
    best, trials = study.best_trial, study.trials
    storage.engine.dispose()
    assert len(trials) == BUDGETS[name]
    assert job.best is not None
    assert (best.number, best.value) == (job.best.number, job.best.value)


def test_the_extended_job_has_looked_at_its_test_set_twice(continued):
    before, after = continued.before["succeeded"].job, continued.after["succeeded"].job
    assert before.recommended is not None
    assert after.recommended is not None
    assert (before.recommended.test.evaluations, after.recommended.test.evaluations) == (1, 2)
    assert after.recommended.best.value <= before.recommended.best.value


def test_the_checkpoint_of_the_killed_worker_is_gone_when_its_population_has_ended(continued):
    folder = continued.opened.settings.data / "store" / "jobs"
    assert list(folder.glob("*/checkpoints/*")) == []


@pytest.mark.parametrize("name", JOBS)
def test_the_recommended_model_can_be_taken_away(continued, name):
    opened, job = continued.opened, continued.after[name].job
    with opened.database.reading() as transaction:
        artifact = artifacts.find_artifact(transaction, job.id, "model.safetensors")
    assert load(opened.store.get(artifact.address))


def test_the_model_that_the_earlier_release_kept_predicts(continued):
    (file,) = (continued.opened.settings.data / "store").glob("jobs/*/13-1/model.safetensors")
    model = load_model(file)
    row = {name: None for name in model.feature_names_in_}
    shares = model.predict_proba([row, {**row, "depth": 1.0}])
    odds = np.log(shares[:, 1] / shares[:, 0])
    place = model.encoded_names_.tolist().index("depth")
    inputs = model.description.inputs[place]
    fill = inputs.mean if inputs.fill is None else inputs.fill
    assert odds[1] - odds[0] == pytest.approx(model.coef_[0, place] * (1.0 - fill))
