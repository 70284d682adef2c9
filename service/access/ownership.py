"""Jobs and data sets are there for the key that made them, and for `admin`; for others a 404.

A dependency of the whole application: it knows a route by its path, so that a new one of a job or a
data set is covered as soon as it is there.
"""

from __future__ import annotations

import re

from fastapi import Request

from ridgeway.errors import NotFound
from ridgeway.keys.caller import Caller

_OF_A_JOB = re.compile(r"(?:/v1)?/jobs/\{id[}:]")
_OF_A_DATASET = re.compile(r"(?:/v1)?/datasets/\{id[}:]")


async def only_seen(request: Request) -> None:
    """Raise NotFound for a path of another's job or data set, in the words for what is not."""
    route: str = request.scope["route"].path
    of_a_job, of_a_dataset = _OF_A_JOB.match(route), _OF_A_DATASET.match(route)
    if not of_a_job and not of_a_dataset:
        return
    caller: Caller = request.state.caller
    if caller.sees_all:
        return
    access = request.app.state.context.access
    named = str(request.path_params.get("id"))
    if of_a_job:
        # What has not the form of an id is no job's, and PostgreSQL might choke on it.
        is_id = re.fullmatch("[0-9a-fA-F-]{1,36}", named)
        if is_id is None or await access.hides_job(caller, named):
            raise NotFound(f"There is no job {named[:100]}.")
    elif await access.hides_dataset(caller, named):
        raise NotFound(f"There is no data set '{named}'.")
