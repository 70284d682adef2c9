"""Commands on jobs: thin calls of the client."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

import click

from ridgeway.cli.options import (
    connect,
    echo_plain,
    given_url,
    json_option,
    limit_option,
    print_json,
    url_option,
)
from ridgeway.cli.waiting import print_job, wait_for
from ridgeway.errors import InvalidInput
from ridgeway.views import JobState

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ridgeway.client.client import Client

# What a command needs is imported in it: `--help` must stay quick.

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])


@click.command()
@click.argument("spec", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Wait for the answer, with a progress bar.")
@json_option
@url_option
def submit(spec: Any, wait: bool, as_json: bool, url: str) -> None:
    """Queue the job that SPEC describes: a JSON file, or - for standard input.

    {"dataset": "digits"} is a complete job. Prints the job's id; with --wait its answer.
    """
    with connect(url) as client:
        job = client.submit(_read_spec(spec))
        if wait:
            _wait(client, job.id, as_json)
        elif as_json:
            print_json(job)
        else:
            echo_plain(job.id)
            look = f"ridgeway status {job.id}{given_url()}"
            click.echo(f"Queued. Look at it with: {look}", err=True)


@click.command()
@click.argument("id")
@click.option("--watch", is_flag=True, help="Go on until the job has ended.")
@json_option
@url_option
def status(id: str, watch: bool, as_json: bool, url: str) -> None:
    """Show a job: how far it is, its best trial, its answer."""
    with connect(url) as client:
        if watch:
            _wait(client, id, as_json)
        else:
            print_job(client.job(id), as_json)


@click.command()
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(JobState)),
    multiple=True,
    help="Only jobs in this state; given again, in either.",
)
@click.option("--dataset", help="Only jobs on this data set: its name or id.")
@click.option("--name", help="Only jobs with this in their names.")
@click.option("--kind", type=click.Choice(["search", "path"]), help="Only jobs of this kind.")
@click.option("--since", type=_MOMENT, help="Only jobs submitted then or later, local time.")
@click.option("--before", type=_MOMENT, help="Only jobs submitted before then, local time.")
@limit_option
@json_option
@url_option
def jobs(states: Any, limit: int, as_json: bool, url: str, **filters: Any) -> None:
    """List jobs, newest first."""
    from ridgeway.client.show import job_table, write

    with connect(url) as client:
        found = list(islice(client.jobs(state=states, **filters), limit))
    if as_json:
        print_json(found)
    else:
        write(job_table(found))


@click.command()
@click.argument("id")
@click.option("--csv", "kind", flag_value="csv", help="Print every trial by number, as CSV.")
@click.option("--jsonl", "kind", flag_value="jsonl", help="... as JSON, an object a line.")
@limit_option
@url_option
def trials(id: str, kind: Any, limit: int, url: str) -> None:
    """List the best trials of a job, or write every one out."""
    from ridgeway.client.show import trial_table, write

    with connect(url) as client:
        if kind is None:
            write(trial_table(islice(client.trials(id, order="value"), limit)))
            return
        for piece in client.export(id, kind):
            echo_plain(piece, newline=False)


@click.command()
@click.argument("id")
@json_option
@url_option
def front(id: str, as_json: bool, url: str) -> None:
    """List the trials of a job that no other beats in every objective."""
    from ridgeway.client.show import front_table

    with connect(url) as client:
        _write(client.front(id), as_json, front_table)


@click.command()
@click.argument("id")
@limit_option
@json_option
@url_option
def features(id: str, limit: int, as_json: bool, url: str) -> None:
    """List what the recommended model makes of each feature, the largest first."""
    from ridgeway.client.show_features import feature_table

    with connect(url) as client:
        _write(client.features(id), as_json, lambda found: feature_table(found, limit))


@click.command()
@click.argument("id")
@url_option
def cancel(id: str, url: str) -> None:
    """End a job; what its workers are training is discarded."""
    with connect(url) as client:
        click.echo(client.cancel(id).state)


@click.command()
@click.argument("id")
@url_option
def delete(id: str, url: str) -> None:
    """Delete a job that has ended, with its study and files."""
    with connect(url) as client:
        client.delete(id)
    click.echo("deleted")


@click.command()
@click.argument("id")
@url_option
def pause(id: str, url: str) -> None:
    """Start nothing new of a job; what is being trained finishes."""
    with connect(url) as client:
        click.echo(client.pause(id).state)


@click.command()
@click.argument("id")
@url_option
def resume(id: str, url: str) -> None:
    """Go on with a paused job."""
    with connect(url) as client:
        click.echo(client.resume(id).state)


@click.command()
@click.argument("id")
@url_option
def answer(id: str, url: str) -> None:
    """End the search now; the answer rests on the trials that have ended."""
    with connect(url) as client:
        click.echo(client.answer(id).state)


@click.command()
@click.argument("id")
@click.argument("trials", type=click.IntRange(min=1))
@url_option
def extend(id: str, trials: int, url: str) -> None:
    """Give a job so many more trials; one that has succeeded runs again."""
    with connect(url) as client:
        click.echo(client.extend(id, trials).state)


def _write(found: Any, as_json: bool, show: Callable[[Any], RenderableType]) -> None:
    from ridgeway.client.show import write

    if as_json:
        print_json(found)
    else:
        write(show(found))


def _read_spec(file: Any) -> dict[str, Any]:
    try:
        body: Any = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file.name} is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidInput(f'{file.name} must hold a JSON object like {{"dataset": "digits"}}.')
    return body  # pyright: ignore[reportUnknownVariableType] - the service checks every field


def _wait(client: Client, id: str, as_json: bool) -> None:
    wait_for(client, id, lambda job: print_job(job, as_json), as_json)
