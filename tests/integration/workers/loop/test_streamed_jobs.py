"""A job whose rows stay in a file, from the upload to the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from streamed import made_up

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker

JOBS: dict[str, dict[str, Any]] = {
    "minibatches": {"optimizer": "adamw", "epochs": 2, "trials": 4},
    "moments": {"optimizer": "exact", "trials": 4},
}


def finished(http: httpx.Client, database: Database, settings: Settings, job: Any) -> Any:
    posted = http.post("/v1/jobs", json={"dataset": "rows", "drop": ["group", "weight"], **job})
    assert posted.status_code == 201, posted.text
    worker = Worker(
        database, Store(settings.resolved_store_url()), settings, lifecycle.new_id(), "cpu"
    )
    while worker.work_once():
        pass
    found = http.get(posted.headers["location"]).json()
    assert found["state"] == "succeeded", found["error"]
    return found


@pytest.mark.parametrize("job", JOBS)
def test_a_streamed_job_has_the_answer_of_one_in_memory(
    http: httpx.Client, database: Database, service_settings: Settings, tmp_path: Path, job: str
) -> None:
    frame = made_up(400, classes=False)
    posted = http.post("/v1/datasets?name=rows", content=frame.to_csv(index=False).encode())
    assert posted.status_code == 201, posted.text
    fields = {**JOBS[job], "model": {"kind": "linear"}, "validation": {"kind": "holdout"}}
    fields["search"] = {"penalty": ["l2"], "lambda": [0.001, 0.01, 0.1, 1.0]}
    expected = finished(http, database, service_settings, fields)
    assert not (tmp_path / "rows").exists()
    streaming = service_settings.model_copy(update={"stream_bytes": 0})
    found = finished(http, database, streaming, fields)
    assert len(list((tmp_path / "rows").glob("*.npy"))) == 1
    ours, theirs = found["recommended"], expected["recommended"]
    assert ours["choice"] == theirs["choice"]
    assert ours["best"]["params"] == theirs["best"]["params"]
    assert ours["best"]["value"] == pytest.approx(theirs["best"]["value"], rel=1e-4)
    assert ours["test"]["best"] == pytest.approx(theirs["test"]["best"], rel=1e-4)
    assert ours["test"]["simplest"] == pytest.approx(theirs["test"]["simplest"], rel=1e-4)
