"""Waiting for a job in a command: a progress bar, then what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ridgeway.cli.options import print_json
from ridgeway.errors import JobFailed

if TYPE_CHECKING:
    from ridgeway.client.client import Client
    from ridgeway.views import Job


def wait_for(client: Client, id: str, show: Callable[[Job], None], as_json: bool) -> None:
    """Wait for the job and show it; JobFailed where it ends otherwise than succeeded."""
    try:
        job = client.wait(id, progress=True)
    except JobFailed:
        print_job(client.job(id), as_json)
        raise
    show(job)


def print_job(job: Job, as_json: bool) -> None:
    """Show a job: how far it is, its best trial, its answer."""
    from ridgeway.client.show import job_summary, write

    if as_json:
        print_json(job)
    else:
        write(job_summary(job))
