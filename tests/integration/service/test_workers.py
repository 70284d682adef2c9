"""GET /v1/workers: who works, on what and how fast, and how much waits."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from simulated import SPACE, outcome_of
from submitting import submit

from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.database.clock import now
from ridgeway.database.engine import Database
from ridgeway.database.tables import leases, workers
from ridgeway.fleet import WorkerRecord, mark_gone, record_worker
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.lifecycle import pause_job
from ridgeway.jobs.sizes import Sizes


def started(database: Database, name: str) -> Claimant:
    models, datasets = frozenset({"linear", "mlp", "lab"}), frozenset({"digits", "wine"})
    with database.transaction() as transaction:
        record = WorkerRecord(name, f"host-{name}", 7, "cpu", "1.2", models, datasets)
        record_worker(transaction, record)
    return Claimant(name, models, datasets, Sizes(4, 4), 30.0, 5)


def claimed(database: Database, claimant: Claimant) -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
    assert lease is not None
    return lease


def finish(database: Database, lease: Lease) -> None:
    params = [{"penalty": "l1", "lambda": 0.01} for _ in range(lease.size)]
    with database.transaction() as transaction:
        first = holding.reserve(transaction, lease, params, SPACE)
        outcomes = [outcome_of(first + place, 0.01) for place in range(lease.size)]
        # As if it had taken two seconds.
        this = leases.c.id == lease.id
        transaction.execute(sa.update(leases).where(this).values(created_at=now() - 2.0))
        holding.finish_population(transaction, lease, outcomes)


def test_no_worker_and_no_job(http):
    told = http.get("/v1/workers").json()
    assert told["workers"] == []
    assert set(told["queue"].values()) == {0}


def test_each_worker_is_told_with_what_it_is_at_and_how_fast_it_was(http, database):
    job_id = submit(database, name="mine", trials=40)
    waiting = submit(database, trials=7)
    with database.transaction() as transaction:
        pause_job(transaction, waiting)
    busy, idle = started(database, "busy"), started(database, "idle")
    done = claimed(database, busy)
    finish(database, done)
    lease = claimed(database, busy)
    with database.transaction() as transaction:
        holding.renew(transaction, lease, 30.0, share=0.25)
    told = http.get("/v1/workers").json()
    by_name = {each["id"]: each for each in told["workers"]}
    assert set(by_name) == {"busy", "idle"}
    assert by_name["busy"]["work"] == {
        "lease": lease.id,
        "job": job_id,
        "job_name": "mine",
        "kind": "population",
        "trials": lease.size,
        "fraction": 0.25,
    }
    assert (by_name["busy"]["state"], by_name["idle"]["state"]) == ("working", "idle")
    assert by_name["busy"]["trials_lately"] == done.size
    assert by_name["busy"]["trials_per_second"] == pytest.approx(done.size / 2.0, rel=0.3)
    assert by_name["idle"]["work"] is by_name["idle"]["trials_per_second"] is None
    assert by_name["idle"]["plugins"] == {"models": ["lab"], "datasets": [], "penalties": []}
    assert (by_name["idle"]["host"], by_name["idle"]["version"]) == ("host-idle", "1.2")
    assert told["queue"] == {
        "queued": 0,
        "running": 1,
        "paused": 1,
        "trials_waiting": 40 - done.size - lease.size,
        "trials_training": lease.size,
    }
    assert idle.worker_id == "idle"


def test_a_silent_worker_is_told_and_what_it_holds_waits_again_and_a_stopped_one_is_not(
    http, database
):
    submit(database, trials=40)
    lease = claimed(database, started(database, "silent"))
    started(database, "stopped")
    with database.transaction() as transaction:
        mark_gone(transaction, "stopped")
        seen = workers.c.id == "silent"
        transaction.execute(sa.update(workers).where(seen).values(seen_at=now() - 40.0))
        transaction.execute(sa.update(leases).values(expires_at=now() - 10.0))
    told = http.get("/v1/workers").json()
    (worker,) = told["workers"]
    assert (worker["id"], worker["state"]) == ("silent", "silent")
    assert 39 < worker["silent_seconds"] < 100
    assert told["queue"]["trials_training"] == 0
    assert told["queue"]["trials_waiting"] == 40
    assert worker["work"]["lease"] == lease.id  # until another takes it over


def test_the_client_and_the_command_show_them(http, database):
    submit(database, name="\x1b[31mred", trials=40)
    claimed(database, started(database, "busy"))
    with Client(str(http.base_url)) as client:
        assert [each.id for each in client.workers().workers] == ["busy"]
    shown = CliRunner().invoke(main, ["workers", "--url", str(http.base_url)])
    assert shown.exit_code == 0
    assert "host-busy:7" in shown.output
    assert "\x1b" not in shown.output
    assert "0 jobs queued, 1 running, 0 paused" in shown.output
