"""Plots of a real job: by the service, the client and the command line."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from serving import Served

from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.jobs import evidence, lifecycle
from ridgeway.settings import Settings
from service.context import Context
from workers.loop.worker import Worker

# What is drawn is the same on each database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

JOB: dict[str, Any] = {
    "dataset": "wine",
    "model": {"kind": "linear"},
    "search": {"penalty": ["l1", "l2", "none"], "lambda": [1e-3, 1e-2, 1e-1]},
    "validation": {"kind": "folds", "folds": 2},
    "trials": 24,
}


@pytest.fixture
def queued(http: httpx.Client) -> str:
    posted = http.post("/v1/jobs", json=JOB)
    assert posted.status_code == 201, posted.text
    return posted.headers["location"]


@pytest.fixture
def answered(queued: str, database: Database, service_settings: Settings) -> str:
    settings = service_settings
    worker = Worker(database, Store.of(settings), settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    return queued


def test_a_jobs_plots_are_listed_drawn_and_fetched(
    http: httpx.Client, served: Served, answered: str, tmp_path: Path
) -> None:
    job = http.get(answered).json()
    told = http.get(job["links"]["plots"]).json()["plots"]
    titles = {each["name"]: each["title"] for each in told}
    assert {"path", "penalties", "trials", "features"} <= titles.keys()
    spec = http.get(f"{answered}/plots/penalties")
    assert spec.headers["content-type"] == "application/json"
    behind = [
        row["behind"]
        for rows in spec.json()["datasets"].values()
        for row in rows
        if "behind" in row
    ]
    assert behind == sorted(row["behind"] for row in job["recommended"]["penalties"])
    assert spec.json()["description"] == titles["penalties"]
    again = http.get(f"{answered}/plots/penalties", headers={"If-None-Match": spec.headers["etag"]})
    assert again.status_code == 304
    svg = http.get(f"{answered}/plots/path", params={"format": "svg", "theme": "dark"})
    assert svg.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in svg.headers["content-security-policy"]
    assert svg.text.startswith("<svg")
    assert svg.headers["etag"] != spec.headers["etag"]
    with Client(served.url) as client:
        assert {each.name for each in client.plots(job["id"])} == titles.keys()
        picture = client.plot(job["id"], "features", width=358)
        shown = picture._repr_mimebundle_()
        assert shown["image/svg+xml"].startswith("<svg")
        own = client.plot(job["id"], "penalties", "json")
        assert own.spec == spec.json()
    file = tmp_path / "features.png"
    arguments = ["plot", job["id"], "features", "--out", str(file), "--url", served.url]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    listed = CliRunner().invoke(main, ["plot", job["id"], "--url", served.url])
    assert titles["path"] in listed.stdout


def test_before_the_answer_there_are_the_plots_of_trials_alone(
    http: httpx.Client, served: Served, queued: str
) -> None:
    assert http.get(f"{queued}/plots").json() == {"plots": []}
    missing = http.get(f"{queued}/plots/path")
    assert missing.status_code == 404
    assert missing.json()["detail"].endswith("has nothing to draw of 'path' yet.")
    with Client(served.url) as client, pytest.raises(NotFound):
        client.plot(queued.rpartition("/")[2], "trials")


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ("nothing", 404, "there are: path, penalties"),
        ("path?format=gif", 422, "should be 'json', 'svg' or 'png'"),
        ("path?theme=blue", 422, "should be 'light' or 'dark'"),
        ("path?width=1000000", 422, "less than or equal to 2000"),
    ],
)
def test_what_is_no_plot_is_refused_with_what_is(
    http: httpx.Client, queued: str, asked: str, status: int, told: str
) -> None:
    refused = http.get(f"{queued}/plots/{asked}")
    assert refused.status_code == status
    assert told in refused.json()["detail"]


def test_a_drawing_process_that_was_killed_is_started_again(
    http: httpx.Client, served: Served, queued: str
) -> None:
    address = f"{queued}/plots"
    assert http.get(address).is_success
    context: Context = served.app.state.context
    process: Any = context.pictures._process  # pyright: ignore[reportPrivateUsage]
    os.kill(process.pid, signal.SIGKILL)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: http.get(address), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert http.get(address).is_success


def test_of_more_trials_than_are_read_every_nth_is_and_those_that_the_answer_names(
    database: Database, service_settings: Settings, answered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, store = answered.rpartition("/")[2], Store.of(service_settings)
    all_of_them = evidence.read_evidence(database, store, job_id)
    assert len(all_of_them.trials) == all_of_them.trials.there_are
    assert all_of_them.trials.every == 1
    monkeypatch.setattr(evidence, "MOST_TRIALS", 5)
    part = evidence.read_evidence(database, store, job_id)
    count = all_of_them.trials.there_are
    nth = -(-count // 5)
    assert (part.trials.every, part.trials.there_are) == (nth, count)
    assert part.answer is not None
    named = {row.number for row in part.answer.penalties} | {part.answer.best.number}
    assert named | set(range(0, count, nth)) == named | set(part.trials.number)
    assert named <= set(part.trials.number)
    assert json.dumps(part.importance) == "{}"
