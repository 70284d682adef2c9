"""The command that fetches a job's model, in the format that one has use for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from ridgeway.answers import ModelRole
from ridgeway.cli.options import connect, url_option
from ridgeway.errors import InvalidInput
from ridgeway.formats.names import FORMATS, ModelFormat

if TYPE_CHECKING:
    from ridgeway.formats.rendered import Rendered

# What a command needs is imported in it: `--help` must stay quick.


@click.command()
@click.argument("model", metavar="JOB_OR_FILE")
@click.option(
    "--role",
    type=click.Choice(get_args(ModelRole)),
    default="recommended",
    show_default=True,
    help="Which model of the job's answer.",
)
@click.option(
    "--format",
    type=click.Choice(get_args(ModelFormat)),
    default="safetensors",
    show_default=True,
    help="`card` tells of the model in words.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; by default it is named by job, role and format, here.",
)
@url_option
def model(model: str, role: ModelRole, format: ModelFormat, out: Path | None, url: str) -> None:
    """Fetch a model of a job, or write a model's file in another format.

    Prints the name of the file.
    """
    from ridgeway.client.downloads import written

    file = Path(model)
    if file.is_file():
        data, name = _converted(file, role, format), file.stem
    else:
        with connect(url) as client:
            job = client.job_id(model)  # also of "last": a file's name should say which job it was
            data = client.model(job, role, format)
        name = job if role == "recommended" else f"{job}-{role}"
    click.echo(str(written(out or Path(f"{name}.{FORMATS[format].ending}"), data)))


def _converted(file: Path, role: ModelRole, format: ModelFormat) -> bytes:
    """Return a model's file in a format that is made of it alone."""
    if role != "recommended":
        raise InvalidInput.of("--role", role, "a file holds one model: name the job")
    if format not in ("onnx", "sklearn"):
        accepted = "accepted of a file: onnx, sklearn; of a job also safetensors and card"
        raise InvalidInput.of("--format", format, accepted)
    rendered_as: Rendered = format
    from ridgeway.formats.rendered import rendered

    return rendered(file.read_bytes(), rendered_as)
