"""What workers offer can be named while they restart, and for a day after."""

from __future__ import annotations

import sqlalchemy as sa

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import workers
from ridgeway.fleet import (
    WorkerRecord,
    known_datasets,
    known_models,
    known_penalties,
    live_workers,
    mark_gone,
    measured,
    record_worker,
    see_worker,
)
from ridgeway.measures import BOUNDS, COUNTS, Measures, Recorder


def start(database: Database, worker_id: str, plugin: str) -> None:
    with database.transaction() as transaction:
        models, datasets = frozenset({"linear", f"{plugin}-model"}), frozenset({f"{plugin}-rows"})
        penalties = frozenset({"l1", f"{plugin}-penalty"})
        record = WorkerRecord(worker_id, "here", 1, "cpu", "0", models, datasets, penalties)
        record_worker(transaction, record)


def counted(database: Database) -> int:
    with database.reading() as transaction:
        return live_workers(transaction, 30.0)


def offers(database: Database, plugin: str) -> bool:
    with database.reading() as transaction:
        models, datasets = known_models(transaction), known_datasets(transaction)
        penalties = known_penalties(transaction)
    assert (f"{plugin}-model" in models) == (f"{plugin}-rows" in datasets)
    assert (f"{plugin}-model" in models) == (f"{plugin}-penalty" in penalties)
    assert penalties.count("l1") == 1
    return f"{plugin}-model" in models


def test_a_worker_that_stopped_is_not_live_but_its_plugins_stay_nameable(database: Database):
    start(database, "w-1", "lab")
    start(database, "w-2", "mill")
    assert counted(database) == 2
    with database.transaction() as transaction:
        mark_gone(transaction, "w-1")
    assert counted(database) == 1
    assert offers(database, "lab")
    start(database, "w-3", "mill")
    assert offers(database, "lab")


def test_workers_unseen_for_a_day_are_forgotten_however_often_all_are_marked(database: Database):
    start(database, "w-1", "lab")
    with database.transaction() as transaction:
        transaction.execute(sa.update(workers).values(seen_at=now() - 90_000.0))
        mark_gone(transaction)
    start(database, "w-2", "mill")
    assert not offers(database, "lab")
    assert offers(database, "mill")


def test_a_worker_wrongly_marked_is_live_when_it_is_seen_again(database: Database):
    start(database, "w-1", "lab")
    with database.transaction() as transaction:
        mark_gone(transaction)
    assert counted(database) == 0
    with database.transaction() as transaction:
        see_worker(transaction, "w-1")
    assert counted(database) == 1


def beat(database: Database, worker_id: str, recorder: Recorder) -> None:
    with database.transaction() as transaction:
        see_worker(transaction, worker_id, recorder.stored())


def sums(database: Database) -> Measures:
    with database.reading() as transaction:
        return measured(transaction)


def test_what_workers_measured_adds_up_and_outlives_their_rows(database: Database):
    first, second = Recorder(), Recorder()
    start(database, "w-1", "lab")
    start(database, "w-2", "lab")
    first.count("trials_complete", 3)
    second.count("trials_complete", 4)
    for recorder, seconds in ((first, 0.01), (first, 2.0), (second, 5000.0)):
        recorder.observe("training_seconds", seconds)
    beat(database, "w-1", first)
    beat(database, "w-1", first)
    beat(database, "w-2", second)
    before = sums(database)
    assert before.counts["trials_complete"] == 7
    assert before.tallies["training_seconds"].sum == 5002.01
    buckets = before.tallies["training_seconds"].buckets
    assert (buckets[0], buckets[BOUNDS["training_seconds"].index(3.0)], buckets[-1]) == (1, 1, 1)
    for newcomer in ("w-3", "w-4"):
        with database.transaction() as transaction:
            transaction.execute(sa.update(workers).values(seen_at=now() - 90_000.0))
        start(database, newcomer, "lab")
        assert sums(database) == before
    first.count("trials_complete")
    beat(database, "w-4", first)
    assert sums(database).counts["trials_complete"] == 11


def test_what_another_release_measured_in_other_buckets_is_left_out(database: Database):
    start(database, "w-1", "lab")
    tally = {"buckets": [1, 2], "sum": 3.0}
    told = {"counts": {"news": 1}, "tallies": {"training_seconds": tally, "news": tally}}
    with database.transaction() as transaction:
        see_worker(transaction, "w-1", told)
    start(database, "w-2", "lab")
    with database.transaction() as transaction:
        see_worker(transaction, "w-2", ["nothing", "known"])
    assert sums(database).tallies["training_seconds"].sum == 0
    assert sums(database).counts == dict.fromkeys(COUNTS, 0)
