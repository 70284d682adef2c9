"""A job as one run of MLflow: its settings, the answer's numbers, trials as a table, its files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from ridgeway.errors import RidgewayError
from ridgeway.export.record import Record, write_files

LONGEST = 6000  # of a parameter, in characters: what MLflow keeps
TRIALS = "trials.json"  # the table in MLflow's form


def export_run(record: Record, tracking: str | None, experiment: str | None) -> str:
    """Record the job; return the run's id.

    tracking: MLflow's URI, by default the one that MLflow itself takes from its environment.
    experiment: by default the job's name. RidgewayError where MLflow lacks or refuses.
    """
    try:
        mlflow: Any = import_module("mlflow")
        pandas: Any = import_module("pandas")
    except ModuleNotFoundError as error:
        message = f"To export to MLflow takes {error.name}: pip install 'ridgeway[mlflow]'."
        raise RidgewayError(message) from None
    try:
        with _tracking(mlflow, tracking):
            mlflow.set_experiment(experiment or record.name)
            with mlflow.start_run(run_name=record.name) as run:
                _log(mlflow, pandas, record)
    except mlflow.MlflowException as error:
        raise RidgewayError(f"MLflow refused the run: {error}") from None
    return str(run.info.run_id)


def _log(mlflow: Any, pandas: Any, record: Record) -> None:
    given = record.settings | {f"chosen.{name}": value for name, value in record.chosen.items()}
    mlflow.log_params({name: str(value)[:LONGEST] for name, value in given.items()})
    mlflow.log_metrics(record.results)
    mlflow.set_tags({"ridgeway.job": record.job.id, "ridgeway.state": record.job.state})
    mlflow.set_tag("mlflow.note.content", record.verdict)
    if record.trials:
        mlflow.log_table(pandas.json_normalize(record.trials), TRIALS)
    with tempfile.TemporaryDirectory() as folder:
        write_files(record, Path(folder))
        mlflow.log_artifacts(folder)


@contextmanager
def _tracking(mlflow: Any, uri: str | None) -> Generator[None]:
    """Record at the URI; the program's own one, and MLflow's setting of it, are put back."""
    before, variable = mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")
    if uri is not None:
        mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop("MLFLOW_TRACKING_URI", None)
