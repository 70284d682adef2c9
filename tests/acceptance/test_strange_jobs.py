"""A job that this release can't read, between real services and workers: nothing stops for it."""

from __future__ import annotations

import httpx
import pytest
from deployments import SMALL, Deployment, checked
from strange import submit_strange

from ridgeway.views import StoredSpec


@pytest.mark.parametrize("spec", [None, "no object at all"])
def test_an_unreadable_job_in_front_stops_nobody(deployment: Deployment, spec: str | None) -> None:
    workers = set(deployment.pids("workers"))
    database = deployment.database()
    bad = submit_strange(database, spec, **SMALL, priority=100)
    database.close()
    with deployment.client as client:
        good = client.submit(SMALL)
    checked(deployment, good)
    assert set(deployment.pids("workers")) == workers, "a worker died of it"
    assert httpx.get(f"{deployment.url}/readyz").status_code == 200
    with deployment.client as client:
        found = {job.id: job for job in client.jobs()}
        assert found[good.id].state == "succeeded"
        assert isinstance(found[bad].spec, StoredSpec)
        assert found[bad].state == "queued"
        assert "can't read the job's spec" in (found[bad].unreadable or "")
        assert client.cancel(bad).state == "cancelled"
