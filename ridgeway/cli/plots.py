"""The command `plot`: a picture of a job, written to a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ridgeway.cli.options import connect, echo_plain, url_option
from ridgeway.errors import InvalidInput

if TYPE_CHECKING:
    from ridgeway.client.pictures import FormatName, ThemeName


@click.command()
@click.argument("id", metavar="JOB")
@click.argument("name", required=False)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file: .svg, .png or .json; NAME.svg by default.",
)
@click.option("--theme", type=click.Choice(["light", "dark"]), help="light by default.")
@click.option("--width", type=int, metavar="PIXELS", help="Of the picture; 640 by default.")
@url_option
def plot(
    id: str,
    name: str | None,
    out: Path | None,
    theme: ThemeName | None,
    width: int | None,
    url: str,
) -> None:
    """Draw the plot NAME of a job into a file; without a NAME list those that there are."""
    with connect(url) as client:
        if name is None:
            for each in client.plots(id):
                echo_plain(f"{each.name:<12} {each.title}")
            return
        file = out or Path(f"{name}.svg")
        picture = client.plot(id, name, _format(file), theme, width)
    try:
        picture.save(file)
    except OSError as error:
        raise InvalidInput.of("--out", str(file), error.strerror or str(error)) from None
    click.echo(f"Written: {file}", err=True)


def _format(file: Path) -> FormatName:
    format = file.suffix.removeprefix(".").lower()
    if format not in ("svg", "png", "json"):
        raise InvalidInput.of("--out", str(file), "must end in .svg, .png or .json")
    return format
