"""Reports as the service gives them: read in a browser, kept by client and command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import optuna
import pytest
from browsers import opened
from click.testing import CliRunner
from optuna.storages import RDBStorage
from optuna_dashboard import get_note
from serving import Served

from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker

# A page is the same on each database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

NAME = "diabetes <script>alert(1)</script> [which](http://example.org)"
JOB: dict[str, Any] = {
    "name": NAME,
    "dataset": "diabetes",
    "model": {"kind": "linear"},
    "search": {"penalty": ["none", "l1", "l2"]},
    "trials": 12,
}


@pytest.fixture
def job(http: httpx.Client, database: Database, service_settings: Settings) -> dict[str, Any]:
    """A small job with its answer; before that it had no report."""
    posted = http.post("/v1/jobs", json=JOB)
    assert posted.status_code == 201, posted.text
    early = http.get(f"{posted.headers['location']}/report")
    assert early.status_code == 409
    assert "its report comes with its answer" in early.json()["detail"]
    worker = Worker(database, Store.of(service_settings), service_settings, "worker", "cpu")
    while worker.work_once():
        pass
    done = http.get(posted.headers["location"]).json()
    assert done["state"] == "succeeded", done["error"]
    return done


def test_a_report_is_read_in_a_browser_and_kept_in_a_file(
    http: httpx.Client, served: Served, job: dict[str, Any], tmp_path: Path
) -> None:
    answered = http.get(job["links"]["report"], timeout=120)
    assert answered.status_code == 200, answered.text
    assert answered.headers["content-type"] == "text/html; charset=utf-8"
    assert answered.headers["content-disposition"] == f'inline; filename="{job["id"]}.html"'
    policy = answered.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    with Client(served.url) as client:
        assert client.report(job["id"], tmp_path / "own.html") == answered.text
        assert (tmp_path / "own.html").read_text() == answered.text
        with pytest.raises(InvalidInput, match="path"):
            client.report(job["id"], tmp_path / "no" / "folder.html")
    out = tmp_path / "report.html"
    command = ["report", job["id"], "--out", str(out), "--url", served.url]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.output.strip()) == (0, str(out)), result.output
    assert out.read_text() == answered.text
    _read_in_a_browser(f"{served.url}{job['links']['report']}", job)
    _read_in_a_browser(out.as_uri(), job)


def _read_in_a_browser(address: str, job: dict[str, Any]) -> None:
    """Open the page on a phone: nothing is asked for, nothing complains, nothing overflows."""
    phone = {"width": 390, "height": 844}
    with opened(address, viewport=phone, color_scheme="dark") as page:
        assert job["name"] in page.inner_text("h1")
        sentence: str = job["recommended"]["verdict"]["sentence"]
        assert sentence.split(". ")[0] in page.inner_text(".verdict")
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(20, 23, 26)"  # the styles are let through by the policy
        assert page.locator("figure svg").count() >= 4


def test_the_dashboard_shows_the_jobs_name_its_axes_and_the_verdict(
    http: httpx.Client, job: dict[str, Any], database: Database
) -> None:
    storage = RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=job["id"], storage=storage)
    assert study.metric_names == ["loss"]
    note = get_note(study)
    storage.remove_session()
    storage.engine.dispose()
    assert f"[The report]({job['links']['report']})" in note
    assert "<script>" not in note
    assert r"\[which\]\(http" in note
    number = job["links"]["dashboard"].rpartition("/")[2]
    told = http.get(f"/api/studies/{number}", timeout=120).json()
    assert told["name"] == NAME
    assert told["objective_names"] == ["loss"]
    assert told["note"]["body"] == note
    names = [own["study_name"] for own in http.get("/api/studies").json()["study_summaries"]]
    assert names == [NAME]


def test_there_is_no_report_of_no_job_and_of_one_that_was_cancelled(
    http: httpx.Client, served: Served
) -> None:
    assert http.get("/v1/jobs/0198/report").status_code == 404
    job = http.post("/v1/jobs", json=JOB).json()
    http.post(f"{job['links']['self']}/cancel")
    answer = http.get(job["links"]["report"])
    assert answer.status_code == 409
    assert "is cancelled and has no answer" in answer.json()["detail"]
    with Client(served.url) as client, pytest.raises(Conflict, match="no report"):
        client.report(job["id"])


def test_what_is_extended_has_the_new_verdict_in_its_note(
    http: httpx.Client, job: dict[str, Any], database: Database, service_settings: Settings
) -> None:
    http.post(f"{job['links']['self']}/extend", json={"trials": 5})
    worker = Worker(
        database, Store.of(service_settings), service_settings, lifecycle.new_id(), "cpu"
    )
    while worker.work_once():
        pass
    storage = RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=job["id"], storage=storage)
    attributes = storage.get_study_system_attrs(study._study_id)
    storage.remove_session()
    storage.engine.dispose()
    assert attributes["dashboard:note_ver"] == 2
    assert [key for key in attributes if key.startswith("dashboard:note_str")] == [
        "dashboard:note_str:0"
    ]
