"""A job that names its loss, from POST to the answer."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker


# A loss is nothing that a database knows.
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("loss", ["poisson", {"kind": "huber", "delta": 0.8}, "quantile"])
def test_a_job_with_a_loss_of_its_own_succeeds(
    http: httpx.Client, database: Database, service_settings: Settings, loss: Any
) -> None:
    body = {"dataset": "diabetes", "model": {"kind": "linear"}, "trials": 8, "loss": loss}
    posted = http.post("/v1/jobs", json=body)
    assert posted.status_code == 201, posted.text
    store = Store(service_settings.resolved_store_url())
    worker = Worker(database, store, service_settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    job = http.get(posted.headers["location"]).json()
    assert job["state"] == "succeeded", job["error"]
    assert job["warnings"] == []
    name = loss if isinstance(loss, str) else loss["kind"]
    assert job["spec"]["loss"]["kind"] == name
    answer = job["recommended"]
    assert answer["choice"] != "baseline"
    assert answer["best"]["value"] < 0.8 * answer["baseline"]["validation"]
    path = http.get(f"{posted.headers['location']}/path").json()
    assert path["loss"] == name


def test_a_loss_that_the_data_forbid_is_refused(http: httpx.Client) -> None:
    body = {"dataset": "wine", "task": "classification", "loss": "huber"}
    refused = http.post("/v1/jobs", json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["field"] == "loss"
