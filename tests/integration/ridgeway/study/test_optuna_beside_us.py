"""Stock Optuna on our studies: it reads them, and writes to them while we do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from submitting import submit

from ridgeway.answers import Params
from ridgeway.database.engine import Database
from ridgeway.database.tables import ranked_trials
from ridgeway.jobs import claiming, holding, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.own_trials import own_numbers
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from ridgeway.views import Trial

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
}
CLAIMANT = Claimant("worker-1", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 8), 30.0, 3)


def params(number: int) -> Params:
    rate = {"learning_rate": 1e-4 * (1 + number % 7)}
    return {"penalty": "none", **rate} if number % 3 else {"penalty": "l1", "lambda": 0.5, **rate}


def train(database: Database) -> bool:
    """One population; every fifth trial diverges."""
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
    if lease is None or lease.kind == "answer":
        return False
    with database.transaction() as transaction:
        given = [params(index) for index in range(lease.size)]
        first = holding.reserve(transaction, lease, given, SPACE)
    outcomes = [
        Outcome(number, None, [float("nan")], reason="diverged in epoch 1")
        if number % 5 == 4
        else Outcome(
            number, float(number * 7 % 11), [1.0, 0.5], TrialFacts(nonzero_weights=3, weights=5)
        )
        for number in range(first, first + lease.size)
    ]
    with database.transaction() as transaction:
        holding.finish_population(transaction, lease, outcomes)
    return True


def listed(database: Database, job_id: str) -> list[Trial]:
    """Every trial, from the best value on, by pages."""
    found: list[Trial] = []
    cursor = None
    while True:
        with database.reading() as transaction:
            page = lookups.list_trials(
                transaction, job_id, state=None, order="value", cursor=cursor, limit=7
            )
        found += page.trials
        if (cursor := page.next) is None:
            return found


@pytest.fixture
def storage(database: Database) -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    yield storage
    storage.engine.dispose()


def test_importances_and_plots_come_from_our_study(database, storage):
    job_id = submit(database, trials=40)
    while train(database):
        pass
    study = optuna.load_study(study_name=job_id, storage=storage)
    importances = optuna.importance.get_param_importances(study)
    assert sum(importances.values()) == pytest.approx(1.0)
    plots = optuna.visualization
    history = plots.plot_optimization_history(study)
    best = list(history.data[1].y)
    assert best == sorted(best, reverse=True)
    assert best[-1] == study.best_value == 0.0
    curves = plots.plot_intermediate_values(study)
    assert len(curves.data) == 32  # of the complete trials
    assert len(plots.plot_slice(study).data) == 3
    assert len(plots.plot_parallel_coordinate(study).data[0].x) == 4  # value and parameters


ASK_AND_TELL = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(
    study_name=sys.argv[2], storage=sys.argv[1], sampler=optuna.samplers.RandomSampler(seed=0)
)
for index in range(12):
    trial = study.ask()
    trial.suggest_float("lambda", 1e-6, 1.0, log=True)
    trial.report(0.5, 1)
    study.tell(trial, -1.0 - index)
    print(trial.number, flush=True)
"""


def test_a_stock_process_asks_and_tells_while_we_write_and_no_trial_is_lost(database):
    job_id = submit(database, trials=400)
    url = database.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", ASK_AND_TELL, url, job_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as stock:
        assert stock.stdout is not None
        foreign = {int(stock.stdout.readline())}
        while train(database):
            pass
        foreign |= {int(line) for line in stock.stdout}
    assert stock.returncode == 0
    assert len(foreign) == 12

    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
        own = own_numbers(transaction, job_id)
    trials = listed(database, job_id)
    assert sorted(trial.number for trial in trials) == list(range(412))
    assert own == set(range(412)) - foreign
    # Foreign trials are the best of all, and count in nothing that is the job's.
    assert [trial.value for trial in trials[:12]] == [-12.0 + n for n in range(12)]
    assert job.best is not None
    assert job.best.number in own
    assert job.best.value == 0.0
    assert job.progress.complete + job.progress.failed == 400
    assert job.progress.running == 0


def ranked(database: Database) -> list[float]:
    with database.reading() as transaction:
        return sorted(transaction.execute(sa.select(ranked_trials.c.signed_value)).scalars())


def test_the_order_by_value_follows_whoever_writes(database, storage):
    study = optuna.create_study(storage=storage, direction="maximize")
    finished = optuna.trial.create_trial(value=3.0)
    study.add_trials([finished, optuna.trial.create_trial(value=float("inf"))])
    study.tell(study.ask(), 5.0)
    with database.transaction() as transaction:
        assert ranked(database) == [-5.0, -3.0]
        transaction.execute(sa.text("UPDATE trial_values SET value = 7 WHERE value = 3"))
    assert ranked(database) == [-7.0, -5.0]
    with database.transaction() as transaction:
        transaction.execute(sa.text("UPDATE trial_values SET value = NULL WHERE value = 7"))
    assert ranked(database) == [-5.0]
    optuna.delete_study(study_name=study.study_name, storage=storage)
    assert ranked(database) == []
