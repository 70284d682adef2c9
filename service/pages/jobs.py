"""The first page: jobs, newest first, filtered by what the address asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from pydantic import JsonValue

from ridgeway.jobs.filters import JobFilter
from ridgeway.jobs.lookups import NEWEST_FIRST, datasets_of_jobs, list_jobs
from ridgeway.spec import snippets
from ridgeway.views import Job, JobState
from service.access.asking import caller_of
from service.context import InContext, cursor_of
from service.pages.environment import page
from service.pages.routing import page_router
from service.pages.wording import (
    Found,
    counted,
    dataset_of,
    found_so_far,
    model_of,
    name_of,
)

A_PAGE = 30
MOST_DATASETS = 200  # to choose from
STATES: tuple[JobState, ...] = get_args(JobState)

EXAMPLE: dict[str, JsonValue] = {"dataset": "diabetes", "model": {"kind": "linear"}}

router = page_router()


@dataclass(frozen=True)
class Line:
    """A job as its line in the list shows it."""

    job: Job
    name: str
    about: str
    counted: str
    found: Found


@router.get("/")
def jobs(
    request: Request,
    context: InContext,
    state: Annotated[str, Query()] = "",
    dataset: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    name: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")] = "",
    cursor: Annotated[str | None, cursor_of(NEWEST_FIRST)] = None,
) -> Response:
    """List jobs; fields that a form leaves empty ask for nothing."""
    asked = {"state": state if state in STATES else "", "dataset": dataset, "name": name.strip()}
    wanted = JobFilter(
        states=[own for own in STATES if own == state],
        dataset=dataset or None,
        name=asked["name"] or None,
    )
    caller = caller_of(request)
    with context.database.reading() as transaction:
        found = list_jobs(transaction, wanted=wanted, cursor=cursor, limit=A_PAGE, caller=caller)
        datasets = datasets_of_jobs(transaction, MOST_DATASETS, caller)
    further = {**{field: value for field, value in asked.items() if value}, "cursor": found.next}
    return page(
        request,
        "jobs.html.jinja",
        lines=[_line(job) for job in found.jobs],
        asked=asked,
        filtered=any(asked.values()),
        first=cursor is None,
        older=f"/?{urlencode(further)}" if found.next else None,
        datasets=datasets,
        states=STATES,
        by_shell=snippets.as_shell(EXAMPLE, str(request.base_url)),
    )


def _line(job: Job) -> Line:
    about = f"{dataset_of(job)} · {model_of(job)}"
    return Line(job, name_of(job), about, counted(job), found_so_far(job))
