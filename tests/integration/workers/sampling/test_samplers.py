"""Every sampler through a real worker, and studies that stock Optuna writes into as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import RDBStorage

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.claiming import claim
from ridgeway.jobs.holding import trials_before
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.jobs.lookups import list_trials
from ridgeway.jobs.sizes import Sizes
from ridgeway.settings import Settings
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from ridgeway.views import Job, Trial
from workers.loop.worker import Worker
from workers.sampling import Mirror

SMALL = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "trials": 12,
    "epochs": 1,
    "validation": {"kind": "holdout"},
}
CHOICES = {"lambda": [1e-3, 1e-2], "l1_ratio": [0.2, 0.8], "weight_decay": 0.01}
GRID = {"penalty": ["none", "l1", "elastic_net"], "learning_rate": 0.01, **CHOICES}


def resolved(fields: dict[str, Any]) -> JobSpec:
    spec = parse_spec({**SMALL, **fields})
    return resolve_spec(spec, bundled_profiles()[spec.dataset])


def searched(
    database: Database, folder: Path, workers: int = 1, **fields: Any
) -> tuple[Job, list[Trial]]:
    """Train a job by so many workers in turn; return it after its last trial, and its trials."""
    with database.transaction() as transaction:
        job_id = submit_job(transaction, resolved(fields))
    settings = Settings(data=folder, max_population=4)
    store = Store(settings.resolved_store_url())
    crew = [Worker(database, store, settings, lifecycle.new_id(), "cpu") for _ in range(workers)]
    while any([worker.work_once() for worker in crew]):
        pass
    with database.reading() as transaction:
        page = list_trials(transaction, job_id, state=None, order="number", cursor=None, limit=100)
        return lookups.find_job(transaction, job_id), page.trials


# What a sampler proposes has nothing to do with the kind of database.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_a_sampler_takes_a_job_to_its_answer(database, tmp_path, sampler):
    job, trials = searched(database, tmp_path, sampler=sampler)
    assert (job.state, job.error) == ("succeeded", None)
    assert [trial.number for trial in trials] == list(range(12))
    for trial in trials:
        assert ("lambda" in trial.params) == (trial.params["penalty"] != "none")
        assert ("l1_ratio" in trial.params) == (trial.params["penalty"] == "elastic_net")


@on_sqlite
@pytest.mark.parametrize("workers", [1, 3])
def test_a_grid_is_tried_once_each_and_ends_its_job(database, tmp_path, workers):
    job, trials = searched(database, tmp_path, workers, sampler="grid", trials=100, search=GRID)
    assert (job.state, job.error) == ("succeeded", None)
    assert job.progress.trials == job.progress.complete == 1 + 2 + 4
    assert any("7 points" in warning for warning in job.warnings)
    met = [tuple(sorted(trial.params.items(), key=str)) for trial in trials]
    assert len(met) == len(set(met)) == 7


@on_sqlite
def test_a_budget_smaller_than_the_grid_takes_a_part_of_it(database, tmp_path):
    job, trials = searched(database, tmp_path, sampler="grid", trials=5, search=GRID)
    assert (job.state, job.progress.trials, len(trials)) == ("succeeded", 5, 5)
    assert len({str(trial.params) for trial in trials}) == 5


@on_sqlite
@pytest.mark.parametrize("sampler", ["qmc", "grid"])
def test_workers_share_one_sequence(database, tmp_path, sampler):
    fields = {"sampler": sampler, "trials": 7, "search": GRID if sampler == "grid" else {}}
    alone = searched(database, tmp_path / "a", **fields)[1]
    together = searched(database, tmp_path / "b", workers=3, **fields)[1]
    assert [trial.params for trial in together] == [trial.params for trial in alone]


def test_a_population_knows_its_place_before_the_one_ahead_is_reserved(database):
    with database.transaction() as transaction:
        submit_job(transaction, resolved({"trials": 100}))
        offers = frozenset({"linear"}), frozenset({"breast_cancer"})
        claimant = Claimant("w", *offers, Sizes(4, 64), 30, 5)
        held = [claim(transaction, claimant) for _ in range(4)]
        assert [trials_before(transaction, lease) for lease in held if lease] == [0, 4, 12, 22]


def test_trials_of_stock_optuna_teach_and_its_other_parameters_do_not(
    database, database_url, tmp_path
):
    spec = resolved({"sampler": "tpe", "search": {"lambda": {"low": 1e-4, "high": 1, "log": True}}})
    space = search_space(spec, None)
    with database.transaction() as transaction:
        job_id = submit_job(transaction, spec)
        study_id = lookups.find_job(transaction, job_id).study
    storage = RDBStorage(database_url)
    study = optuna.load_study(study_name=study_id, storage=storage)
    mirror = Mirror(spec, study._study_id)

    def follow() -> Any:
        with database.reading() as transaction:
            mirror.sync(transaction)
        return mirror.table.history(space, mirror.table.comparable(space), False)

    asked = study.ask(space)
    study.add_trial(optuna.create_trial(params={"x": 1.0}, distributions={"x": _X}, value=0.0))
    assert follow().tiers.tolist() == [np.iinfo(np.int64).max]  # pending; `x` is not ours
    study.tell(asked, 0.25)
    for value in (float("inf"), None):
        state = optuna.trial.TrialState.FAIL if value is None else None
        study.tell(study.ask(space), value, state=state)
    history = follow()
    assert history.values[:1].tolist() == [0.25]
    assert (history.tiers[1:] > history.tiers[0]).all()
    assert history.columns["lambda"][0] == asked.params["lambda"]
    assert mirror.params(0, 1) == [asked.params]
    storage.remove_session()
    storage.engine.dispose()


_X = optuna.distributions.FloatDistribution(0, 2)
