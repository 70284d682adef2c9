"""`ridgeway export`: a job taken to where people keep their experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ridgeway.cli.options import connect, echo_plain, url_option
from ridgeway.errors import InvalidInput

# What a command needs is imported in it: `--help` must stay quick.


@click.command()
@click.argument("id")
@click.option(
    "--to",
    type=click.Choice(["folder", "csv", "mlflow", "wandb"]),
    required=True,
    help="All files; the trials alone; a run of MLflow; an offline run of Weights & Biases.",
)
@click.option(
    "--out",
    help="The folder (by default ridgeway-ID), the CSV file (by default standard output), or "
    "MLflow's tracking URI (by default MLflow's own).",
)
@click.option("--project", help="MLflow's experiment, or the project at Weights & Biases.")
@url_option
def export(id: str, to: Any, out: str | None, project: str | None, url: str) -> None:
    """Take a job, with its trials, model and answer, to a folder or an experiment tracker."""
    from ridgeway.export.record import TRIALS, read_record, write_files

    with connect(url) as client:
        record = read_record(client, id)
    folder = Path(out or f"ridgeway-{record.job.id}")
    try:
        if to == "csv" and out is None:
            echo_plain(record.files[TRIALS].decode(), newline=False)
        elif to == "csv":
            Path(out or TRIALS).write_bytes(record.files[TRIALS])
        elif to == "folder":
            write_files(record, folder)
            click.echo(folder)
        elif to == "wandb":
            from ridgeway.export import wandb_run

            click.echo(wandb_run.export_run(record, folder, project))
        else:
            from ridgeway.export import mlflow_run

            click.echo(mlflow_run.export_run(record, out, project))
    except OSError as error:
        message = f"can't be written: {error.strerror or error}"
        raise InvalidInput.of("--out", out or str(folder), message) from None
