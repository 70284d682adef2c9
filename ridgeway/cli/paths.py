"""The command `path`: show a regularisation path, or have one made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import click

from ridgeway.cli.options import connect, echo_plain, json_option, print_json, url_option
from ridgeway.cli.waiting import wait_for

if TYPE_CHECKING:
    from ridgeway.client.client import Client
    from ridgeway.views import Job

MODEL = "linear"  # of a path of a data set, as paths are best known


@click.command()
@click.argument("id", metavar="JOB|DATASET")
@click.option("--penalty", metavar="NAME", help="Make a path of it.")
@click.option("--strengths", type=click.IntRange(2, 1000), help="How many; 100 or 32 by default.")
@click.option("--l1-ratio", type=click.FloatRange(0, 1), help="Of its L1 part, where it mixes two.")
@click.option("--target", help="Of a data set: the column to predict; the last by default.")
@click.option("--model", help=f"Of a data set: the model's kind; {MODEL} by default.")
@click.option("--wait", is_flag=True, help="Wait for the new path, with a progress bar.")
@json_option
@url_option
def path(id: str, wait: bool, as_json: bool, url: str, **asked: Any) -> None:
    """Show what the recommended penalty of a job comes to at other strengths.

    With --penalty a path job is made and its id printed, with --wait its path: of a job that has
    succeeded on the same folds, or of a data set by its name.
    """
    given = {name: value for name, value in asked.items() if value is not None}
    if "penalty" not in given:
        if given or wait:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given) or "--wait"
            raise click.UsageError(f"{names} is of a new path: it needs --penalty.")
        with connect(url) as client:
            _show(client, id, as_json)
        return
    with connect(url) as client:
        job = _made(client, id, given)
        if wait:
            wait_for(client, job.id, lambda own: _show(client, own.id, as_json), as_json)
        elif as_json:
            print_json(job)
        else:
            echo_plain(job.id)
            click.echo(f"Queued. Look at it with: ridgeway path {job.id}", err=True)


def _made(client: Client, id: str, given: dict[str, Any]) -> Job:
    """Queue the path: beside a job, whose ids are UUIDs, or of a data set."""
    if not _is_job(id):
        kind = given.pop("model", MODEL)
        return client.submit(kind="path", dataset=id, model={"kind": kind}, **given)
    for name in ("target", "model"):
        if name in given:
            raise click.UsageError(f"--{name} is the job's own: it can't be given beside a job.")
    return client.path_job(id, **given)


def _is_job(id: str) -> bool:
    try:
        uuid.UUID(id)
    except ValueError:
        return False
    return True


def _show(client: Client, id: str, as_json: bool) -> None:
    from ridgeway.client.show import write
    from ridgeway.client.show_path import path_summary

    found = client.path(id)
    if as_json:
        print_json(found)
    else:
        write(path_summary(found))
