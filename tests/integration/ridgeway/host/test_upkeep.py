"""What a start of `ridgeway serve` does to the leases that it finds."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from submitting import submit

from ridgeway import fleet
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.database.tables import leases
from ridgeway.database.tables import workers as worker_table
from ridgeway.host.upkeep import prepare_database
from ridgeway.jobs import claiming
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes

MODELS, DATASETS = frozenset({"mlp", "linear"}), frozenset({"digits"})


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'ridgeway.db'}")
    migrate(database)
    yield database
    database.close()


def at_work(database: Database, worker: str, pid: int, host: str | None = None) -> None:
    """Record a worker that holds a lease."""
    record = fleet.WorkerRecord(worker, host or platform.node(), pid, "cpu", "0", MODELS, DATASETS)
    claimant = Claimant(worker, MODELS, DATASETS, Sizes(4, 4), 30.0, 3)
    with database.transaction() as transaction:
        fleet.record_worker(transaction, record)
        assert claiming.claim(transaction, claimant) is not None


def states(database: Database) -> dict[str, str]:
    with database.reading() as transaction:
        rows = transaction.execute(sa.select(leases.c.worker_id, leases.c.state)).all()
    return {row.worker_id: row.state for row in rows}


def test_only_the_dead_lose_their_leases(embedded: Database) -> None:
    """A `ridgeway worker` on the same file lives on when a serve starts."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    submit(embedded, trials=40)
    at_work(embedded, "alive", os.getpid())
    at_work(embedded, "dead", gone.pid)
    at_work(embedded, "whose id is another's now", os.getpid())
    at_work(embedded, "on another machine", gone.pid, host="elsewhere")
    with embedded.transaction() as transaction:
        long_ago = worker_table.c.started_at - 1_000_000
        transaction.execute(
            sa.update(worker_table)
            .where(worker_table.c.id == "whose id is another's now")
            .values(started_at=long_ago)
        )
    prepare_database(embedded)
    assert states(embedded) == {
        "alive": "running",
        "dead": "expired",
        "whose id is another's now": "expired",
        "on another machine": "running",
    }
