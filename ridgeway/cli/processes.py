"""Commands that start processes: serve, worker, migrate, import-study, demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click

from ridgeway.cli.options import setting
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

# What a command needs is imported in it: `serve` must stay small and `--help` quick.


class Count(click.ParamType[Any]):
    """A number of processes, or `auto`."""

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


@click.command()
@setting("--host", "host")
@setting("--port", "port", type=click.IntRange(0, 65535))
@setting("--data", "data", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--workers",
    type=Count(),
    default="auto",
    show_default=True,
    help="How many worker processes; auto: two for each GPU, or one for each core without.",
)
@click.option(
    "--insecure", is_flag=True, help="Ask nobody for a key: whoever reaches it may do everything."
)
@click.option("--supervised", is_flag=True, hidden=True)
def serve(data: Path, workers: Any, insecure: bool, supervised: bool, **listening: Any) -> None:
    """Run the service and its workers on this machine, in one data folder.

    On the loopback interface it asks for no key. On any other address every request needs one, made
    by `ridgeway keys create`; without any it does not start.

    Without RIDGEWAY_DATABASE_URL the database is SQLite in the folder, and is brought up to this
    release by itself. Port 0 is any free one. DATA/serve.json says where it listens, once it does.
    """
    from ridgeway.host.roles import require_installed
    from ridgeway.host.serve import Address
    from ridgeway.host.serve import serve as run
    from ridgeway.host.supervisor import die_with_parent

    if supervised:
        die_with_parent()
    require_installed("service", "workers")
    _start_the_log()
    sys.exit(run(data, Address(**listening, insecure=insecure), workers, _announce))


def _start_the_log() -> None:
    from ridgeway.logs import log_to_standard_error

    log_to_standard_error(Settings())


def _announce(url: str) -> None:
    click.echo(f"Ridgeway is ready at {url}")
    click.echo(f"  reference  {url}/docs\n  dashboard  {url}/dashboard\n  stop with Ctrl-C")


@click.command()
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What to train on; auto: GPUs where torch finds them.",
)
@click.option(
    "--processes",
    type=Count(),
    default="auto",
    show_default=True,
    help="How many worker processes; auto: two for each GPU, or one for each core without.",
)
def worker(device: Any, processes: Any) -> None:
    """Run workers for the service that shares RIDGEWAY_DATABASE_URL and RIDGEWAY_STORE_URL."""
    from ridgeway.host.pulse import Patience
    from ridgeway.host.roles import require_installed, worker_roles
    from ridgeway.host.supervisor import Supervisor

    require_installed("workers")
    _start_the_log()
    roles, patience = worker_roles(device, processes), Patience.of(Settings())
    sys.exit(Supervisor(roles, {}, patience=patience).run())


def _require_a_database() -> None:
    """Refuse to make a database where nobody has named one: `serve` makes its own."""
    settings = Settings()
    named = settings.model_fields_set & {"data", "database_url"}
    if not named and not (settings.data / "ridgeway.db").exists():
        message = (
            f"is not set, and there is no {settings.data / 'ridgeway.db'} here; accepted: "
            "postgresql://USER@HOST/NAME or sqlite:///FILE. The database of `ridgeway serve` is "
            "brought up to this release by `serve` itself"
        )
        raise InvalidInput.of("RIDGEWAY_DATABASE_URL", None, message)


@click.command()
def migrate() -> None:
    """Bring the schema of the database at RIDGEWAY_DATABASE_URL up to this release.

    Without it, that of the SQLite database in RIDGEWAY_DATA, or in ./ridgeway-data if it is there.
    """
    from ridgeway.host.roles import require_installed
    from ridgeway.host.supervisor import UPKEEP

    require_installed("database")
    _require_a_database()
    sys.exit(subprocess.run([*UPKEEP, "migrate"], check=False).returncode)


@click.command("import-study")
@click.argument("url")
@click.argument("name")
def import_study(url: str, name: str) -> None:
    """Copy the Optuna study NAME out of the database at URL into RIDGEWAY_DATABASE_URL's.

    A job can then start warm from it: {"warm_start": {"study": NAME}}.
    """
    from ridgeway.host.roles import require_installed
    from ridgeway.host.supervisor import UPKEEP

    require_installed("database")
    _require_a_database()
    # By standard input: a URL may hold a password, and whoever is on the machine reads arguments.
    argv = [*UPKEEP, "import-study", name]
    sys.exit(subprocess.run(argv, input=url, text=True, check=False).returncode)


@click.command()
@setting("--data", "data", type=click.Path(file_okay=False, path_type=Path))
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
