"""The worker's loop in this process, against both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
import submitting
from safetensors import safe_open
from sqlalchemy.exc import OperationalError
from waiting import wait_until

from ridgeway.data.store import Store
from ridgeway.database import tables
from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.jobs import artifacts, holding, lifecycle, lookups
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.lookups import list_trials
from ridgeway.settings import Settings
from ridgeway.views import Job, Trial
from workers.loop import control, reading
from workers.loop.tools import Doors
from workers.loop.worker import Worker
from workers.minibatch import planner
from workers.population.problem import SETTLING_SHARE, Problem
from workers.population.results import PopulationResult, TrainedModels
from workers.train import refit, solver_of, train

SMALL = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "trials": 20,
    "epochs": 2,
    "validation": {"kind": "folds", "folds": 2},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.resolved_store_url())


def make_worker(
    database: Database, store: Store, settings: Settings, **doors: Callable[..., Any]
) -> Worker:
    """A worker; what takes the place of its ways into training by name."""
    return Worker(database, store, settings, lifecycle.new_id(), "cpu", Doors(**doors))


submit = partial(submitting.submit_resolved, **SMALL)


def find(database: Database, job_id: str) -> Job:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id)


def trials(database: Database, job_id: str) -> list[Trial]:
    with database.reading() as transaction:
        page = list_trials(transaction, job_id, state=None, order="number", cursor=None, limit=1000)
    return page.trials


def run_dry(worker: Worker) -> None:
    while worker.work_once():
        pass


def test_a_job_is_trained_and_answered(database, store, settings, tmp_path):
    job_id = submit(database)
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert job.state == "succeeded", job.error
    assert (job.progress.complete, job.progress.fraction) == (20, 1.0)
    assert [trial.number for trial in trials(database, job_id)] == list(range(20))
    answer = job.recommended
    assert answer is not None
    assert answer.test.metric == "accuracy"
    assert answer.test.rows == 113  # a fifth of each class, rounded
    assert answer.test.evaluations == 1
    assert answer.test.best is not None
    assert answer.test.best > answer.test.baseline == pytest.approx(0.63, abs=0.01)
    assert answer.simplest.nonzero_weights <= answer.best.nonzero_weights
    with database.reading() as transaction:
        artifact = artifacts.find_artifact(transaction, job_id, "model.safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(artifact.address))
    with safe_open(path, "pt") as model:
        weights = [model.get_tensor(name) for name in model.keys()]  # noqa: SIM118 - no mapping
        kept = json.loads(model.metadata()["params"])
    assert kept == answer.simplest.params
    weight = next(tensor for tensor in weights if tensor.dim() == 2)
    assert int((weight != 0).sum()) == answer.simplest.refit_nonzero_weights


def test_the_same_spec_and_seed_give_the_same_study_twice(database, store, settings):
    ids: list[str] = []
    # Two workers, so that nothing kept in memory makes the second job like the first.
    for _ in range(2):
        ids.append(submit(database))  # beside the first one it would take turns with it
        run_dry(make_worker(database, store, settings))
    first, second = ids

    def told(job_id: str) -> list[tuple]:
        return [(t.number, t.state, t.value, t.params) for t in trials(database, job_id)]

    assert told(first) == told(second)
    answers = [find(database, job_id).recommended for job_id in (first, second)]
    assert answers[0] is not None
    assert answers[1] is not None
    seen = {check.code for check in answers[1].checks} - {check.code for check in answers[0].checks}
    assert seen == {"seal_seen_before"}  # the second job seals the same rows
    alike = answers[1].model_copy(update={"checks": answers[0].checks})
    assert alike == answers[0]


def test_another_seed_gives_another_study(database, store, settings):
    first, second = submit(database), submit(database, seed=1)
    run_dry(make_worker(database, store, settings))
    assert [t.value for t in trials(database, first)] != [t.value for t in trials(database, second)]


def test_diverged_members_fail_with_the_epoch_and_the_job_goes_on(database, store, settings):
    rates = {"learning_rate": [1e-2, 1e3], "lambda": 1e-3, "penalty": ["l2"]}
    job_id = submit(database, optimizer="sgd", epochs=10, search={**rates, "weight_decay": 10.0})
    run_dry(make_worker(database, store, settings))
    failed = [trial for trial in trials(database, job_id) if trial.state == "fail"]
    assert {trial.params["learning_rate"] for trial in failed} == {1e3}
    assert all(trial.reason and "diverged in epoch" in trial.reason for trial in failed)
    assert find(database, job_id).state == "succeeded"


def test_a_job_whose_every_trial_diverges_fails_with_a_reason(database, store, settings):
    rates = {"learning_rate": 1e3, "lambda": 1e3, "penalty": ["l2"]}
    job_id = submit(database, optimizer="sgd", epochs=10, search=rates)
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert "None of the 20 trials" in job.error
    assert "diverged in epoch" in job.error


def test_an_error_in_training_fails_that_population_and_the_job_goes_on(
    database, store, settings, monkeypatch
):
    job_id = submit(database)
    calls: list[int] = []

    def once_broken(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError("no room")
        return train(*args, **options)

    run_dry(make_worker(database, store, settings, train=once_broken))
    job = find(database, job_id)
    assert (job.state, job.progress.failed, job.progress.complete) == ("succeeded", 2, 18)
    assert trials(database, job_id)[0].reason == "MemoryError: no room"


def test_a_plugin_that_exits_while_its_step_is_timed_costs_nothing(
    database, store, settings, monkeypatch
):
    def leaves(*args: Any) -> bool:
        raise SystemExit(3)

    monkeypatch.setattr(planner, "pays_to_compile", leaves)
    job_id = submit(database)
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert (job.state, job.progress.complete) == ("succeeded", 20)


def test_a_plugin_that_exits_in_the_last_refit_ends_its_job_and_no_worker(
    database, store, settings, monkeypatch
):
    def leaves(*args: Any, **options: Any) -> None:
        raise SystemExit("no licence")

    job_id = submit(database)
    run_dry(make_worker(database, store, settings, refit=leaves))
    job = find(database, job_id)
    assert (job.state, job.error) == ("failed", "SystemExit: no licence")


def test_a_data_set_that_the_store_has_lost_fails_the_job(database, store, settings, monkeypatch):
    def lost(*args: Any) -> Any:
        raise NotFound("The store holds no 'datasets/x.parquet'.")

    monkeypatch.setattr(reading, "load_frame", lost)
    job_id = submit(database)
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert (job.state, job.error) == ("failed", "The store holds no 'datasets/x.parquet'.")


def test_a_store_that_is_away_for_a_while_costs_an_attempt_and_not_the_job(
    database, store, settings, monkeypatch
):
    def away(*args: Any) -> Any:
        raise TimeoutError("the store does not answer")

    job_id = submit(database)
    worker = make_worker(database, store, settings)
    monkeypatch.setattr(reading, "load_frame", away)
    assert worker.work_once()
    monkeypatch.undo()
    assert find(database, job_id).state == "running"
    with database.transaction() as transaction:
        holding.expire_leases(transaction, worker.id)
    run_dry(worker)
    assert find(database, job_id).progress.complete == 20


def test_what_a_plugin_says_is_kept_whatever_it_says(database, store, settings, monkeypatch):
    def rude(*args: Any, **options: Any) -> Any:
        raise SystemExit("\x00\ud800" + "x" * 10_000)

    # What is logged travels between pytest's processes, which lone surrogates can't.
    monkeypatch.setattr(control.log, "disabled", True)
    job_id = submit(database, trials=1)
    run_dry(make_worker(database, store, settings, train=rude))
    reason = trials(database, job_id)[0].reason
    assert reason is not None
    assert reason.startswith("SystemExit: \ufffd?xxx")
    assert len(reason) < 2100


def test_foreign_trials_that_fit_teach_the_sampler_and_others_do_no_harm(database, store, settings):
    job_id = submit(database)
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=job_id, storage=storage)
    for name, choices in (("penalty", ["l1", "l2"]), ("colour", [None, "red"])):
        trial = study.ask()
        trial.suggest_categorical(name, choices)
        study.tell(trial, 0.5)
    storage.engine.dispose()
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert (job.state, job.progress.complete) == ("succeeded", 20)
    assert [trial.number for trial in trials(database, job_id)] == list(range(22))


def test_a_cancelled_job_stops_in_mid_population(database, store, settings, monkeypatch):
    job_id = submit(database)

    def cancelled_meanwhile(*args: Any, **options: Any) -> Any:
        with database.transaction() as transaction:
            lifecycle.cancel_job(transaction, job_id)
        return train(*args, **options)

    worker = make_worker(database, store, settings, train=cancelled_meanwhile)
    assert worker.work_once()
    assert not worker.work_once()
    job = find(database, job_id)
    assert (job.state, job.progress.failed, job.progress.complete) == ("cancelled", 2, 0)


def test_a_succeeded_job_that_is_extended_is_answered_anew(database, store, settings, tmp_path):
    job_id = submit(database)
    worker = make_worker(database, store, settings)
    run_dry(worker)
    first = find(database, job_id)
    with database.transaction() as transaction:
        reopened = extend_job(transaction, job_id, 10)
    assert (reopened.state, reopened.finished_at) == ("running", None)
    assert reopened.recommended == first.recommended
    run_dry(worker)
    job = find(database, job_id)
    assert (job.state, job.progress.complete) == ("succeeded", 30)
    assert [trial.number for trial in trials(database, job_id)] == list(range(30))
    assert job.recommended is not None
    assert job.recommended.test.evaluations == 2
    with database.reading() as transaction:
        model = artifacts.find_artifact(transaction, job_id, "model.safetensors")
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(model.address))
    with safe_open(path, "pt") as file:
        assert file.metadata()["trial"] == str(job.recommended.simplest.number)


def test_sigterm_in_mid_population_hands_the_lease_back(database, store, settings, monkeypatch):
    job_id = submit(database)

    def stopped_meanwhile(*args: Any, **options: Any) -> Any:
        worker.stop()
        return train(*args, **options)

    worker = make_worker(database, store, settings, train=stopped_meanwhile)
    assert worker.work_once()
    assert find(database, job_id).progress.running == 2
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert (job.state, job.progress.complete) == ("succeeded", 20)


def test_a_population_taken_over_keeps_the_parameters_it_was_reserved_with(
    database, store, settings, monkeypatch
):
    job_id = submit(database)

    def die(*args: Any, **options: Any) -> Any:
        raise KeyboardInterrupt  # as abrupt as a process's death: nothing is handed back

    dying = make_worker(database, store, settings, train=die)
    with pytest.raises(KeyboardInterrupt):
        dying.work_once()
    reserved = [trial.params for trial in trials(database, job_id)]
    with database.transaction() as transaction:
        holding.expire_leases(transaction, dying.id)
    run_dry(make_worker(database, store, settings))
    assert [trial.params for trial in trials(database, job_id)[:2]] == reserved
    assert find(database, job_id).progress.complete == 20


def test_a_database_that_does_not_answer_for_a_while_loses_nothing(
    database, store, settings, monkeypatch
):
    job_id = submit(database)
    real = holding.finish_population
    refusals = iter(range(3))

    def sometimes(*args: Any, **options: Any) -> None:
        if next(refusals, None) is not None:
            raise OperationalError("UPDATE", {}, Exception("the server is away"))
        real(*args, **options)

    monkeypatch.setattr(holding, "finish_population", sometimes)
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert (job.state, job.progress.complete, job.progress.failed) == ("succeeded", 20, 0)


REFUSALS = {
    "sqlite": """CREATE TRIGGER refusal BEFORE INSERT ON trial_values
        BEGIN SELECT RAISE(ABORT, 'no more values'); END""",
    "postgresql": """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
        AS $$ BEGIN RAISE EXCEPTION 'no more values'; END $$;
        CREATE TRIGGER refusal BEFORE INSERT ON trial_values EXECUTE FUNCTION refuse()""",
}


def test_what_the_database_refuses_for_good_fails_the_job_and_not_the_worker(
    database, store, settings
):
    job_id = submit(database)
    with database.transaction() as transaction:
        transaction.exec_driver_sql(REFUSALS[database.url.get_backend_name()])
    run_dry(make_worker(database, store, settings))
    job = find(database, job_id)
    assert job.state == "failed"
    assert job.error == "The database refused: no more values"
    assert job.progress.running == 0
    assert job.progress.failed == 2  # the first population


def test_the_loop_records_the_worker_renews_its_lease_and_ends_when_told(
    database, store, settings, monkeypatch
):
    quick = settings.model_copy(update={"renew_seconds": 0.02, "poll_seconds": 0.01})
    job_id = submit(database, trials=200, epochs=20)
    worker = make_worker(database, store, quick)
    thread = threading.Thread(target=worker.run)
    renewed = threading.Event()
    real = holding.renew

    def noticed(*args: Any) -> None:
        real(*args)
        renewed.set()

    monkeypatch.setattr(holding, "renew", noticed)
    thread.start()
    assert renewed.wait(60)
    worker.stop()
    thread.join(60)
    assert not thread.is_alive()
    job = find(database, job_id)
    assert job.state == "running"
    run_dry(make_worker(database, store, settings))
    assert find(database, job_id).progress.complete == 200


def test_the_heartbeat_tells_how_far_a_population_is_while_it_trains(database, store, settings):
    quick = settings.model_copy(update={"renew_seconds": 0.02, "poll_seconds": 0.01})
    job_id = submit(database, epochs=8)
    worker: Worker
    epochs: list[int] = []

    def fraction() -> float:
        progress = find(database, job_id).progress
        assert progress.complete == 0
        return progress.fraction

    def look(done: int, of: int) -> None:
        """Hold the first population's training after each epoch until a look tells of it."""
        trained = 2 * done / 8  # a tenth of the trials are its own
        wait_until(lambda: fraction() == pytest.approx(trained / 20))
        epochs.append(done)
        if done == of:
            worker.stop()

    worker = make_worker(database, store, quick, on_epoch=look)
    worker.run()
    assert epochs == list(range(1, 9))


def test_what_was_measured_is_remembered_and_used_by_the_next_worker(
    database, store, settings, monkeypatch
):
    measured: list[int] = []

    def measure(trainer: Any, members: Any) -> int:
        measured.append(len(members))
        return 3

    used: list[int] = []

    def trained(problem: Problem, *arguments: Any) -> PopulationResult:
        of_answer = problem.settling_share >= SETTLING_SHARE or bool(problem.beside)
        if not of_answer:
            used.append(solver_of(problem).together)
        return train(problem, *arguments)

    monkeypatch.setattr(planner, "LEAST_MEASURED", 1)
    monkeypatch.setattr(planner, "measured_together", measure)
    for _ in range(2):
        submit(database)
        run_dry(make_worker(database, store, settings, train=trained))
    assert len(measured) == 1
    assert set(used) == {3}


def test_the_first_worker_chooses_the_backend_for_all(database, store, settings):
    job_id = submit(database)
    used: list[str] = []

    def trained(problem: Problem, *arguments: Any) -> PopulationResult:
        used.append(solver_of(problem).backend.name)
        return train(problem, *arguments)

    refitted: list[str | None] = []

    def refits(problem: Problem, *arguments: Any) -> TrainedModels:
        refitted.append(problem.engine.backend)
        return refit(problem, *arguments)

    worker = make_worker(database, store, settings, train=trained, refit=refits)
    assert worker.work_once()
    with database.reading() as transaction:
        plan = transaction.execute(
            sa.select(tables.jobs.c.plan).where(tables.jobs.c.id == job_id)
        ).scalar_one()
    assert plan["backend"] in ("fused", "dense")  # as the machine has a compiler or not
    assert plan["device"] == "cpu"
    used.clear()
    with database.transaction() as transaction:
        changed = {**plan, "backend": "vmap"}
        transaction.execute(
            sa.update(tables.jobs).where(tables.jobs.c.id == job_id).values(plan=changed)
        )
    run_dry(worker)
    assert set(used) == {"vmap"}
    assert refitted == ["vmap"] * 4  # three initialisations, and the path
