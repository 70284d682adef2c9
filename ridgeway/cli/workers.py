"""The command on workers."""

from __future__ import annotations

import click

from ridgeway.cli.options import connect, json_option, print_json, url_option

# What a command needs is imported in it: `--help` must stay quick.


@click.command()
@json_option
@url_option
def workers(as_json: bool, url: str) -> None:
    """List the workers: what each is at, how fast, and how much waits for them."""
    from ridgeway.client.show import write
    from ridgeway.client.show_workers import queue_line, worker_table

    with connect(url) as client:
        found = client.workers()
    if as_json:
        print_json(found)
        return
    if found.workers:
        write(worker_table(found.workers))
    else:
        click.echo("No worker is there; start one with: ridgeway worker")
    click.echo(queue_line(found.queue))
