"""A job as a run of the trackers that people have: real local ones, read by their own means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted import make_answered_job, make_job

from ridgeway.errors import RidgewayError
from ridgeway.export import mlflow_run, wandb_run
from ridgeway.export.record import Record
from ridgeway.spec.models import PluginModel
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job

# MLflow's and wandb's own: calls that others deprecate, connections left to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def trial(number: int, value: float | None, **params: Any) -> dict[str, Any]:
    told = {"standard_error": None, "nonzero_weights": None, "reason": None}
    state = "complete" if value is not None else "fail"
    return {"number": number, "state": state, "value": value, "params": params, **told}


TRIALS = [
    trial(0, 0.25, penalty="none"),
    trial(1, None, penalty="l1", **{"lambda": 0.01}),
    trial(2, 0.125, penalty="l1", **{"lambda": 0.1}),
]
FILES = {"model.safetensors": b"weights", "answer.json": b"{}"}


ODD = {"<área> [m²]|": 2.0, "rooms": 0.5, "x" * 200: 1.0}  # by names that MLflow refuses


def with_odd_names() -> Job:
    job = make_job()
    assert isinstance(job.spec, JobSpec)
    model = PluginModel.model_validate({"kind": "plugged", "options": ODD})
    spec = job.spec.model_copy(update={"penalty_factors": ODD, "model": model})
    return job.model_copy(update={"spec": spec})


def record(job: Job) -> Record:
    return Record(job, TRIALS, FILES)


def values(table: dict[str, Any]) -> list[float | None]:
    return [row[table["columns"].index("value")] for row in table["data"]]


def test_mlflow_has_the_job_as_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)  # where MLflow keeps files by default
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before, store = mlflow.get_tracking_uri(), f"sqlite:///{tmp_path}/mlflow.db"
    job = make_answered_job()
    own = mlflow_run.export_run(record(job), store, "homes")
    assert mlflow.get_tracking_uri() == before

    tracking = mlflow.MlflowClient(tracking_uri=store)
    run = tracking.get_run(own)
    assert tracking.get_experiment(run.info.experiment_id).name == "homes"
    assert run.info.run_name == job.name
    assert run.info.status == "FINISHED"
    assert run.data.params["dataset"] == "wine"
    assert run.data.params["chosen.lambda"] == "0.00213"
    assert job.recommended is not None
    assert run.data.metrics["best.value"] == job.recommended.best.value
    assert {file.path for file in tracking.list_artifacts(own)} == {*FILES, "trials.json"}
    assert Path(tracking.download_artifacts(own, "model.safetensors")).read_bytes() == b"weights"
    table = json.loads(Path(tracking.download_artifacts(own, "trials.json")).read_text())
    assert values(table) == [0.25, None, 0.125]

    unanswered = mlflow_run.export_run(Record(with_odd_names(), [], {}), store, None)
    run = tracking.get_run(unanswered)
    assert (run.data.tags["ridgeway.state"], run.data.metrics) == ("running", {})
    assert json.loads(run.data.params["penalty_factors"]) == ODD
    assert json.loads(run.data.params["model.options"]) == ODD


def test_what_mlflow_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RidgewayError, match="MLflow refused the run"):
        mlflow_run.export_run(record(make_job()), f"gopher://{tmp_path}", None)


def test_wandb_has_the_job_as_an_offline_run(tmp_path: Path) -> None:
    wandb: Any = pytest.importorskip("wandb")
    job = make_answered_job()
    run = wandb_run.export_run(record(job), tmp_path / "runs", None)
    wandb.teardown()  # as at a program's end: another process writes the file
    assert run.parent.parent == tmp_path / "runs"
    assert run.name.startswith("offline-run-")
    (written,) = run.glob("*.wandb")
    assert job.id.encode() in written.read_bytes()
    (table,) = run.glob("files/media/table/*.json")
    assert values(json.loads(table.read_text())) == [0.25, None, 0.125]
