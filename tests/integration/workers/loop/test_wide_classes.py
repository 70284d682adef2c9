"""Two classes told apart by thousands of correlated columns in few rows, as in gene expression."""

from __future__ import annotations

import math

import httpx
import numpy as np
import pandas as pd
import pytest

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker

ROWS, COLUMNS, BLOCK = 62, 2_000, 20  # the shape of the colon tumours of Alon et al. (1999)


def tissues() -> bytes:
    """Rows of two classes, 40 and 22; columns in blocks that vary together, in a CSV file."""
    draw = np.random.default_rng(62)
    shared = np.repeat(draw.normal(size=(ROWS, COLUMNS // BLOCK)), BLOCK, axis=1)
    inputs = 0.9 * shared + 0.45 * draw.normal(size=(ROWS, COLUMNS))
    classes = np.arange(ROWS) < 40
    # Three blocks tell of the class, each with noise of its own; one in ten rows tells the wrong.
    told = classes ^ (draw.random(ROWS) < 0.1)
    inputs[:, : 3 * BLOCK] += 1.2 * told[:, None]
    table = pd.DataFrame(np.exp(inputs).round(4)).rename(columns="gene{}".format)
    table["tissue"] = np.where(classes, "tumour", "normal")
    return table.to_csv(index=False).encode()


@pytest.fixture
def finished(
    http: httpx.Client, database: Database, service_settings: Settings
) -> tuple[dict, list[dict]]:
    """A job over all penalties that has ended, and its trials."""
    posted = http.post("/v1/datasets", params={"name": "tissues"}, content=tissues())
    assert posted.status_code == 201, posted.text
    body = {"dataset": "tissues", "model": {"kind": "linear"}, "trials": 40}
    job = http.post("/v1/jobs", json=body)
    assert job.status_code == 201, job.text
    store = Store(service_settings.resolved_store_url())
    worker = Worker(database, store, service_settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    url = job.headers["location"]
    trials = http.get(f"{url}/trials", params={"limit": 100}).json()["trials"]
    return http.get(url).json(), trials


def test_separable_classes_of_many_columns_are_judged_by_finite_losses(
    finished: tuple[dict, list[dict]],
) -> None:
    job, trials = finished
    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["complete"] == 40
    values = [trial["value"] for trial in trials]
    assert all(math.isfinite(value) for value in values)
    penalised = [trial["value"] for trial in trials if trial["params"]["penalty"] != "none"]
    assert max(penalised) < 30  # where steps overshoot they are 430 to 3,006
    share = 40 / ROWS
    constant = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert job["best"]["value"] < constant
    assert not [told for told in job["warnings"] if "epochs" in told]
