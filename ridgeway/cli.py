"""The command `ridgeway`: thin commands over the client; `serve` and `worker` start processes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, get_args

import click
from pydantic import BaseModel, ValidationError

from ridgeway.errors import InvalidInput, JobFailed, RidgewayError, Unreachable
from ridgeway.settings import Settings
from ridgeway.views import JobState

if TYPE_CHECKING:
    from ridgeway.client.client import Client

# What a command needs is imported in it: `serve` must stay small and `--help` quick.

FAILED, BAD_INPUT, UNREACHABLE, INTERRUPTED = 1, 2, 3, 130
EPILOG = """Exit codes: 0 fine, 1 the job failed, 2 bad input, 3 the service can't be reached.

The service is looked for at RIDGEWAY_URL, and sent RIDGEWAY_API_KEY where one is set."""
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_Command = TypeVar("_Command", bound=Callable[..., Any])


class _Commands(click.Group):
    """Turns our errors into one message on standard error and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InvalidInput as error:
            _refuse(error)
        except ValidationError as error:
            _refuse_settings(error)
        except JobFailed as error:
            _end(FAILED, str(error))
        except Unreachable as error:
            _end(UNREACHABLE, str(error))
        except RidgewayError as error:
            _end(BAD_INPUT, str(error))
        except KeyboardInterrupt:
            _end(INTERRUPTED, "Interrupted. A job that was submitted goes on.")


def _end(code: int, message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(code)


def _refuse(error: InvalidInput) -> NoReturn:
    """Every bad field with its value and what would be accepted."""
    if not error.errors:
        _end(BAD_INPUT, str(error))
    lines = [
        f"  {field.field or 'body'}{_met(field.value)}: {field.message}" for field in error.errors
    ]
    _end(BAD_INPUT, "\n".join(["Not accepted:", *lines]))


def _met(value: Any) -> str:
    return "" if value is None else f" = {json.dumps(value, default=str, ensure_ascii=False)}"


def _refuse_settings(error: ValidationError) -> NoReturn:
    lines = [
        f"  RIDGEWAY_{'_'.join(map(str, item['loc'])).upper()}: {item['msg']}"
        for item in error.errors(include_input=False)
    ]
    _end(BAD_INPUT, "\n".join(["Not accepted from the environment:", *lines]))


def _setting(flag: str, name: str, **options: Any) -> Callable[[_Command], _Command]:
    """An option whose default, environment variable and meaning are those of a setting."""
    field = Settings.model_fields[name]
    return click.option(
        flag,
        default=field.default,
        envvar=f"RIDGEWAY_{name.upper()}",
        help=f"{field.description}".capitalize() + ".",
        show_default=True,
        show_envvar=True,
        **options,
    )


_url = _setting("--url", "url")
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


@click.group(cls=_Commands, context_settings=CONTEXT, epilog=EPILOG)
@click.version_option(package_name="ridgeway", prog_name="ridgeway")
def main() -> None:
    """Which penalty, and how strong? A hyperparameter search service for regularisation."""


# --- processes --------------------------------------------------------------------------------


class _Count(click.ParamType[Any]):
    """`auto`, or how many."""

    name = "auto|N"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= 1024:
            self.fail(f"{value!r} is neither 'auto' nor a number from 1 to 1024.", param, ctx)
        return number


def _log_to_standard_error() -> None:
    logging.basicConfig(
        level=Settings().log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


@main.command()
@_setting("--host", "host")
@_setting("--port", "port", type=click.IntRange(0, 65535))
@_setting("--data", "data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--workers",
    type=_Count(),
    default="auto",
    show_default=True,
    help="How many worker processes; auto: one for each GPU, or one for each core without.",
)
@click.option("--supervised", is_flag=True, hidden=True)
def serve(host: str, port: int, data: Path, workers: Any, supervised: bool) -> None:
    """Run the service and its workers on this machine, in one data folder.

    Without RIDGEWAY_DATABASE_URL the database is SQLite in the folder, and is brought up to this
    release by itself. Port 0 is any free one. DATA/serve.json says where it listens, once it does.
    """
    from ridgeway.host.serve import serve as run
    from ridgeway.host.supervisor import die_with_parent

    if supervised:
        die_with_parent()
    _log_to_standard_error()
    sys.exit(run(data, host, port, workers, _announce))


def _announce(url: str) -> None:
    click.echo(f"Ridgeway is ready at {url}")
    click.echo(f"  reference  {url}/docs\n  dashboard  {url}/dashboard\n  stop with Ctrl-C")


@main.command()
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where workers run; ray is not supported yet.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What to train on; auto: GPUs where torch finds them.",
)
@click.option(
    "--processes",
    type=_Count(),
    default="auto",
    show_default=True,
    help="How many worker processes; auto: one for each GPU, or one for each core without.",
)
def worker(engine: str, device: Any, processes: Any) -> None:
    """Run workers for the service that shares RIDGEWAY_DATABASE_URL and RIDGEWAY_STORE_URL."""
    from ridgeway.host.roles import require_installed, worker_roles
    from ridgeway.host.supervisor import Supervisor

    if engine == "ray":
        raise InvalidInput.of("--engine", engine, "not supported in this release; accepted: local")
    require_installed("workers")
    _log_to_standard_error()
    sys.exit(Supervisor(worker_roles(device, processes), {}).run())


@main.command()
def migrate() -> None:
    """Bring the schema of the database at RIDGEWAY_DATABASE_URL up to this release."""
    from ridgeway.host.roles import require_installed
    from ridgeway.host.supervisor import UPKEEP

    require_installed("database")
    sys.exit(subprocess.run([*UPKEEP, "migrate"], check=False).returncode)


@main.command("import-study")
@click.argument("url")
@click.argument("name")
def import_study(url: str, name: str) -> None:
    """Copy the Optuna study NAME out of the database at URL into RIDGEWAY_DATABASE_URL's.

    A job can then start warm from it: {"warm_start": {"study": NAME}}.
    """
    from ridgeway.host.roles import require_installed
    from ridgeway.host.supervisor import UPKEEP

    require_installed("database")
    # By standard input: a URL may hold a password, and whoever is on the machine reads arguments.
    argv = [*UPKEEP, "import-study", name]
    sys.exit(subprocess.run(argv, input=url, text=True, check=False).returncode)


@main.command()
@_setting("--data", "data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--trials",
    type=click.IntRange(1, 100_000),
    default=200,
    show_default=True,
    help="How many trials to search.",
)
def demo(data: Path, trials: int) -> None:
    """Serve on a free port, search breast_cancer for its penalty, print the answer, stop."""
    from ridgeway.demo import run

    run(data, trials)


# --- jobs -------------------------------------------------------------------------------------


@main.command()
@click.argument("spec", type=click.File("rb"))
@click.option("--wait", is_flag=True, help="Wait for the answer, with a progress bar.")
@_as_json
@_url
def submit(spec: Any, wait: bool, as_json: bool, url: str) -> None:
    """Queue the search job that SPEC describes: a JSON file, or - for standard input.

    {"dataset": "digits"} is a complete job. Prints the job's id; with --wait its answer.
    """
    with _client(url) as client:
        job = client.submit(_read_spec(spec))
        if wait:
            _wait(client, job.id, as_json)
        elif as_json:
            _print_json(job)
        else:
            click.echo(job.id)
            click.echo(f"Queued. Look at it with: ridgeway status {job.id}", err=True)


@main.command()
@click.argument("id")
@click.option("--watch", is_flag=True, help="Go on until the job has ended.")
@_as_json
@_url
def status(id: str, watch: bool, as_json: bool, url: str) -> None:
    """Show a job: how far it is, its best trial, its answer."""
    with _client(url) as client:
        if watch:
            _wait(client, id, as_json)
        else:
            _print_job(client.job(id), as_json)


@main.command()
@click.option("--state", type=click.Choice(get_args(JobState)), help="Only jobs in this state.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="How many to list at most.",
)
@_as_json
@_url
def jobs(state: Any, limit: int, as_json: bool, url: str) -> None:
    """List jobs, newest first."""
    from ridgeway.client.show import job_table, write

    with _client(url) as client:
        found = list(islice(client.jobs(state=state), limit))
    if as_json:
        _print_json(found)
    else:
        write(job_table(found))


@main.command()
@click.argument("id")
@click.option("--csv", "kind", flag_value="csv", help="Print every trial by number, as CSV.")
@click.option("--jsonl", "kind", flag_value="jsonl", help="... as JSON, an object a line.")
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="How many to list at most.",
)
@_url
def trials(id: str, kind: Any, limit: int, url: str) -> None:
    """List the best trials of a job, or write every one out."""
    from ridgeway.client.show import trial_table, write

    with _client(url) as client:
        if kind is None:
            write(trial_table(islice(client.trials(id, order="value"), limit)))
            return
        for piece in client.export(id, kind):
            click.echo(piece, nl=False)


@main.command()
@click.argument("id")
@_as_json
@_url
def front(id: str, as_json: bool, url: str) -> None:
    """List the trials of a job that no other beats in every objective."""
    from ridgeway.client.show import front_table, write

    with _client(url) as client:
        found = client.front(id)
    if as_json:
        _print_json(found)
    else:
        write(front_table(found))


@main.command()
@click.argument("id")
@_url
def cancel(id: str, url: str) -> None:
    """End a job; what its workers are training is discarded."""
    with _client(url) as client:
        click.echo(client.cancel(id).state)


@main.command()
@click.argument("id")
@_url
def pause(id: str, url: str) -> None:
    """Start nothing new of a job; what is being trained finishes."""
    with _client(url) as client:
        click.echo(client.pause(id).state)


@main.command()
@click.argument("id")
@_url
def resume(id: str, url: str) -> None:
    """Go on with a paused job."""
    with _client(url) as client:
        click.echo(client.resume(id).state)


@main.command()
@click.argument("id")
@click.argument("trials", type=click.IntRange(min=1))
@_url
def extend(id: str, trials: int, url: str) -> None:
    """Give a job so many more trials; one that has succeeded runs again."""
    with _client(url) as client:
        click.echo(client.extend(id, trials).state)


# --- data sets --------------------------------------------------------------------------------


@main.group()
def datasets() -> None:
    """Data sets that jobs can name."""


@datasets.command("list")
@_as_json
@_url
def list_datasets(as_json: bool, url: str) -> None:
    """List the data sets that jobs can name."""
    from ridgeway.client.show import dataset_table, write

    with _client(url) as client:
        found = client.datasets()
    if as_json:
        _print_json(found)
    else:
        write(dataset_table(found))


@datasets.command("add")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--name", required=True, help="The name that jobs will use.")
@_as_json
@_url
def add_dataset(file: Path, name: str, as_json: bool, url: str) -> None:
    """Upload FILE: CSV (gzip too), Parquet or npz; its last column is the target by default."""
    from ridgeway.client.show import dataset_table, write

    with _client(url) as client:
        dataset = client.add_dataset(file, name)
    if as_json:
        _print_json(dataset)
    else:
        write(dataset_table([dataset]))


# --- helpers ----------------------------------------------------------------------------------


def _client(url: str) -> Client:
    from ridgeway.client.client import Client

    return Client(url)


def _read_spec(file: Any) -> dict[str, Any]:
    try:
        body: Any = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{file.name} is not JSON: {error}.") from None
    if not isinstance(body, dict):
        raise InvalidInput(f'{file.name} must hold a JSON object like {{"dataset": "digits"}}.')
    return body  # pyright: ignore[reportUnknownVariableType] - the service checks every field


def _wait(client: Client, id: str, as_json: bool) -> None:
    """Wait for the job and show it; JobFailed where it ends otherwise than succeeded."""
    try:
        _print_job(client.wait(id, progress=True), as_json)
    except JobFailed:
        _print_job(client.job(id), as_json)
        raise


def _print_job(job: Any, as_json: bool) -> None:
    from ridgeway.client.show import job_summary, write

    if as_json:
        _print_json(job)
    else:
        write(job_summary(job))


def _print_json(shown: BaseModel | list[Any]) -> None:
    """One JSON document on standard output."""
    items = shown if isinstance(shown, list) else [shown]
    written = [item.model_dump(mode="json") for item in items]
    document = written if isinstance(shown, list) else written[0]
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
