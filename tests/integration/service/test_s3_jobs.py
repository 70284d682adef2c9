"""Service and workers on a store in S3: whole jobs, copies on the machine, a store gone a while."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from buckets import S3Server
from click.testing import CliRunner
from invariants import check
from serving import Served
from submitting import submit
from waiting import wait_until

import ridgeway
import workers.__main__
from ridgeway.cli import main
from ridgeway.data import s3
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import leases
from ridgeway.errors import InvalidInput
from ridgeway.jobs import lifecycle, putting_off, store_outages
from ridgeway.jobs.reporting import read_material
from ridgeway.operate import database_checks
from ridgeway.operate.findings import Place
from ridgeway.settings import Settings
from service import __main__ as service_main
from workers import train
from workers.loop import store_outage
from workers.loop.tools import Doors
from workers.loop.worker import Worker

# What lies in the store is the same whichever database names it.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JOB: dict[str, Any] = {
    "dataset": "houses",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "search": {"penalty": ["none", "l1"]},
    "validation": {"kind": "folds", "folds": 2},
    "trials": 4,
    "epochs": 4,
}


@pytest.fixture
def service_settings(database_url: str, s3_url: str, tmp_path: Path) -> Settings:
    """Settings of a service whose store is elsewhere; checkpoints after each epoch."""
    return Settings(
        data=tmp_path,
        database_url=database_url,  # type: ignore[arg-type]
        store_url=s3_url,
        cache=tmp_path / "cache",
        checkpoint_seconds=1e-6,
        sweep_seconds=0.1,
    )


def new_worker(database: Database, settings: Settings) -> Worker:
    """A worker with a store of its own, as a process has it."""
    return Worker(database, Store.of(settings), settings, lifecycle.new_id(), "cpu")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everybody ask the store once, and again soon."""
    monkeypatch.setattr(s3, "TRIES", 1)
    monkeypatch.setattr(store_outage, "SHORTEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(store_outage, "LONGEST_PAUSE_SECONDS", 0.2)


def upload(http: httpx.Client) -> pd.DataFrame:
    """Upload the data set of the job, and return it."""
    rng = np.random.default_rng(1)
    area, noise = rng.normal(size=120), rng.normal(size=120)
    frame = pd.DataFrame({"area": area, "noise": noise, "price": 3 * area})
    posted = http.post("/v1/datasets?name=houses", content=frame.to_csv(index=False).encode())
    assert posted.status_code == 201, posted.text
    return frame


def done(http: httpx.Client, address: str, worker: Worker) -> dict[str, Any]:
    """Let the worker do what there is to do; the job, which has succeeded with all its trials."""
    while worker.work_once():
        pass
    job: dict[str, Any] = http.get(address).json()
    assert job["state"] == "succeeded", job["error"]
    assert job["progress"]["complete"] + job["progress"]["pruned"] == JOB["trials"]
    return job


def test_jobs_are_done_on_s3_from_upload_to_deletion_and_outlive_its_absence(
    http: httpx.Client,
    served: Served,
    database: Database,
    service_settings: Settings,
    s3_server: S3Server,
    impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = upload(http)
    s3_server.requests.clear()

    first = http.post("/v1/jobs", json=JOB).headers["location"]
    worker = new_worker(database, service_settings)
    with s3_server.away():
        assert worker.work_once()
    assert "left population 0: The store can't read 'datasets/" in caplog.text
    assert "nothing answers there" in caplog.text
    ours = [each for each in caplog.records if each.name.startswith("ridgeway")]
    assert not any(each.exc_info for each in ours), "a sentence, no traceback"
    assert http.get(first).json()["state"] == "running"
    time.sleep(store_outage.SHORTEST_PAUSE_SECONDS)
    job = done(http, first, worker)
    second = http.post("/v1/jobs", json=JOB).headers["location"]
    other = done(http, second, new_worker(database, service_settings))

    fetched = [each for each in s3_server.requests if re.match(r"GET .*/datasets/\w", each)]
    assert len(fetched) == 1, "once for both workers and both jobs"
    assert len([each for each in s3_server.requests if re.match("PUT .*/checkpoints/", each)]) > 2
    store, model = Store.of(service_settings), f"{first}/model"
    assert not [each for each in store.entries("jobs") if "/checkpoints/" in each.key]

    with s3_server.away():
        answer = http.get(model)
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert "nothing answers there; check AWS_ENDPOINT_URL" in answer.json()["detail"]
    rows = json.loads(frame.head(20).to_json(orient="records"))
    told = http.post(f"{first}/predict", json={"rows": rows}).json()["predictions"]
    own = ridgeway.load_model(job["id"], served.url).predict(frame.head(20))
    np.testing.assert_allclose(told, own, rtol=1e-6)
    for name in ("model", "path", "features", "shown"):
        assert http.get(f"{first}/{name}").status_code == 200, name
    assert read_material(database, store, job["id"]).description is not None

    assert http.delete(first).status_code == 204
    wait_until(lambda: store.folders("jobs") == [f"jobs/{other['id']}"])


def test_outages_of_the_store_cost_a_job_waiting_alone(
    http: httpx.Client,
    database: Database,
    service_settings: Settings,
    s3_server: S3Server,
    impatient: None,
) -> None:
    upload(http)
    address = http.post("/v1/jobs", json=JOB).headers["location"]
    bundled = http.post("/v1/jobs", json={**JOB, "dataset": "wine"}).headers["location"]
    to_lose, lost = threading.Event(), threading.Event()

    def refit_and_lose_the_store(*given: Any, **named: Any) -> Any:
        found = train.refit(*given, **named)
        if to_lose.is_set() and not lost.is_set():
            s3_server.stop()
            lost.set()
        return found

    def told(what: str) -> str | None:
        each = [http.get(job).json()["waiting"] or "" for job in (address, bundled)]
        return next((waiting for waiting in each if what in waiting), None)

    store, doors = Store.of(service_settings), Doors(refit=refit_and_lose_the_store)
    settings = service_settings.model_copy(update={"checkpoint_seconds": 60.0})
    worker = Worker(database, store, settings, lifecycle.new_id(), "cpu", doors)
    thread = threading.Thread(target=worker.run)
    try:
        with s3_server.away():
            thread.start()
            reading = wait_until(lambda: told("The store can't read 'datasets/"))
            wait_until(lambda: http.get(bundled).json()["progress"]["complete"])  # goes on
        assert reading.startswith("The store does not answer a worker on ")
        assert "UTC: The store can't read" in reading
        assert "nothing answers there" in reading
        to_lose.set()
        wait_until(lost.is_set)
        wait_until(lambda: told("The store can't write 'jobs/"))
        s3_server.start()
        for each in (address, bundled):
            wait_until(lambda each=each: http.get(each).json()["state"] == "succeeded")
    finally:
        worker.stop()
        thread.join()
    for each in (address, bundled):
        job = done(http, each, worker)
        assert job["waiting"] is None
        assert http.get(f"{each}/model").status_code == 200
        check(database, job["id"])
    with database.reading() as transaction:
        held = transaction.execute(sa.select(leases)).all()
        assert store_outages.find_outages(transaction) == []
    assert {lease.attempts for lease in held} == {1}
    assert max(lease.fence for lease in held) > 1, "one was handed back"
    assert {lease.fence for lease in held if lease.kind == "answer"} == {1}, "these were kept"


def test_one_file_that_cannot_be_read_ends_its_job_alone_and_lost_credentials_end_none(
    http: httpx.Client,
    database: Database,
    service_settings: Settings,
    s3_server: S3Server,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(putting_off, "FIRST_SECONDS", 0.2)
    upload(http)
    (table,) = Store.of(service_settings).entries("datasets")
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (n % 7, n % 3) for n in range(60))
    assert http.post("/v1/datasets?name=other", content=content).status_code == 201
    refused = http.post("/v1/jobs", json=JOB).headers["location"]
    able = http.post("/v1/jobs", json={**JOB, "dataset": "other", "trials": 2}).headers["location"]
    settings = service_settings.model_copy(update={"max_attempts": 2})
    worker = new_worker(database, settings)

    with s3_server.denying("/bucket-"):
        assert worker.work_once()
    with database.reading() as transaction:
        assert transaction.execute(sa.select(leases.c.attempts)).scalars().all() == [0]

    with s3_server.denying(table.key):
        wait_until(worker.work_once)
        wait_until(lambda: worker.work_once() and http.get(able).json()["state"] == "succeeded")
        wait_until(lambda: worker.work_once() or http.get(refused).json()["state"] == "failed")
    job = http.get(refused).json()
    assert job["state"] == "failed"
    assert job["error"] == (
        f"Data set 'houses': The store can't read '{table.key}': {s3._FORBIDDEN}. The job was "
        f"given up after 2 attempts. {putting_off.REMEDY}"
    )
    assert job["warnings"][0].endswith("The store answers otherwise; it is tried again.")


def test_a_data_set_that_is_gone_for_good_is_not_waited_for(
    http: httpx.Client, database: Database, service_settings: Settings, s3_server: S3Server
) -> None:
    upload(http)
    address = http.post("/v1/jobs", json=JOB).headers["location"]
    store = Store.of(service_settings)
    (table,) = store.entries("datasets")
    store.delete(table.key)
    worker = new_worker(database, service_settings)
    assert worker.work_once()
    job = http.get(address).json()
    assert job["state"] == "failed"
    assert job["error"] == f"Data set 'houses': The store holds no '{table.key}'."


def test_what_nothing_names_goes_from_s3(
    database: Database,
    service_settings: Settings,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    store, url = Store.of(service_settings), str(service_settings.store_url)
    job_id = submit(database)
    for key in (f"jobs/{job_id}/9-9/model.safetensors", f"datasets/{'b' * 64}.parquet"):
        store.put(key, b"nobody's")
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    s3_server.s3.create_multipart_upload(Bucket=bucket, Key=f"{folder}/datasets/{'c' * 64}.parquet")
    time.sleep(max(0.0, 1.0 - time.time() % 1.0))  # S3 tells whole seconds
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", service_settings.resolved_database_url())
    monkeypatch.setenv("RIDGEWAY_STORE_URL", url)
    monkeypatch.setenv("RIDGEWAY_LEFTOVER_SECONDS", "0.001")
    result = CliRunner().invoke(main, ["gc", "--json", "--data", str(tmp_path)])
    assert result.exit_code == 0, result.output
    counts = {each["kind"]: each["count"] for each in json.loads(result.stdout)}
    assert {kind for kind, count in counts.items() if count == 1} == {
        "models",
        "data sets",
        "unfinished uploads",
    }
    assert store.entries("jobs") == store.entries("datasets") == store.uploads() == []


def test_who_is_not_let_in_says_so_and_ends(
    service_settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    assert database_checks.check_store(Place(service_settings, database)).status == "ok"
    settings = service_settings.model_copy(update={"store_url": "s3://no-such-bucket/x"})
    found = database_checks.check_store(Place(settings, database))
    assert found.sentence == "the store can't be used: there is no such bucket"
    assert (found.remedy or "").startswith("Make it, or check RIDGEWAY_STORE_URL")
    with pytest.raises(InvalidInput, match="RIDGEWAY_STORE_URL: there is no such bucket"):
        service_main._check(settings)
    monkeypatch.setattr(sys, "argv", ["workers"])
    for name in ("keep_private", "log_to_standard_error"):  # they would change these tests
        monkeypatch.setattr(f"workers.__main__.{name}", lambda *_: None)
    url = service_settings.resolved_database_url()
    monkeypatch.setenv("RIDGEWAY_DATABASE_URL", url)
    monkeypatch.setenv("RIDGEWAY_STORE_URL", "s3://no-such-bucket/x")
    assert workers.__main__.main() == 2
    assert "RIDGEWAY_STORE_URL: there is no such bucket; make it" in capsys.readouterr().err
    monkeypatch.setenv("RIDGEWAY_STORE_URL", str(service_settings.store_url))
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RIDGEWAY_CACHE", str(tmp_path / "file" / "cache"))
    assert workers.__main__.main() == 2
    assert "RIDGEWAY_CACHE: can't be written: Not a directory" in capsys.readouterr().err
