"""A population whose worker is gone goes on where it left off, on both databases."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import submitting
from killing import Killed, lose

from ridgeway.answers import Recommended
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import LeaseLost
from ridgeway.jobs import claiming, holding, lifecycle, lookups
from ridgeway.jobs.lookups import find_trial
from ridgeway.settings import Settings
from workers.data.prepare import Prepared
from workers.loop import checkpoints as checkpoints_module
from workers.loop.tools import Doors
from workers.loop.worker import Worker
from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer

SPEC = {
    "dataset": "wine",
    "model": {"kind": "mlp", "hidden": [6], "dropout": 0.1},
    "trials": 2,
    "epochs": 8,
    "early_stopping": {"patience": 4},
    "pruner": "halving",
    "search": {"lambda": {"low": 1e-4, "high": 1.0, "log": True}},
    "validation": {"kind": "folds", "folds": 2},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, checkpoint_seconds=1e-9, max_attempts=2)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings.resolved_store_url())


def make_worker(
    database: Database,
    store: Store,
    settings: Settings,
    on_epoch: Callable[[int, int], None] = lambda done, of: None,
) -> Worker:
    doors = Doors(on_epoch=on_epoch)
    return Worker(database, store, settings, lifecycle.new_id(), "cpu", doors)


submit = partial(submitting.submit_resolved, **SPEC)


def run_dry(worker: Worker) -> None:
    while worker.work_once():
        pass


def studied(database: Database, job_id: str) -> list[tuple[Any, ...]]:
    with database.reading() as transaction:
        trials = [find_trial(transaction, job_id, number) for number in range(2)]
    return [(t.state, t.value, t.params, t.curve, t.fold_values, t.attributes) for t in trials]


def ended(database: Database, job_id: str) -> int:
    """How many of the job's trials have ended."""
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    return job.progress.complete + job.progress.pruned + job.progress.failed


def checkpoint(database: Database) -> str | None:
    with database.reading() as transaction:
        held = sa.select(lease_table.c.checkpoint).where(lease_table.c.checkpoint.is_not(None))
        return transaction.execute(held).scalar_one_or_none()


def kept(settings: Settings) -> list[str]:
    root = Path(settings.resolved_store_url())
    return [str(path.relative_to(root)) for path in root.rglob("checkpoints/*")]


def at_epoch(after: int, do: Callable[[], None]) -> Callable[[int, int], None]:
    """Let something happen to a worker after so many epochs of a population."""
    return lambda done, of: do() if done == after else None


def die() -> None:
    raise Killed


def assert_same_answer(one: Recommended | None, other: Recommended | None) -> None:
    """Compare all but the checks: the later job says that its sealed rows were seen before."""
    assert one is not None
    assert other is not None
    assert one.model_copy(update={"checks": other.checks}) == other


def test_a_killed_workers_population_goes_on_and_ends_as_if_nothing_had_happened(
    database, store, settings, caplog
):
    caplog.set_level(logging.INFO, "ridgeway.worker")
    expected = submit(database)
    run_dry(make_worker(database, store, settings))
    job_id = submit(database)
    # Three workers die with a population that may cost two: each came further than the one before.
    for epoch in (2, 3, 5):
        worker = make_worker(database, store, settings, at_epoch(epoch, die))
        lose(database, worker)
        assert kept(settings) == [checkpoint(database)]
    run_dry(make_worker(database, store, settings))
    told = [r.getMessage() for r in caplog.records if "goes on after epoch" in r.getMessage()]
    assert [message.split()[-1] for message in told] == ["2", "3", "5"]
    assert studied(database, job_id) == studied(database, expected)
    with database.reading() as transaction:
        job, like = (lookups.find_job(transaction, id_) for id_ in (job_id, expected))
    assert job.state == "succeeded"
    assert_same_answer(job.recommended, like.recommended)
    assert kept(settings) == []
    assert checkpoint(database) is None


CONVEX = {
    "model": {"kind": "linear"},
    "optimizer": "exact",
    "precision": "float64",
    "early_stopping": None,
    "pruner": None,
    "search": {"penalty": ["l1"], "lambda": {"low": 1e-5, "high": 1e-4, "log": True}},
}


@pytest.fixture
def no_kernels(monkeypatch):
    """Linear models take many rounds, as where there is no compiler."""
    monkeypatch.setattr("workers.fullbatch.solver.load", lambda dtype: "there is no C compiler")
    for few in ("EXACT", "LEAST_EXACT", "PAIRS", "FEWEST_PAIRS"):  # a short path, few halves
        monkeypatch.setattr(f"workers.answer.extent.{few}", 4)


@pytest.mark.parametrize("fields", [{}, CONVEX])
@pytest.mark.usefixtures("no_kernels")
def test_a_killed_workers_answer_goes_on_and_looks_at_the_test_set_once(
    fields, database, store, settings, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "ridgeway.worker")
    expected = submit(database, **fields)
    run_dry(make_worker(database, store, settings))
    job_id = submit(database, **fields)
    looks: list[str] = []
    real = Prepared.sealed
    monkeypatch.setattr(Prepared, "sealed", lambda self: looks.append("look") or real(self))
    populations = make_worker(database, store, settings)
    while ended(database, job_id) < 2:
        assert populations.work_once()
    for epoch in (1, 2):  # of its first training
        worker = make_worker(database, store, settings, at_epoch(epoch, die))
        lose(database, worker)
        assert kept(settings) == [checkpoint(database)]
    assert looks == []
    run_dry(make_worker(database, store, settings))
    told = [r.getMessage() for r in caplog.records if "goes on after epoch" in r.getMessage()]
    assert [message.split()[-1] for message in told] == ["1", "2"]
    assert looks == ["look"]
    with database.reading() as transaction:
        job, like = (lookups.find_job(transaction, id_) for id_ in (job_id, expected))
    assert job.state == "succeeded"
    assert_same_answer(job.recommended, like.recommended)
    assert kept(settings) == []


def test_an_answers_checkpoint_waits_for_the_training_that_it_is_of(
    database, store, settings, caplog
):
    caplog.set_level(logging.INFO, "ridgeway.worker")
    expected = submit(database)
    run_dry(make_worker(database, store, settings))
    job_id = submit(database)
    populations = make_worker(database, store, settings)
    while ended(database, job_id) < 2:
        assert populations.work_once()
    trainings: list[int] = []

    def look(done: int, of: int) -> None:
        trainings.append(done)
        if done == 5 and trainings.count(5) == 2:  # neither in its first training nor its last
            raise Killed

    lose(database, make_worker(database, store, settings, look))
    left = checkpoint(database)
    run_dry(make_worker(database, store, settings))
    assert left is not None
    assert caplog.text.count("goes on after epoch 5") == 1
    assert "trains anew" not in caplog.text
    with database.reading() as transaction:
        job, like = (lookups.find_job(transaction, id_) for id_ in (job_id, expected))
    assert_same_answer(job.recommended, like.recommended)
    assert kept(settings) == []


@pytest.mark.usefixtures("no_kernels")
def test_linear_models_on_their_way_to_the_optimum_go_on_too(database, store, settings, caplog):
    caplog.set_level(logging.INFO, "ridgeway.worker")
    expected = submit(database, **CONVEX)
    run_dry(make_worker(database, store, settings))
    job_id = submit(database, **CONVEX)
    worker = make_worker(database, store, settings, at_epoch(2, die))
    with pytest.raises(Killed):
        worker.work_once()
    assert kept(settings) == [checkpoint(database)]
    with database.transaction() as transaction:
        holding.expire_leases(transaction, worker.id)
    run_dry(make_worker(database, store, settings))
    assert "goes on after epoch 2" in caplog.text
    assert studied(database, job_id) == studied(database, expected)
    assert kept(settings) == []


def test_a_worker_that_is_told_to_stop_hands_its_work_over(
    database, store, settings, monkeypatch, caplog
):
    caplog.set_level(logging.INFO, "ridgeway.worker")
    monkeypatch.setattr(checkpoints_module, "HANDING_OVER_SECONDS", 0.0)
    patient = settings.model_copy(update={"checkpoint_seconds": 1e9})
    submit(database)
    worker = make_worker(database, store, patient)
    real = Trainer.train_epoch

    def told(self: Trainer, chunk: Chunk, batches: Any) -> Any:
        if chunk.steps == 3 * len(batches):
            worker.stop()  # in the fourth epoch
        return real(self, chunk, batches)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", told)
        assert worker.work_once()
    assert kept(settings) == [checkpoint(database)]
    run_dry(make_worker(database, store, patient))
    assert "goes on after epoch 4" in caplog.text
    assert kept(settings) == []


def test_a_cancelled_job_leaves_no_checkpoint_behind(database, store, settings):
    job_id = submit(database)

    def cancel() -> None:
        assert kept(settings)
        with database.transaction() as transaction:
            lifecycle.cancel_job(transaction, job_id)

    worker = make_worker(database, store, settings, at_epoch(3, cancel))
    assert worker.work_once()
    assert kept(settings) == []


def test_a_checkpoint_is_recorded_by_the_holder_of_the_lease_alone(database, store, settings):
    submit(database)
    claimants = [make_worker(database, store, settings).claimant for _ in range(2)]
    with database.transaction() as transaction:
        first = claiming.claim(transaction, claimants[0])
        assert first is not None
        assert holding.record_checkpoint(transaction, first, "one") is None
        holding.expire_leases(transaction)
        second = claiming.claim(transaction, claimants[1])
        assert second is not None
        assert second.checkpoint == "one"
    with database.transaction() as transaction, pytest.raises(LeaseLost):
        holding.record_checkpoint(transaction, first, "two")
    with database.transaction() as transaction:
        assert holding.forget_checkpoint(transaction, first) is None
        assert holding.record_checkpoint(transaction, second, "three") == "one"
