"""The list of pages: a router each. `/jobs/new` stands before `/jobs/{id}`, which takes any id."""

from __future__ import annotations

from service.pages import (
    assets,
    comparison,
    datasets,
    job,
    jobs,
    new_job,
    reference,
    workers,
)

ROUTERS = (
    *(assets.router, jobs.router, new_job.router, job.router, comparison.router),
    *(datasets.router, workers.router, reference.router),
)
