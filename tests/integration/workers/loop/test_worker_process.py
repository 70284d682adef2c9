"""A worker as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import submitting
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.jobs import lookups


def test_a_worker_that_has_done_a_job_still_ends_in_good_order_when_told(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    job_id = submitting.submit_resolved(
        database, dataset="wine", model={"kind": "linear"}, trials=4, epochs=2
    )

    def ended() -> bool:
        with database.reading() as transaction:
            return lookups.find_job(transaction, job_id).ended

    settings = {"RIDGEWAY_DATABASE_URL": database_url, "RIDGEWAY_DATA": str(tmp_path)}
    argv = [sys.executable, "-P", "-m", "workers", "--device", "cpu"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(argv, stderr=output, env={**os.environ, **settings})
    try:
        wait_until(ended, 120)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    finally:
        worker.kill()
    assert "put back" not in log.read_text()
