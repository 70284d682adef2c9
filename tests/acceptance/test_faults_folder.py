"""The data folder is full, its database locked, its workers restarted one after the other."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from deployments import Deployment, Installation, checked, fill, wait_until

from ridgeway.database.engine import Database
from ridgeway.database.schema import VERSION_TABLE, require_schema
from ridgeway.database.tables import leases as lease_table
from ridgeway.views import Job

LOCKED_SECONDS = float(os.environ.get("RIDGEWAY_TEST_LOCKED_SECONDS", "4"))
SMALL = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "validation": {"kind": "folds", "folds": 2},
    "trials": 120,
    "epochs": 40,
    "sampler": "random",
}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root's rights")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def look(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.job(job)


def ended(deployment: Deployment, job: Job) -> int:
    progress = look(deployment, job).progress
    return progress.complete + progress.pruned + progress.failed


def submit(deployment: Deployment, **fields: Any) -> Job:
    with deployment.client as client:
        return client.submit({**SMALL, **fields})


def log_of(deployment: Deployment) -> str:
    return "".join(log.read_text() for log in deployment.logs)


def test_a_full_disk_is_told_and_the_job_goes_on_when_there_is_room(source_tree, small_disk):
    data = small_disk / "data"
    environment = {"RIDGEWAY_MAX_ATTEMPTS": "1000"}
    deployment = source_tree.serve(data, workers=1, environment=environment)
    try:
        job = submit(deployment)
        wait_until(lambda: ended(deployment, job) > 0)
        ballast = small_disk / "ballast"
        # All that is left; the write-ahead log would live on in room that it has already.
        fill(ballast)
        wait_until(lambda: "disk is full" in log_of(deployment), 60)
        ballast.unlink()
        checked(deployment, job)
    finally:
        deployment.stop()


@pytest.fixture(scope="module")
def folder(
    source_tree: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """`ridgeway serve` whose transactions wait half a second for a lock."""
    data = tmp_path_factory.mktemp("folder") / "data"
    environment = {"RIDGEWAY_BUSY_TIMEOUT_SECONDS": "0.5"}
    deployment = source_tree.serve(data, workers=2, environment=environment)
    yield deployment
    deployment.stop()


def test_a_database_locked_by_another_process_holds_work_up_and_loses_none(folder):
    job = submit(folder, trials=200)
    processes = set(folder.pids("workers"))
    wait_until(lambda: ended(folder, job) > 0)
    path = folder.database().url.database
    locker = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys, time\n"
            "connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)\n"
            "connection.execute('BEGIN IMMEDIATE')\n"
            "print('locked', flush=True)\n"
            f"time.sleep({LOCKED_SECONDS})\n",
            str(path),
        ],
        stdout=subprocess.PIPE,
    )
    assert locker.stdout is not None
    assert locker.stdout.readline() == b"locked\n"
    before = ended(folder, job)  # a look waits for no writer
    locker.wait()
    locker.stdout.close()
    assert before <= ended(folder, job) < 200
    assert "database is locked" in log_of(folder)
    checked(folder, job)
    assert set(folder.pids("workers")) == processes


def test_workers_restarted_one_after_the_other_cost_no_attempt(folder):
    job = submit(folder, trials=600, epochs=100)
    for pid in folder.pids("workers"):
        wait_until(lambda: look(folder, job).progress.running > 0)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda pid=pid: pid not in folder.pids("workers"))
        wait_until(lambda: len(folder.pids("workers")) == 2)
    job = checked(folder, job)
    with folder.database().reading() as transaction:
        rows = transaction.execute(
            sa.select(lease_table).where(lease_table.c.job_id == job.id)
        ).all()
    assert {row.attempts for row in rows} == {1}
    assert any(row.fence > 1 for row in rows), "no lease was handed back"


# --- upgrades ---------------------------------------------------------------------------------


def ridgeway(url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", *arguments],
        env={**os.environ, "RIDGEWAY_DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_migrating_processes_at_once_make_one_schema(empty_database_url):
    migrating = [ridgeway(empty_database_url, "ridgeway", "migrate") for _ in range(2)]
    told = [process.communicate(timeout=120)[0] for process in migrating]
    assert [process.returncode for process in migrating] == [0, 0], told
    database = Database(empty_database_url)
    require_schema(database)
    database.close()


def test_a_worker_of_an_older_release_refuses_a_newer_schema(database, database_url):
    with database.transaction() as transaction:
        transaction.execute(sa.text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    worker = ridgeway(database_url, "workers", "--device", "cpu")
    said, _ = worker.communicate(timeout=120)
    assert worker.returncode == 2
    assert re.search(r"schema is 9999, which a newer release has made.* up to \d+", said)
    assert "Traceback" not in said
