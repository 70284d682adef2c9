"""What a job's model predicts: by the service, the command line and `load_model` alike."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from line_models import line_file
from serving import Served
from sklearn.metrics import accuracy_score, r2_score

import ridgeway
from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.errors import Conflict, InvalidInput
from ridgeway.jobs import artifacts, lifecycle
from ridgeway.jobs.artifacts import Artifact
from ridgeway.settings import Settings
from ridgeway.spec.wording import parse_spec
from service import models
from service.context import Context
from service.routes import predictions
from workers.data.bundled import bundled_frame
from workers.data.prepare import check_and_prepare
from workers.loop.worker import Worker

# What is predicted is the same on each database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    """Fewer rows make quicker tests."""
    return Settings(data=tmp_path, database_url=database_url, max_predict_rows=200)  # type: ignore[arg-type]


def houses() -> pd.DataFrame:
    """Make a table with gaps, categories and a column that says nothing."""
    rng = np.random.default_rng(1)
    area, kind = rng.normal(100, 30, 150), rng.choice(["flat", "house"], 150)
    price = 1000 * area + np.where(kind == "flat", -20_000, 0) + rng.normal(0, 9000, 150)
    area[::9] = np.nan
    noise = rng.normal(size=150)
    return pd.DataFrame({"kind": kind, "area": area, "noise": noise, "price": price})


def answered(http: httpx.Client, database: Database, settings: Settings, **spec: Any) -> Any:
    """Submit a small job, work it out, return it."""
    job = {"model": {"kind": "linear"}, "search": {"lambda": [1e-3, 1e-2]}, "trials": 6, **spec}
    posted = http.post("/v1/jobs", json=job)
    assert posted.status_code == 201, posted.text
    unanswered = http.post(f"{posted.headers['location']}/predict", json={"rows": [{}]})
    assert unanswered.status_code == 409, unanswered.text
    assert "no model.safetensors yet" in unanswered.json()["detail"]
    worker = Worker(database, Store.of(settings), settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    done = http.get(posted.headers["location"]).json()
    assert done["state"] == "succeeded", done["error"]
    return done


def test_a_jobs_model_predicts_alike_by_every_way_and_as_the_answer_says(
    http: httpx.Client,
    served: Served,
    database: Database,
    service_settings: Settings,
    tmp_path: Path,
) -> None:
    frame = houses()
    data = frame.to_csv(index=False).encode()
    assert http.post("/v1/datasets?name=houses", content=data).status_code == 201
    job = answered(http, database, service_settings, dataset="houses")
    model = ridgeway.load_model(job["id"], served.url)
    predicted = model.predict(frame)
    test = check_and_prepare(parse_spec(job["spec"]), frame).splits.test
    choice, sealed = job["recommended"]["choice"], job["recommended"]["test"]
    score = r2_score(frame["price"].iloc[test], predicted[test])
    assert sealed["metric"] == "r2"
    assert score == pytest.approx(sealed[choice], abs=1e-5)
    features = http.get(job["links"]["features"]).json()["features"]
    told = {name: own for each in features for name, own in each["coefficients"].items()}
    by_name = zip(model.encoded_names_, model.coef_, strict=True)
    assert {name: [pytest.approx(own, rel=1e-6)] for name, own in by_name} == told

    address = f"{job['links']['self']}/predict"
    rows = json.loads(frame.to_json(orient="records"))
    by_json = http.post(address, json={"rows": rows}).json()
    assert by_json["probabilities"] is by_json["classes"] is None
    np.testing.assert_allclose(by_json["predictions"], predicted, rtol=1e-9)
    by_csv = http.post(address, content=data, headers={"Content-Type": "text/csv"}).json()
    np.testing.assert_allclose(by_csv["predictions"], predicted, rtol=1e-9)
    with Client(served.url) as client:
        by_client = client.predict(job["id"], frame.to_dict("records"))
    np.testing.assert_allclose(np.array(by_client.predictions, float), predicted, rtol=1e-12)
    file = tmp_path / "houses.csv"
    file.write_bytes(data)
    out = tmp_path / "predicted.csv"
    arguments = ["predict", job["id"], str(file), "--out", str(out), "--url", served.url]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    written = pd.read_csv(out)
    assert list(written) == ["prediction"]
    np.testing.assert_allclose(written["prediction"], predicted, rtol=1e-9)


def test_classes_come_with_their_probabilities_and_bad_rows_are_named(
    http: httpx.Client,
    served: Served,
    database: Database,
    service_settings: Settings,
    tmp_path: Path,
) -> None:
    spec: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [4]}, "epochs": 5}
    spec |= {"search": {"penalty": "l2", "lambda": 1e-3, "learning_rate": 0.05}, "trials": 2}
    job = answered(http, database, service_settings, dataset="wine", **spec)
    frame = bundled_frame("wine")
    file = tmp_path / "wine.safetensors"
    file.write_bytes(http.get(f"{job['links']['self']}/model").content)
    model = ridgeway.load_model(file)
    test = check_and_prepare(parse_spec(job["spec"]), frame).splits.test
    target, sealed = job["spec"]["target"], frame.iloc[test]
    score = accuracy_score(sealed[target].astype(int), model.predict(sealed).astype(int))
    metrics = job["recommended"]["test"]["metrics"][job["recommended"]["choice"]]
    assert metrics["accuracy"] == pytest.approx(score)

    address = f"{job['links']['self']}/predict"
    rows = json.loads(sealed.to_json(orient="records"))
    told = http.post(address, json={"rows": rows}).json()
    assert told["classes"] == model.classes_.tolist()
    assert told["predictions"] == model.predict(sealed).tolist()
    np.testing.assert_allclose(told["probabilities"], model.predict_proba(sealed), rtol=1e-9)
    data = tmp_path / "wine.csv"
    sealed.to_csv(data, index=False)
    result = CliRunner().invoke(main, ["predict", str(file), str(data)])
    assert result.exit_code == 0
    header, first, *_ = csv.reader(io.StringIO(result.stdout))
    assert header == ["prediction", *(f"probability={label}" for label in told["classes"])]
    assert first[0] == str(told["predictions"][0])
    np.testing.assert_allclose([float(x) for x in first[1:]], told["probabilities"][0], rtol=1e-9)

    del rows[1]["ash"]
    rows[0]["hue"] = "reddish"
    refused = http.post(address, json={"rows": rows})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "rows.1.ash")
    refused = http.post(address, json={"rows": rows[:1]})
    assert refused.json()["errors"] == [
        {
            "field": "rows.0.hue",
            "value": "reddish",
            "message": "must be a number, or null where unknown; met 'reddish'",
        }
    ]
    lacking = sealed.drop(columns="ash").to_csv(index=False).encode()
    refused = http.post(address, content=lacking, headers={"Content-Type": "text/csv"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "ash")
    data.write_bytes(lacking)
    result = CliRunner().invoke(main, ["predict", str(file), str(data)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ash: is missing: the model needs this column" in result.stderr
    many = http.post(address, json={"rows": rows[2:3] * 201})
    assert "has 201 rows; at most 200" in many.json()["detail"]


def test_large_bodies_hold_room_until_they_are_answered(
    kept: str, http: httpx.Client, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    answer = predictions._answer

    def watched(context: Context, *given: Any) -> bytes:
        held.append(context.admission._uploads)
        return answer(context, *given)

    monkeypatch.setattr(predictions, "_answer", watched)
    body = b'{"rows": [{"x": 1}]}'
    headers = {"Content-Type": "application/json"}
    for content in (body, body + b" " * 2**20):
        assert http.post(kept, content=content, headers=headers).status_code == 200
    assert held == [0, 1]
    assert served.app.state.context.admission._uploads == 0


def test_an_answer_holds_so_many_predictions(
    kept: str, http: httpx.Client, served: Served, database: Database
) -> None:
    labels = [str(label) for label in range(10_000)]
    keep(served, database, kept.split("/")[3], line_file(classes=labels))
    rows, csv_rows = {"rows": [{"x": 1}] * 101}, b"x\n" + b"1\n" * 101
    answers = [
        http.post(kept, json=rows),
        http.post(kept, content=csv_rows, headers={"Content-Type": "text/csv"}),
    ]
    for answer, said in zip(answers, ("has 101 rows; at most 100", "than 100 rows"), strict=True):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert (error["field"], error["value"]) == ("rows", 101)
        assert said in error["message"]
    assert http.post(kept, json={"rows": rows["rows"][:2]}).status_code == 200


BODIES = [
    (b"", 400),
    (b"{", 400),
    (b'{"rows": [{"a": NaN}]}', 400),
    (b"[" * 100_000, 400),
    (b'{"rows": [{"a": ' + b"9" * 5000 + b"}]}", 400),
    (b"[]", 422),
    (b'{"rows": []}', 422),
    (b'{"rows": [1]}', 422),
    (b'{"rows": [{}], "row": 1}', 422),
    (b'{"rows": [{}]}', 422),
    (b'{"rows": [{"x": "\\ud800"}]}', 422),
    (b" " * (11 * 2**20), 413),
]


def test_a_body_that_holds_no_rows_is_a_problem(kept: str, http: httpx.Client) -> None:
    for body, status in BODIES:
        answer = http.post(kept, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == status, (body[:50], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 5000
    assert http.post(kept, json=[]).json()["errors"][0]["field"] == "body"


@pytest.fixture
def kept(http: httpx.Client, served: Served, database: Database) -> str:
    """Give a job a model of its own, without work; where it predicts."""
    job = http.post("/v1/jobs", json={"dataset": "wine"}).json()
    keep(served, database, job["id"], line_file())
    return f"{job['links']['self']}/predict"


def keep(served: Served, database: Database, job_id: str, data: bytes) -> None:
    address = f"jobs/{job_id}/model"
    checksum = served.app.state.context.store.put(address, data)
    file = {artifacts.MODEL: Artifact(address, checksum, len(data))}
    with database.transaction() as transaction:
        artifacts.replace_artifacts(transaction, job_id, file, 0.0)


def test_what_can_not_be_predicted_with_here_says_the_way_out(
    kept: str,
    http: httpx.Client,
    served: Served,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = {"rows": [{"x": 3}, {"x": None}]}
    assert http.post(kept, json=rows).json()["predictions"] == [3.0, 0.0]
    assert http.post(kept, json=rows, headers={"Content-Type": "text/plain"}).status_code == 415
    assert http.post("/v1/jobs/00000000/predict", json=rows).status_code == 404
    job_id = kept.split("/")[3]
    for data, said in (
        (line_file("forest"), "is a plug-in's, 'forest'"),
        (b"no model", "can't be read"),
        (line_file()[:-1], "is not as it should be"),
    ):
        keep(served, database, job_id, data)
        refused = http.post(kept, json=rows)
        assert refused.status_code == 409
        assert said in refused.json()["detail"]
    with Client(served.url) as client, pytest.raises(Conflict):
        client.predict(job_id, rows["rows"])
    keep(served, database, job_id, line_file())
    with Client(served.url) as client:
        known = [{"x": np.float32(3)}, {"x": np.float64("nan")}, {"x": np.int64(2)}]
        assert client.predict(job_id, known).predictions == [3.0, 0.0, 2.0]
    with pytest.raises(InvalidInput, match="that no package here offers"):
        ridgeway.load_model(line_file("forest"))
    # Models give way to others, the one that was asked for last stays; a large one is not read.
    size = len(line_file())
    monkeypatch.setattr(models, "MOST_BYTES", size)
    kept_models = served.app.state.context.models
    keep(served, database, job_id, line_file())
    assert http.post(kept, json=rows).status_code == 200
    assert len(kept_models._kept) == 1
    monkeypatch.setattr(models, "MOST_BYTES", size - 1)
    kept_models._kept.clear()
    refused = http.post(kept, json=rows)
    assert refused.status_code == 409
    assert "ridgeway.load_model(JOB).predict(ROWS)" in refused.json()["detail"]
