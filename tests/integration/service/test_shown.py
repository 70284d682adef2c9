"""GET /v1/jobs/{id}/shown: there with the answer, and gone with it."""

from __future__ import annotations

import httpx
import pytest
import sqlalchemy as sa

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.jobs.artifacts import SHOWN
from ridgeway.settings import Settings
from ridgeway.shown import Shown
from workers.loop.worker import Worker

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LINEAR = {"dataset": "wine", "model": {"kind": "linear"}, "validation": {"kind": "holdout"}}


@pytest.fixture(autouse=True)
def a_worker(database: Database) -> None:
    record = WorkerRecord("w", "here", 1, "cpu", "0", frozenset({"linear", "mlp"}), frozenset())
    with database.transaction() as transaction:
        record_worker(transaction, record)


def test_it_is_served_once_the_job_is_answered(
    http: httpx.Client, database: Database, service_settings: Settings
) -> None:
    job = http.post("/v1/jobs", json={**LINEAR, "trials": 8}).json()
    address = job["links"]["shown"]
    early = http.get(address)
    assert early.status_code == 404
    assert "has no shown.json yet" in early.json()["detail"]
    worker = Worker(
        database, Store(service_settings.resolved_store_url()), service_settings, "w", "cpu"
    )
    while worker.work_once():
        pass
    answered = http.get(address)
    assert answered.headers["Content-Type"] == "application/json"
    assert len(answered.content) < 300_000
    found = Shown.model_validate_json(answered.content)
    assert found.sealed is not None
    assert [own.name for own in found.sealed.classes] == ["0", "1", "2"]
    assert found.weights is not None
    assert found.flicker is not None
    assert set(found.absent) == {"learning"}
    # An answer of an earlier release has no such file.
    with database.transaction() as transaction:
        transaction.execute(sa.delete(artifacts).where(artifacts.c.name == SHOWN))
    old = http.get(address)
    assert old.status_code == 404
    assert old.json()["detail"] == f"Job {job['id']} has no shown.json."
    assert http.get(job["links"]["features"]).status_code == 200
