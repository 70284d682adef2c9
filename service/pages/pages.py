"""The list of pages: a router each. `/jobs/new` stands before `/jobs/{id}`, which takes any id."""

from __future__ import annotations

from service.pages import assets, comparison, job, jobs, reference

ROUTERS = (assets.router, jobs.router, job.router, comparison.router, reference.router)
