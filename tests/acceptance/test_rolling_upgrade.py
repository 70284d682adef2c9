"""An earlier release of the history is replaced by this one, process by process, in mid-job."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import create_database, drop_database
from deployments import REPOSITORY, SMALL, Deployment, Installation, checked, wait_until

from ridgeway.database.tables import leases, workers
from ridgeway.jobs.plan import JobPlan
from ridgeway.views import Job

EARLIER = "0916da1"  # its schema is 0011, and its specs have neither `notify` nor `columns`

JOB = {**SMALL, "trials": 900, "epochs": 30, "sampler": "random", "optimizer": "adamw"}

NEW = {"columns": {"mean radius": "drop"}}  # what the earlier release can't read


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source tree of the earlier release."""
    packed = subprocess.run(
        ["git", "archive", EARLIER], cwd=REPOSITORY, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip("this checkout has no history: `git fetch --unshallow` brings it")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tree:
        tree.extractall(folder, filter="data")
    return folder


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    url = create_database(postgres_server, "template0")
    yield url
    drop_database(postgres_server, url)


def of(release: Path) -> dict[str, str]:
    """What makes processes those of a source tree, with small populations."""
    return {"PYTHONPATH": str(release), "RIDGEWAY_MAX_POPULATION": "4"}


def done_by(deployment: Deployment, job: Job, pids: Sequence[int]) -> int:
    """How many leases of the job these processes have ended."""
    query = (
        sa.select(sa.func.count())
        .select_from(leases)
        .join(workers, workers.c.id == leases.c.worker_id)
    )
    of_job = (leases.c.job_id == job.id) & (leases.c.state == "done")
    database = deployment.database()
    with database.reading() as transaction:
        found = query.where(of_job, workers.c.pid.in_(pids))
        count = int(transaction.execute(found).scalar_one())
    database.close()
    return count


def test_an_earlier_release_is_replaced_while_its_job_runs(
    earlier, database_url, source_tree: Installation, tmp_path
):
    old = source_tree.compose(database_url, tmp_path, 1, of(earlier))
    deployments = [old]
    try:
        with old.client as client:
            job = client.submit(JOB)
        olds = old.pids("workers")
        wait_until(lambda: done_by(old, job, olds) >= 2)
        source_tree.run(["migrate"], of(REPOSITORY) | {"RIDGEWAY_DATABASE_URL": database_url})
        migrated = done_by(old, job, olds)
        wait_until(lambda: done_by(old, job, olds) > migrated)
        with old.client as client:
            client.pause(job)  # lest it ends while the newer processes start
        new = source_tree.compose(database_url, tmp_path, 1, of(REPOSITORY))
        deployments.append(new)
        assert old.ready()
        with new.client as client:
            client.resume(job)
            newer = client.submit({**JOB, **NEW, "trials": 10, "priority": 1})
        paused = done_by(new, job, olds)
        wait_until(lambda: done_by(new, job, new.pids("workers")) >= 1)
        wait_until(lambda: done_by(new, job, olds) > paused)
        old.stop()
        checked(new, job)
        checked(new, newer)
        assert done_by(new, newer, olds) == 0
        assert f"job {newer.id} is left to other workers" in old.logs[-1].read_text()
    finally:
        for deployment in deployments:
            deployment.stop()


def test_a_plan_with_placed_strengths_is_left_alone_by_the_earlier_release(earlier, tmp_path):
    plans = [JobPlan(strengths=(0.1, 0.5)), JobPlan(strengths=(0.1, 0.5), placed=(0.5, 0.2, 0.1))]
    read = "import json, sys; from ridgeway.jobs.stored import read_plan as read; "
    read += "read(json.load(sys.stdin))"
    told = [
        subprocess.run(
            [sys.executable, "-c", read],
            input=json.dumps(plan.kept()),
            env={"PYTHONPATH": str(earlier)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        ).stderr
        for plan in plans
    ]
    assert told[0] == ""
    assert "Unreadable: This release can't read the job's plan: lambda" in told[1]
