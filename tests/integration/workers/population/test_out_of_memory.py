"""Real limits of memory, at which the kernel kills and no allocation fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import submitting
from groups import joining, memory_group
from waiting import wait_until

from ridgeway.data.catalogue import Upload, add_dataset
from ridgeway.database.engine import Database
from ridgeway.jobs import lookups
from ridgeway.jobs.lifecycle import submit_job
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec
from ridgeway.views import Job

# Twelve such members would be trained at one time where there is room.
TRAIN = """
import sys
sys.path.insert(0, sys.argv[1])
import torch
from populations import UNEVEN, configuration, job, train
torch.set_num_threads(1)
spec = job(model={"kind": "mlp", "hidden": [1024, 1024]}, epochs=1)
result = train(spec, [configuration("l2", 0.1)] * 12, UNEVEN)
print(len(result.values), (result.diverged_at == 0).all())
"""
HELPERS = Path(__file__).parents[3] / "helpers"
MEGABYTE = 2**20


def test_a_population_is_trained_in_parts_that_fit_into_the_control_group() -> None:
    with memory_group(790 * MEGABYTE) as group:
        argv = [*joining(group), sys.executable, "-c", TRAIN, str(HELPERS)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["12", "True"]


# --- a job that can't fit -------------------------------------------------------------------------


def large_job(database: Database) -> str:
    """Queue a job on an upload of 480 MB, whose bytes are nowhere: nobody must come to read it."""
    numbers = [_column(f"x{place}", "number", 9) for place in range(200)]
    profile = DatasetProfile(rows=300_000, columns=[*numbers, _column("y", "category", 2)])
    upload = Upload("large", "0" * 64, "0" * 64, "datasets/none.parquet", 1, profile)
    spec = resolve_spec(parse_spec({"dataset": "large", "model": {"kind": "linear"}}), profile)
    with database.transaction() as transaction:
        return submit_job(transaction, spec, dataset_id=add_dataset(transaction, upload).id)


def _column(name: str, kind: Any, distinct: int) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        kind=kind,
        missing=0,
        distinct=distinct,
        integral=False,
        minimum=0.0,
        maximum=1.0,
        rarest="no",
        rarest_count=9,
    )


def find(database: Database, job_id: str) -> Job:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id)


def failed_by_worker(
    database: Database, url: str, folder: Path, start: list[str], job_id: str
) -> Job:
    """Return the job, which a real worker, started so, has failed; the worker has outlived it."""
    environment = {"RIDGEWAY_DATABASE_URL": url, "RIDGEWAY_DATA": str(folder)}
    argv = [*start, sys.executable, "-P", "-m", "workers", "--device", "cpu"]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(argv, stderr=log, env={**os.environ, **environment})
    try:
        wait_until(lambda: find(database, job_id).ended or worker.poll() is not None, 200)
        assert worker.poll() is None, (folder / "worker.log").read_text()
    finally:
        worker.terminate()
        worker.wait()
    return find(database, job_id)


def test_data_too_large_for_a_limit_are_told_before_they_are_read(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    with memory_group(1500 * MEGABYTE) as group:
        start, job_id = joining(group), large_job(database)
        job = failed_by_worker(database, database_url, tmp_path, start, job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.startswith("This job needs about ")
    assert "GB a worker" in job.error


@pytest.mark.parametrize("limited", ["control group", "address space"])
def test_a_model_too_large_for_a_limit_is_told_at_the_plan(
    sqlite_template: Path, tmp_path: Path, limited: str
) -> None:
    (tmp_path / "ridgeway.db").write_bytes(sqlite_template.read_bytes())
    url = f"sqlite:///{tmp_path / 'ridgeway.db'}"
    database = Database(url)
    fields = {"dataset": "wine", "model": {"kind": "mlp", "hidden": [4096, 2048]}, "trials": 200}
    job_id = submitting.submit_resolved(database, **fields)
    if limited == "control group":
        with memory_group(900 * MEGABYTE) as group:
            job = failed_by_worker(database, url, tmp_path, joining(group), job_id)
    else:
        start = ["prlimit", f"--as={5 * 2**30}"]
        job = failed_by_worker(database, url, tmp_path, start, job_id)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error.startswith("This job needs about ")
    limit = {"control group": "(of 0.94 GB)", "address space": "(of 5.4 GB)"}[limited]
    assert limit in job.error
    assert job.progress.complete + job.progress.failed == 0
    database.close()
