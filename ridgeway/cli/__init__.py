"""The command `ridgeway`: thin commands over the client; `serve` and `worker` start processes."""

from __future__ import annotations

import click

from ridgeway.cli.datasets import datasets
from ridgeway.cli.exporting import export
from ridgeway.cli.jobs import (
    answer,
    cancel,
    delete,
    extend,
    features,
    front,
    jobs,
    pause,
    resume,
    status,
    submit,
    trials,
)
from ridgeway.cli.keys import audit, keys
from ridgeway.cli.models import model
from ridgeway.cli.operating import backup, doctor, gc, restore
from ridgeway.cli.paths import path
from ridgeway.cli.plots import plot
from ridgeway.cli.predicting import predict
from ridgeway.cli.processes import demo, import_study, migrate, serve, worker
from ridgeway.cli.refusals import Commands
from ridgeway.cli.reports import report
from ridgeway.cli.searching import search
from ridgeway.cli.top import top
from ridgeway.cli.workers import workers

EPILOG = """Exit codes: 0 fine, 1 the job failed, 2 bad input, 3 the service can't be reached.

The service is looked for at RIDGEWAY_URL, and sent RIDGEWAY_API_KEY where one is set."""
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(cls=Commands, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(package_name="ridgeway", prog_name="ridgeway")
def main() -> None:
    """Which penalty, and how strong? A hyperparameter search service for regularisation."""


for command in (
    *(search, serve, worker, migrate, import_study, demo),
    *(submit, status, jobs, trials, front, path, features, cancel, pause, resume, answer),
    *(extend, delete, model, predict, plot, report, export),
    *(datasets, workers, keys, audit),
    *(top, doctor, gc, backup, restore),
):
    main.add_command(command)
