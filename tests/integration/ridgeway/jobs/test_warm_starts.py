"""A job that learns from another's trials, and studies that come from elsewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import submitting
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import create_trial

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import Upload, add_dataset
from ridgeway.database.engine import Database
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs import claiming, holding, lifecycle, lookups, warm_starts
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.datasets import rename_dataset
from ridgeway.jobs.fronts import find_front
from ridgeway.jobs.own_trials import own_numbers
from ridgeway.jobs.sizes import Sizes
from ridgeway.spec.wording import parse_spec
from ridgeway.study.distributions import search_space
from ridgeway.study.facts import TrialFacts
from ridgeway.study.imports import import_study
from ridgeway.study.writing import Outcome
from workers.sampling import Mirror

CLAIMANT = Claimant(
    "worker-1", frozenset({"mlp"}), frozenset({"digits", "wine"}), Sizes(4, 8), 30.0, 3
)
SEARCH = {"penalty": ["none", "l1"], "lambda": {"low": 1e-6, "high": 1.0, "log": True}}
RATE = FloatDistribution(1e-4, 1e-1, log=True)
SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
    "learning_rate": RATE,
    "weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
}
PARAMS = {"penalty": "l1", "lambda": 0.5, "learning_rate": 0.01, "weight_decay": 1e-4}


submit = partial(submitting.submit, search=SEARCH)


def work_off(database: Database) -> None:
    """Every trial of every job; the fourth of each population fails."""
    while True:
        with database.transaction() as transaction:
            lease = claiming.claim(transaction, CLAIMANT)
            if lease is None or lease.kind == "answer":
                return
            first = holding.reserve(transaction, lease, [PARAMS] * lease.size, SPACE)
            outcomes = [
                Outcome(number, None if number % 4 == 3 else 1.0 + number % 7, [2.0], _COUNTED)
                for number in range(first, first + lease.size)
            ]
            holding.finish_population(transaction, lease, outcomes)


_COUNTED = TrialFacts(nonzero_weights=3, weights=5)


def stock(database: Database) -> optuna.storages.RDBStorage:
    return optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))


def test_a_warm_start_teaches_the_sampler_and_counts_in_nothing(database):
    source = submit(database)
    work_off(database)
    job_id = submit(database, warm_start={"job": source}, dataset="wine")
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        study_id = lookups.study_of(transaction, job_id)
        copied = lookups.list_trials(
            transaction, job_id, state=None, order="number", cursor=None, limit=50
        ).trials
        mirror = Mirror(job.spec, study_id)
        mirror.sync(transaction)
        front = find_front(transaction, job_id)
    assert (job.progress.complete, job.progress.running, job.best) == (0, 0, None)
    assert front.trials == []
    assert [trial.number for trial in copied] == list(range(15))
    assert {(trial.state, trial.warm_start) for trial in copied} == {("complete", source)}
    assert {trial.reason for trial in copied} == {None}
    space = search_space(job.spec, None)
    learned = mirror.propose(space, 4, 0, 0)
    assert learned != Mirror(job.spec, study_id).propose(space, 4, 0, 0)

    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, source)
    work_off(database)
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        own = own_numbers(transaction, job_id)
    assert own == set(range(15, 35))
    assert job.progress.complete + job.progress.failed == 20
    assert job.best is not None
    assert job.best.number in own


def test_a_warm_start_that_cannot_teach_is_refused_with_what_would_be_accepted(database):
    source = submit(database)

    def refused(message: str, **fields: Any) -> None:
        with pytest.raises(InvalidInput, match=message) as caught:
            submit(database, **{"warm_start": {"job": source}, **fields})
        assert caught.value.errors[0].field.startswith("warm_start.")

    refused("has no complete trial")
    work_off(database)
    submit(database, warm_start={"job": source})
    submit(database, warm_start={"job": source}, search={**SEARCH, "lambda": "auto"})
    refused("is no job", warm_start={"job": "nothing"})
    refused("is no study", warm_start={"study": "nothing"})
    for named in ({"job": source}, {"study": source}):
        refused("whose objective is accuracy", objective="accuracy", warm_start=named)
    refused("has another loss", dataset="diabetes", loss="poisson")
    refused("has other sample weights", weights="pixel_0_2")
    refused("its own sealed rows, here seed 0", seed=5)
    refused("its own sealed rows, here test_fraction 0.2", test_fraction=0.3)
    forward = {"kind": "forward", "folds": 5, "by": "pixel_0_0"}
    refused("its own sealed rows, here validation.by None", validation=forward)
    refused("other directions", objectives=["loss", "nonzero_weights"])
    refused("searches penalty otherwise", search={**SEARCH, "penalty": ["l1"]})
    refused("searches learning_rate otherwise", search={**SEARCH, "learning_rate": 0.01})
    refused("has no parameter dropout", search={**SEARCH, "dropout": {"low": 0, "high": 0.5}})
    with database.reading() as transaction:
        assert len(lookups.list_jobs(transaction, cursor=None, limit=50).jobs) == 3


def test_sealed_rows_are_known_by_the_data_whatever_they_are_called(database):
    profile = bundled_profiles()["digits"]
    with database.transaction() as transaction:
        mine, other = (
            add_dataset(transaction, Upload(name, "a", "b", "c", 1, profile)).id
            for name in ("mine", "other")
        )
        spec = parse_spec({"dataset": "mine", "trials": 20, "search": SEARCH})
        source = lifecycle.submit_job(transaction, spec, dataset_id=mine)
    work_off(database)
    with database.transaction() as transaction:
        rename_dataset(transaction, "mine", "mine2")
        rename_dataset(transaction, "other", "mine")

    def look(dataset: str, dataset_id: str, seed: int) -> None:
        own = {"dataset": dataset, "seed": seed, "search": SEARCH, "warm_start": {"job": source}}
        with database.reading() as transaction:
            assert warm_starts.find_lessons(transaction, parse_spec(own), dataset_id)

    for name in ("mine2", mine):
        look(name, mine, seed=0)
        with pytest.raises(InvalidInput, match="its own sealed rows, here seed 0"):
            look(name, mine, seed=5)
    look("mine", other, seed=5)  # other data, by the old name


def test_of_a_long_study_trials_of_every_rank_are_copied(database, monkeypatch):
    source = submit(database)
    work_off(database)
    monkeypatch.setattr(warm_starts, "MOST", 5)
    job_id = submit(database, warm_start={"job": source})
    with database.reading() as transaction:
        copied = lookups.list_trials(
            transaction, job_id, state=None, order="value", cursor=None, limit=50
        ).trials
    values = sorted(1.0 + number % 7 for number in range(20) if number % 4 != 3)
    assert [trial.value for trial in copied] == values[::3]


def test_a_job_that_asks_for_a_warm_start_names_one(database):
    for given in ({}, {"job": "a", "study": "b"}):
        with pytest.raises(InvalidInput, match="warm_start"):
            submit(database, warm_start=given)


def elsewhere(folder: Path) -> str:
    """The URL of a database with a study of a stock Optuna process."""
    url = f"sqlite:///{folder / 'elsewhere.db'}"
    study = optuna.create_study(study_name="theirs", storage=url)
    study.set_user_attr("who", "somebody")
    given = {"params": PARAMS, "distributions": SPACE}
    study.add_trials(
        [
            create_trial(value=0.5, intermediate_values={1: 0.9, 2: float("nan")}, **given),
            create_trial(value=0.25, user_attrs={"note": 'a "word"'}, **given),
            create_trial(state=optuna.trial.TrialState.FAIL, **given),
        ]
    )
    study.ask()  # is running, and stays there
    return url


def test_an_imported_study_is_the_same_study_and_teaches_a_job(database, tmp_path):
    url = elsewhere(tmp_path)
    assert import_study(database, url, "theirs") == 3
    storage = stock(database)
    ours = optuna.load_study(study_name="theirs", storage=storage)
    theirs = optuna.load_study(study_name="theirs", storage=url)
    assert ours.user_attrs == theirs.user_attrs
    for found, expected in zip(ours.trials, theirs.trials[:3], strict=True):
        for name in ("number", "state", "values", "params", "distributions", "user_attrs"):
            assert getattr(found, name) == getattr(expected, name)
        assert found.datetime_start == expected.datetime_start
        assert repr(found.intermediate_values) == repr(expected.intermediate_values)
    storage.engine.dispose()
    job_id = submit(database, warm_start={"study": "theirs"})
    with database.reading() as transaction:
        best = lookups.list_trials(
            transaction, job_id, state=None, order="value", cursor=None, limit=1
        ).trials[0]
    assert (best.value, best.warm_start) == (0.25, "theirs")
    with pytest.raises(Conflict, match="theirs"):
        import_study(database, url, "theirs")


def test_what_cannot_be_imported_is_said_and_nothing_is_created(database, tmp_path):
    url = elsewhere(tmp_path)
    with pytest.raises(InvalidInput, match="NAME: there is no study"):
        import_study(database, url, "nobody's")
    missing = tmp_path / "missing.db"
    with pytest.raises(InvalidInput, match="no such file"):
        import_study(database, f"sqlite:///{missing}", "theirs")
    assert not missing.exists()
    with pytest.raises(InvalidInput, match="is no database URL"):
        import_study(database, "secret", "theirs")


def test_the_command_imports_a_study(sqlite_template, tmp_path):
    shutil.copy(sqlite_template, tmp_path / "ridgeway.db")
    ours = f"sqlite:///{tmp_path / 'ridgeway.db'}"
    command = [sys.executable, "-m", "ridgeway", "import-study", elsewhere(tmp_path), "theirs"]
    environment = {"RIDGEWAY_DATABASE_URL": ours, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, "3 trials"), done.stderr
