"""Commands on data sets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ridgeway.cli.options import connect, header_option, json_option, print_json, url_option

if TYPE_CHECKING:
    from ridgeway.data.headers import Header

# What a command needs is imported in it: `--help` must stay quick.


@click.group()
def datasets() -> None:
    """Data sets that jobs can name."""


@datasets.command("list")
@json_option
@url_option
def list_datasets(as_json: bool, url: str) -> None:
    """List the data sets that jobs can name."""
    from ridgeway.client.show import write
    from ridgeway.client.show_datasets import dataset_table

    with connect(url) as client:
        found = client.datasets()
    if as_json:
        print_json(found)
    else:
        write(dataset_table(found))


@datasets.command("show")
@click.argument("name_or_id")
@click.option(
    "--rows",
    type=click.IntRange(0, 100),
    default=0,
    show_default=True,
    help="Show so many first rows, too.",
)
@json_option
@url_option
def show_dataset(name_or_id: str, rows: int, as_json: bool, url: str) -> None:
    """Show a data set and what each of its columns holds."""
    from ridgeway.client.show import write
    from ridgeway.client.show_datasets import preview_table
    from ridgeway.client.show_datasets import show_dataset as shown

    with connect(url) as client:
        dataset = client.dataset(name_or_id, rows)
    if as_json:
        print_json(dataset)
        return
    for part in shown(dataset):
        write(part)
    if dataset.preview is not None:
        write(preview_table(dataset.preview))


@datasets.command("rename")
@click.argument("name_or_id")
@click.argument("name")
@url_option
def rename_dataset(name_or_id: str, name: str, url: str) -> None:
    """Give an uploaded data set another NAME; jobs go on with it."""
    with connect(url) as client:
        client.rename_dataset(name_or_id, name)
    click.echo("renamed")


@datasets.command("delete")
@click.argument("name_or_id")
@url_option
def delete_dataset(name_or_id: str, url: str) -> None:
    """Delete an uploaded data set that no job waits for or works on."""
    with connect(url) as client:
        client.delete_dataset(name_or_id)
    click.echo("deleted")


@datasets.command("add")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--name", required=True, help="The name that jobs will use.")
@header_option
@json_option
@url_option
def add_dataset(file: Path, name: str, header: Header, as_json: bool, url: str) -> None:
    """Upload FILE: CSV (gzip too), Parquet or npz; its last column is the target by default.

    `-` stands for standard input. Tells what is made of each column; a job's `columns` may say
    otherwise.
    """
    from ridgeway.client.show import write
    from ridgeway.client.show_datasets import show_dataset as shown

    source = sys.stdin.buffer if file == Path("-") else file
    with connect(url) as client:
        dataset = client.add_dataset(source, name, header)
    if as_json:
        print_json(dataset)
    else:
        for part in shown(dataset):
            write(part)
