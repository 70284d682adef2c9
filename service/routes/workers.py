"""/v1/workers: who works, on what and how fast, and how much waits."""

from __future__ import annotations

from fastapi import APIRouter

from ridgeway.fleet import LIVE_SECONDS
from ridgeway.jobs.roster import list_workers
from ridgeway.overviews import WorkerList
from service.access.asking import InCaller
from service.context import InContext
from service.problems import problems

router = APIRouter(prefix="/v1/workers", tags=["workers"])


@router.get("", responses=problems())
def workers(context: InContext, caller: InCaller) -> WorkerList:
    """List the workers, and count the jobs and trials that wait for them.

    A worker that has stopped is left out; one that was not heard of for 30 s is `silent`. Others'
    jobs are counted, and not named.
    """
    with context.database.reading() as transaction:
        return list_workers(transaction, LIVE_SECONDS, caller)
