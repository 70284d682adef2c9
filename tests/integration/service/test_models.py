"""The models of an answer, fetched by role and format."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from foreign import by_onnx, pipeline_of
from line_models import line_file
from scripted import make_answered_job
from serving import Served

import ridgeway
from ridgeway.answers import ModelRole
from ridgeway.cli import main
from ridgeway.client.client import Client
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.errors import Conflict, InvalidInput, NotFound
from ridgeway.jobs import artifacts, lifecycle
from ridgeway.jobs.artifacts import BASELINE, MODEL, Artifact, trial_model
from ridgeway.settings import Settings
from service import models
from workers.loop.worker import Worker

# What is fetched is the same on each database.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


LINE = line_file()  # safetensors writes metadata in any order


def keep(served: Served, database: Database, job_id: str, **files: bytes) -> None:
    """Give a job an answer, whose trials are 9, 17 and 3, and these models by the names' keys."""
    store, kept = served.app.state.context.store, dict[str, Artifact]()
    names = {"model": MODEL, "best": trial_model(17), "baseline": BASELINE}
    for key, data in files.items():
        address = f"jobs/{job_id}/{key}"
        kept[names[key]] = Artifact(address, store.put(address, data), len(data))
    answer = make_answered_job().recommended
    assert answer is not None
    with database.transaction() as transaction:
        artifacts.replace_artifacts(transaction, job_id, kept, 0.0)
        told = {"recommended": answer.model_dump(mode="json")}
        transaction.execute(jobs.update().where(jobs.c.id == job_id).values(told))


@pytest.fixture
def job_id(http: httpx.Client) -> str:
    return http.post("/v1/jobs", json={"dataset": "wine"}).json()["id"]


def test_a_jobs_models_are_fetched_by_role_in_every_format(
    http: httpx.Client,
    served: Served,
    database: Database,
    service_settings: Settings,
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(1)
    area, kind = rng.normal(100, 30, 120), rng.choice(["flat", "house"], 120)
    price = 1000 * area + np.where(kind == "flat", -20_000, 0) + rng.normal(0, 9000, 120)
    area[::9] = np.nan
    frame = pd.DataFrame({"kind": kind, "area": area, "price": price})
    data = frame.to_csv(index=False).encode()
    assert http.post("/v1/datasets?name=houses", content=data).status_code == 201
    spec = {"model": {"kind": "linear"}}
    spec |= {"search": {"penalty": "l2", "lambda": [1e-3, 1e-2]}, "trials": 2}
    job = http.post("/v1/jobs", json={"dataset": "houses", **spec}).json()
    address = f"{job['links']['self']}/model"
    early = http.get(address, params={"role": "best", "format": "onnx"})
    assert (early.status_code, "no model.safetensors yet" in early.text) == (404, True)
    store = Store.of(service_settings)
    worker = Worker(database, store, service_settings, lifecycle.new_id(), "cpu")
    while worker.work_once():
        pass
    with Client(served.url) as client:
        for role in get_args(ModelRole):
            if role in ("linear", "none"):
                with pytest.raises(
                    NotFound, match=rf"role '{role}'; it has: recommended, simplest"
                ):
                    client.model(job["id"], role)
                continue
            wanted = ridgeway.load_model(job["id"], served.url, role=role).predict(frame)
            given = by_onnx(client.model(job["id"], role, "onnx"), frame)["prediction"]
            np.testing.assert_allclose(given, wanted, rtol=1e-6)
            pipeline = pipeline_of(client.model(job["id"], role, "sklearn"))
            np.testing.assert_allclose(pipeline.predict(frame), wanted, rtol=1e-6)
            card = client.model(job["id"], role, "card").decode()
            assert "| Target | price |" in card
        file = client.download_model(job["id"], tmp_path / "best.onnx", "best", "onnx")
        best = by_onnx(file.read_bytes(), frame)["prediction"]
        with pytest.raises(InvalidInput, match="path: can't be written"):
            client.download_model(job["id"], tmp_path)
    reference = ridgeway.load_model(job["id"], served.url, role="best")
    np.testing.assert_allclose(best, reference.predict(frame), rtol=1e-6)
    assert ridgeway.load_model(job["id"], served.url, role="baseline").features == ()


def test_files_come_with_their_type_name_and_tag(
    job_id: str, http: httpx.Client, served: Served, database: Database
) -> None:
    keep(served, database, job_id, model=LINE, best=LINE)
    met: dict[str, tuple[str, str]] = {}
    for format in ("safetensors", "onnx", "sklearn", "card"):
        given = http.get(f"/v1/jobs/{job_id}/model", params={"format": format, "role": "best"})
        assert given.status_code == 200, given.text
        assert given.headers["etag"].startswith('"')
        met[format] = (given.headers["content-type"], given.headers["content-disposition"])
    binary, name = "application/octet-stream", f'attachment; filename="{job_id}-best'
    assert met == {
        "safetensors": (binary, f'{name}.safetensors"'),
        "onnx": (binary, f'{name}.onnx"'),
        "sklearn": (binary, f'{name}.skops"'),
        "card": ("text/markdown; charset=utf-8", f'{name}.md"'),
    }
    plain = http.get(f"/v1/jobs/{job_id}/model")
    assert plain.content == LINE
    assert f'filename="{job_id}.safetensors"' in plain.headers["content-disposition"]


def test_jobs_of_early_releases_have_the_recommended_model_alone(
    job_id: str, http: httpx.Client, served: Served, database: Database
) -> None:
    keep(served, database, job_id, model=LINE)
    address = f"/v1/jobs/{job_id}/model"
    for role in ("recommended", "simplest"):
        assert http.get(address, params={"role": role}).content == LINE
    refused = http.get(address, params={"role": "best"})
    assert refused.status_code == 404
    assert refused.json()["detail"] == (
        f"Job {job_id} has no model of the role 'best'; it has: recommended, simplest."
    )
    for wrong in ({"role": "worst"}, {"format": "pickle"}):
        refused = http.get(address, params=wrong)
        (field,) = wrong
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field)


def test_what_has_no_such_format_says_the_way_out(
    job_id: str,
    http: httpx.Client,
    served: Served,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address = f"/v1/jobs/{job_id}/model"
    for data, format, said in (
        (line_file("mlp"), "sklearn", "ask for the format onnx"),
        (line_file("forest"), "onnx", "ridgeway.load_model"),
        (b"PK", "onnx", "can't be read"),
        (b"PK", "card", "can't be read"),
    ):
        keep(served, database, job_id, model=data)
        refused = http.get(address, params={"format": format})
        assert (refused.status_code, said in refused.json()["detail"]) == (409, True), refused.text
    keep(served, database, job_id, model=line_file("forest"))
    assert "a model of the plug-in forest" in http.get(address, params={"format": "card"}).text
    # A large model is fetched as it is; its card tells what its metadata say.
    keep(served, database, job_id, model=LINE)
    monkeypatch.setattr(models, "MOST_BYTES", len(LINE) - 1)
    assert http.get(address).content == LINE
    assert "is not known of a model" in http.get(address, params={"format": "card"}).text
    with Client(served.url) as client, pytest.raises(Conflict, match="ridgeway model FILE"):
        client.model(job_id, format="onnx")


def test_few_are_written_at_once(
    job_id: str,
    http: httpx.Client,
    served: Served,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(served, database, job_id, model=LINE)
    together, most = threading.Barrier(models.AT_ONCE), [0]
    running, lock = [0], threading.Lock()
    write = models.rendered

    def watched(*given: Any) -> bytes:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(timeout=20)
        try:
            return write(*given)
        finally:
            with lock:
                running[0] -= 1

    monkeypatch.setattr(models, "rendered", watched)
    answers: list[int] = []

    def ask() -> None:
        answers.append(http.get(f"/v1/jobs/{job_id}/model?format=onnx").status_code)

    threads = [threading.Thread(target=ask) for _ in range(3 * models.AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * len(threads)
    assert most[0] == models.AT_ONCE


def test_the_command_writes_line_file(
    job_id: str,
    http: httpx.Client,
    served: Served,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep(served, database, job_id, model=LINE, baseline=LINE)
    monkeypatch.chdir(tmp_path)

    def told(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["model", *arguments, "--url", served.url])
        assert result.exit_code == code, result.output
        return (result.stdout if code == 0 else result.stderr).strip()

    assert told(job_id) == told("last") == f"{job_id}.safetensors"
    assert Path(f"{job_id}.safetensors").read_bytes() == LINE
    assert told(job_id, "--role", "baseline", "--format", "onnx") == f"{job_id}-baseline.onnx"
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    by_service = by_onnx(Path(f"{job_id}-baseline.onnx").read_bytes(), frame)
    assert by_service["prediction"].tolist() == [1.0, 2.0]
    assert told(job_id, "--format", "card", "--out", "card.md") == "card.md"
    assert "# Model card" in Path("card.md").read_text()
    # A file's other formats need no service.
    assert told(f"{job_id}.safetensors", "--format", "sklearn", "--out", "own.skops") == "own.skops"
    assert pipeline_of(Path("own.skops").read_bytes()).predict(frame).tolist() == [1.0, 2.0]
    said = told("own.skops", "--format", "onnx", code=2)
    assert "is no model of a job" in said
    assert "--format" in told(f"{job_id}.safetensors", "--format", "card", code=2)
    assert "--role" in told(f"{job_id}.safetensors", "--role", "best", code=2)
    assert "it has: recommended" in told(job_id, "--role", "best", code=2)
    assert "can't be written" in told(job_id, "--out", "nowhere/model", code=2)
    with pytest.raises(InvalidInput, match="a file holds one model"):
        ridgeway.load_model(LINE, role="best")
