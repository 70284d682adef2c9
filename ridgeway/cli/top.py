"""The command `top`: jobs and workers as they are now, and again every second."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING

import click

from ridgeway.cli.options import connect, limit_option, url_option
from ridgeway.errors import Unreachable

if TYPE_CHECKING:
    from ridgeway.client.client import Client
    from ridgeway.client.show_top import Picture

# What a command needs is imported in it: `--help` must stay quick.

QUIT = b"q"


@click.command()
@click.option("--once", is_flag=True, help="Print one picture and end, as into a pipe.")
@click.option(
    "--every",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@limit_option
@url_option
def top(once: bool, every: float, limit: int, url: str) -> None:
    """Watch jobs and workers: what runs, how far it is, who works on it. q ends it."""
    from ridgeway.client.show import console, write

    with connect(url) as client:
        if once or not console().is_terminal:
            write(_look(client, limit))
        else:
            with suppress(KeyboardInterrupt):  # as good an end as any
                _watch(client, limit, every)


def _look(client: Client, limit: int) -> Picture:
    """Look at the jobs that are open, however old, and at the newest others."""
    from ridgeway.client.show_top import Picture

    open_ = (client.jobs(state=state) for state in ("running", "queued", "paused"))
    found = (*open_, client.jobs())
    jobs = {job.id: job for some in found for job in islice(some, limit)}
    return Picture(list(islice(jobs.values(), limit)), client.workers())


def _watch(client: Client, limit: int, every: float) -> None:
    """Show the picture anew until somebody has seen enough; outlive a service that restarts."""
    from rich.live import Live

    from ridgeway.client.plain import Plain
    from ridgeway.client.show import console

    shown = Plain(_look(client, limit))
    with _keys(), Live(shown, console=console(), screen=True, auto_refresh=False) as live:
        while not _asked_to_end(every):
            try:
                live.update(Plain(_look(client, limit)), refresh=True)
            except Unreachable as error:
                live.update(Plain(str(error)), refresh=True)


@contextmanager
def _keys() -> Generator[None]:
    """Have keys come one by one, unseen; Ctrl-C goes on to interrupt."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _asked_to_end(seconds: float) -> bool:
    """Wait for so long; return True as soon as a key asks for the end."""
    if not sys.stdin.isatty():
        time.sleep(seconds)
        return False
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            typed = os.read(sys.stdin.fileno(), 64)
            if QUIT in typed or not typed:
                return True
    return False
