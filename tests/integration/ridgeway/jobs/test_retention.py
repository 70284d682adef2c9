"""Jobs that ended long ago go, and no other; by hand and by the service's own sweeper."""

from __future__ import annotations

import sqlalchemy as sa
from invariants import check_deleted
from submitting import submit
from waiting import wait_until

from ridgeway.data.store import Store
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import audit
from ridgeway.database.tables import jobs as job_table
from ridgeway.jobs import lifecycle
from ridgeway.jobs.retention import delete_if_old, old_jobs
from ridgeway.keys import audit as audit_module
from ridgeway.keys.audit import Visit, record
from ridgeway.keys.caller import LOCAL
from ridgeway.settings import Settings
from ridgeway.words import DAY_SECONDS
from service.sweeper import Sweeper


def ended(database: Database, days_ago: float, name: str = "") -> str:
    job_id = submit(database, name=name)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
        at = now() - days_ago * DAY_SECONDS
        query = sa.update(job_table).where(job_table.c.id == job_id)
        transaction.execute(query.values(finished_at=at))
    return job_id


def there(database: Database) -> set[str]:
    with database.reading() as transaction:
        return {*transaction.execute(sa.select(job_table.c.id)).scalars()}


def test_old_jobs_are_those_that_ended_so_long_ago_the_oldest_first(database):
    submit(database)
    newer, oldest = ended(database, 91, "b"), ended(database, 200, "a")
    ended(database, 89)
    with database.reading() as transaction:
        found = old_jobs(transaction, 90 * DAY_SECONDS)
    assert [(job.id, job.name) for job in found] == [(oldest, "a"), (newer, "b")]


def test_a_job_that_runs_again_or_is_gone_is_left_alone(database):
    job_id = ended(database, 91)
    again = sa.update(job_table).values(state="running")
    with database.transaction() as transaction:
        transaction.execute(again)
    assert not delete_if_old(database, job_id, 90 * DAY_SECONDS)
    with database.transaction() as transaction:
        transaction.execute(again.values(state="succeeded", finished_at=now()))
    assert not delete_if_old(database, job_id, 90 * DAY_SECONDS)
    assert not delete_if_old(database, "gone", 90 * DAY_SECONDS)
    assert there(database) == {job_id}


def test_the_service_deletes_old_lines_of_the_audit_log(database, tmp_path, monkeypatch):
    monkeypatch.setattr(audit_module, "SLICE", 2)
    with database.transaction() as transaction:
        for days in (400, 366, 364, 0, 1000):
            record(transaction, Visit(LOCAL, f"{days} days ago"), None)
            this = audit.c.action == f"{days} days ago"
            values = {"at": now() - days * DAY_SECONDS}
            transaction.execute(sa.update(audit).where(this).values(values))
    Sweeper(database, Store(str(tmp_path / "store")), Settings(data=tmp_path))._delete_old_lines()
    with database.reading() as transaction:
        left = transaction.execute(sa.select(audit.c.action).order_by(audit.c.id)).scalars().all()
    assert left == ["364 days ago", "0 days ago"]


def test_the_service_deletes_old_jobs_where_the_settings_say_how_old(database, tmp_path):
    old, new = ended(database, 3), ended(database, 1)
    store = Store(str(tmp_path / "store"))
    store.put(f"jobs/{old}/1-1/model.safetensors", b"weights")
    kept = Sweeper(database, store, Settings(data=tmp_path))
    kept._delete_old()
    assert there(database) == {old, new}, "by default jobs are kept for ever"
    sweeper = Sweeper(database, store, Settings(data=tmp_path, keep_jobs_days=2))
    sweeper.start()
    try:
        wait_until(lambda: there(database) == {new} and not store.entries("jobs"), 30)
    finally:
        sweeper.stop()
    check_deleted(database, [old])
