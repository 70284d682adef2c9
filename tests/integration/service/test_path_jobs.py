"""POST /v1/jobs of kind path, and POST /v1/jobs/{id}/path beside a job that has succeeded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.study import load_study

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.fleet import WorkerRecord, record_worker
from ridgeway.jobs import lifecycle
from ridgeway.settings import Settings
from workers.loop.worker import Worker

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PATH = {"kind": "path", "dataset": "wine", "penalty": "l1", "strengths": 4}
LINEAR = {"model": {"kind": "linear"}, "validation": {"kind": "holdout"}}


@pytest.fixture(autouse=True)
def a_worker(database: Database) -> None:
    record = WorkerRecord("w", "here", 1, "cpu", "0", frozenset({"linear", "mlp"}), frozenset())
    with database.transaction() as transaction:
        record_worker(transaction, record)


def work(database: Database, settings: Settings) -> None:
    store = Store(settings.resolved_store_url())
    worker = Worker(database, store, settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass


def fields_of(response: httpx.Response) -> set[str]:
    assert response.status_code == 422, response.text
    return {error["field"] for error in response.json()["errors"]}


def test_a_path_beside_a_job_has_what_its_best_trial_of_the_penalty_had(
    http: httpx.Client, database: Database, database_url: str, service_settings: Settings
) -> None:
    search = {"penalty": ["l1", "elastic_net"], "learning_rate": {"low": 0.01, "high": 0.1}}
    spec = {"dataset": "wine", **LINEAR, "search": search, "trials": 6, "epochs": 3, "seed": 5}
    first = http.post("/v1/jobs", json={**spec, "sampler": "random", "rule": "best"}).json()
    asked = {"penalty": "elastic_net", "strengths": 3}
    early = http.post(f"{first['links']['self']}/path", json=asked)
    assert (early.status_code, "queued" in early.json()["detail"]) == (409, True)
    work(database, service_settings)

    key = {"Idempotency-Key": "once"}
    made = http.post(f"{first['links']['self']}/path", json=asked, headers=key)
    assert made.status_code == 201, made.text
    job, again = made.json(), http.post(f"{first['links']['self']}/path", json=asked, headers=key)
    assert made.headers["location"] == job["links"]["self"]
    assert (again.status_code, again.json()["id"]) == (200, job["id"])
    other = http.post(f"{first['links']['self']}/path", json={"penalty": "l2"}, headers=key)
    assert fields_of(other) == {"Idempotency-Key"}

    answer = http.get(first["links"]["self"]).json()["recommended"]
    (number,) = (r["number"] for r in answer["penalties"] if r["penalty"] == "elastic_net")
    params = http.get(f"{first['links']['trials']}/{number}").json()["params"]
    kept = ("dataset", "target", "task", "model", "optimizer", "validation", "epochs", "seed")
    assert {n: job["spec"][n] for n in kept} == {n: first["spec"][n] for n in kept}
    assert (job["spec"]["kind"], job["spec"]["strengths"], job["spec"]["trials"]) == ("path", 3, 3)
    held: dict[str, Any] = {
        n: job["spec"]["search"][n] for n in ("l1_ratio", "learning_rate", "weight_decay")
    }
    assert held == {n: params[n] for n in held}
    assert http.post("/v1/jobs", json=job["spec"]).status_code == 201  # shown as it can be sent
    unsearched = http.post(f"{first['links']['self']}/path", json={"penalty": "l2"}).json()
    best = http.get(f"{first['links']['trials']}/{answer['best']['number']}").json()["params"]
    assert unsearched["spec"]["search"]["learning_rate"] == best["learning_rate"]

    assert fields_of(http.post(f"{first['links']['self']}/path", json={"penalty": "none"}))
    bad = http.post(f"{first['links']['self']}/path", json={"penalty": "l1", "l1_ratio": 0.5})
    assert fields_of(bad) == {"l1_ratio"}
    assert http.post("/v1/jobs/unknown/path", json=asked).status_code == 404
    with database.transaction() as transaction:  # as if a plug-in's data set had been taken away
        gone = sa.update(jobs).where(jobs.c.id == first["id"])
        transaction.execute(gone.values(dataset="gone", spec={**first["spec"], "dataset": "gone"}))
    refused = http.post(f"{first['links']['self']}/path", json=asked)
    assert (refused.status_code, "data set is gone" in refused.json()["detail"]) == (409, True)

    # What the first job has come to since does not matter to a repeat.
    assert http.post(f"{first['links']['self']}/extend", json={"trials": 2}).status_code == 200
    again = http.post(f"{first['links']['self']}/path", json=asked, headers=key)
    assert (again.status_code, again.json()["id"]) == (200, job["id"])


def test_a_path_job_lives_as_any_other(
    http: httpx.Client, database: Database, database_url: str, service_settings: Settings
) -> None:
    job = http.post("/v1/jobs", json={**PATH, **LINEAR}).json()
    self_ = job["links"]["self"]
    assert (job["state"], job["progress"]["trials"]) == ("queued", 4)
    assert http.post(f"{self_}/pause").json()["state"] == "paused"
    assert http.get(f"{self_}/path").status_code == 404
    assert http.post(f"{self_}/resume").json()["state"] == "queued"
    assert fields_of(http.post(f"{self_}/extend", json={"trials": 1})) == {"trials"}
    work(database, service_settings)
    assert http.get(self_).json()["state"] == "succeeded"
    path = http.get(f"{self_}/path").json()
    # Optuna's own reader finds the path in the study, over a range in logarithms.
    study = load_study(study_name=job["study"], storage=RDBStorage(database_url))
    trials = {trial.params["lambda"]: trial.value for trial in study.trials}
    assert trials == {point["strength"]: point["value"] for point in path["points"]}
    assert all(trial.distributions["lambda"].log for trial in study.trials)  # type: ignore[attr-defined]
    assert http.delete(self_).status_code == 204
    assert http.get(f"{self_}/path").status_code == 404
    cancelled = http.post("/v1/jobs", json={**PATH, **LINEAR}).json()["links"]["self"]
    assert http.post(f"{cancelled}/cancel").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"sampler": "tpe", "trials": 9, "pruner": "median"}, {"sampler", "trials", "pruner"}),
        ({"search": {"lambda": 0.1}}, {"search"}),
        ({"strengths": []}, {"strengths"}),
        ({"penalty": None}, {"penalty"}),
        ({"l1_ratio": 0.5}, {"l1_ratio"}),
        ({"target": "nowhere"}, {"target"}),
        ({**LINEAR, "optimizer": "exact", "learning_rate": 1.0}, {"learning_rate"}),
        ({"kind": "search"}, {"penalty"}),
    ],
)
def test_what_a_path_has_not_is_refused_by_its_name(
    http: httpx.Client, body: dict[str, Any], fields: set[str]
) -> None:
    assert fields_of(http.post("/v1/jobs", json={**PATH, **body})) == fields
