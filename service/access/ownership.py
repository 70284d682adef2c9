"""Jobs and data sets are there for the key that made them, and for `admin`; for others a 404.

A dependency of the whole application: it knows a route by its path, so that a new one of a job or a
data set is covered as soon as it is there.
"""

from __future__ import annotations

import re

from fastapi import Request

from ridgeway.errors import NotFound
from ridgeway.keys.caller import Caller
from service.access.access import Access

_OF_A_JOB = re.compile(r"(?:/v1)?/jobs/\{id[}:]")
_OF_A_DATASET = re.compile(r"(?:/v1)?/datasets/\{id[}:]")


async def require_job(access: Access, caller: Caller, job_id: str) -> None:
    """Raise NotFound for another's job, and for one that does not exist."""
    if caller.sees_all:
        return
    # What has not the form of an id is no job's, and PostgreSQL might choke on it.
    is_id = re.fullmatch("[0-9a-fA-F-]{1,36}", job_id)
    if is_id is None or await access.hides_job(caller, job_id):
        raise NotFound(f"There is no job {job_id[:100]}.")


async def require_dataset(access: Access, caller: Caller, name_or_id: str) -> None:
    """Raise NotFound for another's upload; what does not exist is the route's to tell."""
    if await access.hides_dataset(caller, name_or_id):
        raise NotFound(f"There is no data set '{name_or_id}'.")


async def only_seen(request: Request) -> None:
    """Raise NotFound for a path of another's job or data set, in the words for what is not."""
    route: str = request.scope["route"].path
    of_a_job, of_a_dataset = _OF_A_JOB.match(route), _OF_A_DATASET.match(route)
    if not of_a_job and not of_a_dataset:
        return
    require = require_job if of_a_job else require_dataset
    access: Access = request.app.state.context.access
    await require(access, request.state.caller, str(request.path_params.get("id")))
