"""Workers of two releases on one database, while it is migrated and the older ones are replaced.

The newer release is this one with a field more in its specs, and a schema with a column more.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

import pytest
import sqlalchemy as sa
from invariants import check, objective
from simulated import SpecOfTomorrow
from strange import rewrite, stored, submit_strange
from submitting import submit
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.schema import VERSION_TABLE, require_schema
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import SchemaMismatch
from ridgeway.jobs import lookups
from ridgeway.jobs import stored as stored_rows

TRIALS = 1200
PACE = {"train_seconds": 0.02, "population_limit": 4}


def migrate_beyond(database: Database) -> None:
    """What the newer release's `ridgeway migrate` does: it adds."""
    with database.transaction() as transaction:
        for table in ("jobs", "leases", "workers"):
            transaction.execute(sa.text(f"ALTER TABLE {table} ADD COLUMN tomorrow INTEGER"))
        transaction.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = 'tomorrow'"))


def done_by(database: Database, job_id: str) -> Counter[str]:
    """How many leases of the job each release has done."""
    query = sa.select(lease_table.c.worker_id).where(lease_table.c.job_id == job_id)
    with database.reading() as transaction:
        holders = transaction.execute(query.where(lease_table.c.state == "done")).scalars()
        return Counter(holder.partition("-")[0] for holder in holders)


def test_two_releases_share_what_both_read_and_the_newer_does_the_rest(database, crew, monkeypatch):
    old = submit(database, TRIALS)
    older_workers = [crew.start(**PACE) for _ in range(2)]
    wait_until(lambda: done_by(database, old)["today"] >= 2, 60)
    migrate_beyond(database)
    with pytest.raises(SchemaMismatch, match="Start the newer release here"):
        require_schema(database)  # what runs goes on; what starts is told
    new = submit_strange(database, dataset="digits", trials=20, priority=1)
    planned = submit(database, 20)
    plan = {"lambda": [1e-6, 1.0], "backend": "dense", "tomorrow": 1}
    rewrite(database, planned, plan=plan)  # a plan is advice: what is new in it is left alone
    before = done_by(database, old)["today"]
    wait_until(lambda: done_by(database, old)["today"] >= before + 2, 60)
    with database.reading() as transaction:
        assert lookups.find_job(transaction, new).state == "queued"
    crew.start(**PACE, of_tomorrow=True)
    wait_until(lambda: done_by(database, old)["tomorrow"] >= 1, 60)
    for pid in older_workers:
        os.kill(pid, signal.SIGTERM)
        crew.start(**PACE, of_tomorrow=True)
    assert crew.wait_for_all() == {0}
    for job_id in (old, planned):
        check(database, job_id, expected=objective)
    assert {*done_by(database, old)} == {"today", "tomorrow"}
    assert {*done_by(database, new)} == {"tomorrow"}
    assert stored(database, planned, "plan") == plan
    monkeypatch.setattr(stored_rows, "JobSpec", SpecOfTomorrow)
    check(database, new, expected=objective)
