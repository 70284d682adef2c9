"""A large study is told to be large: no browser loads 100,000 trials for half a minute."""

from __future__ import annotations

import re
from typing import Any

import httpx
import optuna
import pytest
from optuna.storages import RDBStorage

from ridgeway.database.engine import Database
from service import large_studies


@pytest.fixture
def job(http: httpx.Client, database: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A job whose study has a trial more than the dashboard shows unasked."""
    monkeypatch.setattr(large_studies, "MOST_TRIALS", 5)
    job = http.post("/v1/jobs", json={"dataset": "digits"}).json()
    add_trials(database, job["id"], 6)
    return job


def add_trials(database: Database, name: str, count: int) -> None:
    storage = RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=name, storage=storage)
    for _ in range(count):
        study.ask()
    storage.remove_session()
    storage.engine.dispose()


def number_of(job: dict[str, Any]) -> str:
    return job["links"]["dashboard"].rpartition("/")[2]


def test_the_page_of_a_large_study_says_how_large_and_where_else_to_look(http, job):
    page = http.get(job["links"]["dashboard"])
    assert page.headers["content-type"].startswith("text/html")
    assert "<h1>6 trials</h1>" in page.text
    assert len(page.content) < 3_000
    links = re.findall(r'href="([^"]+)"', page.text)
    trials = job["links"]["trials"]
    assert links == [f"{trials}?order=value", f"{trials}.csv", "?anyway=1", "/dashboard"]
    assert http.get(links[0]).json()["trials"] == http.get(trials).json()["trials"]
    assert http.get(links[1]).text.count("\n") == 7
    assert http.get(f"{job['links']['dashboard']}/trialTable").text == page.text


@pytest.mark.parametrize(
    "path", ["/api/studies/{}?after=0", "/api/studies/{}/param_importances", "/csv/{}"]
)
def test_a_click_inside_the_dashboard_gets_a_problem_that_it_shows(http, job, path):
    answer = http.get(path.format(number_of(job)))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "has 6 trials, too many for the dashboard" in answer.json()["reason"]
    assert f"{job['links']['dashboard']}?anyway=1" in answer.json()["detail"]
    assert f"{job['links']['trials']}.csv" in answer.json()["detail"]


def test_who_wants_it_nevertheless_gets_all_of_it(http, job):
    data = f"/api/studies/{number_of(job)}"
    page = http.get(f"{job['links']['dashboard']}?anyway=1")
    assert "/static/bundle.js" in page.text
    assert len(http.get(data).json()["trials"]) == 6  # with the cookie that came with the page
    assert "<h1>6 trials</h1>" in http.get(job["links"]["dashboard"]).text
    http.cookies.clear()
    assert http.get(data).status_code == 409
    assert len(http.get(f"{data}?anyway=1").json()["trials"]) == 6


def test_another_study_is_shown_as_ever(http, job, database):
    small = http.post("/v1/jobs", json={"dataset": "digits"}).json()
    add_trials(database, small["id"], 5)
    assert "/static/bundle.js" in http.get(small["links"]["dashboard"]).text
    assert len(http.get(f"/api/studies/{number_of(small)}").json()["trials"]) == 5
    assert http.get("/api/studies/999999").status_code == 404
    summaries = http.get("/api/studies").json()["study_summaries"]
    assert {each["study_name"] for each in summaries} == {small["id"], job["id"]}


def test_a_large_study_that_was_imported_has_no_links_to_a_job(http, job, database):
    storage = RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.create_study(study_name="elsewhere", storage=storage)
    for _ in range(6):
        study.ask()
    number = study._study_id
    storage.remove_session()
    storage.engine.dispose()
    page = http.get(f"/dashboard/studies/{number}")
    assert "<h1>6 trials</h1>" in page.text
    assert "/v1/" not in page.text
    assert http.get(f"/api/studies/{number}").status_code == 409
