"""The command `report`: keep the page of a job's answer."""

from __future__ import annotations

from pathlib import Path

import click

from ridgeway.cli.options import connect, echo_plain, url_option


@click.command()
@click.argument("id", metavar="JOB")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write; JOB.html by default, - for standard output.",
)
@url_option
def report(id: str, out: Path | None, url: str) -> None:
    """Write the report of a job's answer: one HTML page, to be read, printed or sent.

    Prints the file's name. A job without an answer has no report.
    """
    with connect(url) as client:
        if out == Path("-"):
            echo_plain(client.report(id), newline=False)
            return
        file = out or Path(f"{client.job(id).id}.html")
        client.report(id, file)
    echo_plain(str(file))
