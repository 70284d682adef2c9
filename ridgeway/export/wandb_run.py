"""A job as one offline run of Weights & Biases, which `wandb sync` uploads."""

from __future__ import annotations

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from ridgeway.errors import RidgewayError
from ridgeway.export.record import Record, write_files

KEPT = ("number", "state", "value", "standard_error", "nonzero_weights")


def export_run(record: Record, folder: Path, project: str | None) -> Path:
    """Write the run into the folder; return its own one, for `wandb sync`.

    project: by default `ridgeway`. Nothing is sent. RidgewayError where wandb lacks.
    """
    try:
        wandb: Any = import_module("wandb")
    except ModuleNotFoundError:
        message = "To export to Weights & Biases takes wandb: pip install 'ridgeway[wandb]'."
        raise RidgewayError(message) from None
    folder.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=project or "ridgeway",
        name=record.name,
        dir=str(folder),
        mode="offline",
        config=record.settings | {f"chosen.{name}": own for name, own in record.chosen.items()},
        notes=record.verdict,
        settings=wandb.Settings(silent=True),
    )
    run.log({"trials": _table(wandb, record)})
    run.summary.update({**record.results, "ridgeway.job": record.job.id})
    with tempfile.TemporaryDirectory() as files:
        artifact = wandb.Artifact(f"job-{record.job.id}", type="ridgeway-job")
        for path in write_files(record, Path(files)):
            artifact.add_file(str(path))
        run.log_artifact(artifact)
        run.finish()
    return Path(run.dir).parent


def _table(wandb: Any, record: Record) -> Any:
    """Return the trials as a table with a column for each parameter that any has."""
    params = list(dict.fromkeys(name for trial in record.trials for name in trial["params"]))
    rows = [
        [*(trial[name] for name in KEPT), *(trial["params"].get(name) for name in params)]
        for trial in record.trials
    ]
    return wandb.Table(columns=[*KEPT, *params], data=rows, allow_mixed_types=True)
