"""Commands that start processes: serve, worker, migrate, import-study, demo."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ridgeway.cli.options import setting
from ridgeway.errors import InvalidInput
from ridgeway.settings import Settings

# What a command needs is imported in it: `serve` must stay small and `--help` quick.


SUPERVISED_SECONDS = 20.0  # for a worker to hand back what it has, when the parent is gone


class Count(click.ParamType[Any]):
    """A number of processes, or `auto`."""

    name = "auto|N"

    def __init__(self, most: int = 1024) -> None:
        self._most = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto":
            return "auto"
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= self._most:
            message = f"{value!r} is neither 'auto' nor a number from 1 to {self._most}."
            self.fail(message, param, ctx)
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
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Who places the workers: this machine, or a Ray cluster that it is a node of.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="What to train on; auto: GPUs where torch finds them. On Ray: GPUs unless "
    "--cpus-per-worker is given.",
)
@click.option(
    "--processes",
    type=Count(),
    default="auto",
    show_default=True,
    help="local: how many worker processes; auto: two for each GPU, or one for each core without.",
)
@click.option(
    "--address",
    default="auto",
    show_default=True,
    help="ray: HOST:PORT of the head; auto: that of the cluster that this machine is a node of.",
)
@click.option(
    "--min",
    "fewest",
    type=click.IntRange(0, 10_000),
    default=1,
    show_default=True,
    help="ray: how many workers there always are.",
)
@click.option(
    "--max",
    "most",
    type=Count(10_000),
    default="auto",
    show_default=True,
    help="ray: how many workers there are at most; auto: as many as the nodes hold.",
)
@click.option(
    "--cpus-per-worker",
    type=click.FloatRange(0.01, 1024),
    help="ray: cores of one worker, such as 1 or 0.5; with --device cuda beside its GPU.",
)
@click.option(
    "--idle-seconds",
    type=click.FloatRange(0, 86_400),
    default=60.0,
    show_default=True,
    help="ray: how long a worker is kept that is not needed.",
)
@click.option("--supervised", is_flag=True, hidden=True)
@click.pass_context
def worker(context: click.Context, engine: str, supervised: bool, **options: Any) -> None:
    """Run workers for the service that shares RIDGEWAY_DATABASE_URL and RIDGEWAY_STORE_URL.

    On Ray there are as many as there is work for, between --min and --max, wherever the cluster has
    room: with a GPU each, or with a share of cores. Every node needs both variables in the
    environment of `ray start`, and RAY_AUTH_MODE=token.
    """
    from ridgeway.host.roles import require_installed
    from ridgeway.host.supervisor import die_with_parent

    _refuse_others_options(context, engine)
    if supervised:
        die_with_parent(SUPERVISED_SECONDS)
    require_installed("workers")
    _start_the_log()
    run = _on_ray if engine == "ray" else _on_this_machine
    sys.exit(run(**options))


def _refuse_others_options(context: click.Context, engine: str) -> None:
    """Raise InvalidInput for an option that is for the other engine."""
    of_ray = ("address", "fewest", "most", "cpus_per_worker", "idle_seconds")
    others = of_ray if engine == "local" else ("processes",)
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") == ParameterSource.COMMANDLINE
        if given and option.name in others:
            other = "ray" if engine == "local" else "local"
            message = f"is for --engine {other}, and the engine is {engine}"
            raise InvalidInput.of(option.opts[0], context.params[option.name], message)


def _on_this_machine(device: Any, processes: Any, **_: Any) -> int:
    from ridgeway.engines.local import LocalEngine

    return LocalEngine(device, processes).run()


def _on_ray(*, address: str, fewest: int, most: Any, idle_seconds: float, **share: Any) -> int:
    from ridgeway.engines.cluster import RayEngine
    from ridgeway.engines.scaling import Limits, Share

    cpus, device = share["cpus_per_worker"], share["device"]
    gpu = device == "cuda" or (device == "auto" and cpus is None)
    limits = Limits(fewest, None if most == "auto" else most)
    return RayEngine(address, Share(cpus or 1.0, gpu), limits, idle_seconds).run()


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
