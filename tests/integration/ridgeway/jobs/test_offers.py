"""What workers offer can be named while they restart, and for a day after."""

from __future__ import annotations

import sqlalchemy as sa

from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import workers
from ridgeway.jobs.fleet import (
    live_workers,
    mark_gone,
    offered_datasets,
    offered_models,
    record_worker,
    see_worker,
)


def start(database: Database, worker_id: str, plugin: str) -> None:
    with database.transaction() as transaction:
        record_worker(
            transaction,
            worker_id,
            host="here",
            pid=1,
            device="cpu",
            version="0",
            models={"linear", f"{plugin}-model"},
            datasets={f"{plugin}-rows"},
        )


def counted(database: Database) -> int:
    with database.reading() as transaction:
        return live_workers(transaction, 30.0)


def offers(database: Database, plugin: str) -> bool:
    with database.reading() as transaction:
        models, datasets = offered_models(transaction), offered_datasets(transaction)
    assert (f"{plugin}-model" in models) == (f"{plugin}-rows" in datasets)
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
