"""What a client that waits for a job shows meanwhile, and makes of its end."""

from __future__ import annotations

from typing import Any

from ridgeway.client.handle import JobHandle
from ridgeway.errors import JobFailed


def succeeded(job: JobHandle) -> JobHandle:
    """Return a job that has succeeded; JobFailed with the reason where it ended otherwise."""
    if job.state == "succeeded":
        return job
    reason = f": {job.error}" if job.error else "."
    raise JobFailed(
        f"Job {job.id} {'was cancelled' if job.state == 'cancelled' else 'has failed'}{reason}"
    )


def progress_bar() -> Any:
    """Return the bar of a terminal, a pipe or a notebook."""
    # rich is slow to import, and only those who look at a bar need it.
    from ridgeway.client.notebooks import NotebookProgress, shell
    from ridgeway.client.show import JobProgress

    return JobProgress() if shell() is None else NotebookProgress()
