"""What a worker takes for its pace at a job."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from submitting import submit_resolved

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs.lifecycle import new_id
from ridgeway.settings import Settings
from workers.loop import population_lease
from workers.loop.worker import Worker

PROBE_SECONDS = 1.0
range_of = population_lease.strength_range


def slow_range(*given: Any) -> Any:
    time.sleep(PROBE_SECONDS)
    return range_of(*given)


def test_planning_is_no_part_of_a_workers_pace(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who planned a short job would count as slow, and leave its answer to others."""
    monkeypatch.setattr(population_lease, "strength_range", slow_range)
    job_id = submit_resolved(database, dataset="wine", model={"kind": "linear"}, trials=40)
    settings = Settings(data=tmp_path)
    store = Store(settings.resolved_store_url())
    worker = Worker(database, store, settings, new_id(), "cpu")
    started = time.perf_counter()
    assert worker.work_once()
    took = time.perf_counter() - started
    pace = worker.claimant.known.paces[job_id]
    assert pace.trials == 4
    assert 0 < pace.seconds < took - PROBE_SECONDS
