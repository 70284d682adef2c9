"""/healthz: the process answers. /readyz: it can do its work."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from ridgeway.fleet import LIVE_SECONDS, live_workers
from service.context import InContext
from service.problems import ServiceUnavailable, problems

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """The database answers and workers are there."""

    status: Literal["ready"] = "ready"
    workers: int


@router.get("/healthz")
async def healthz() -> Alive:
    """Answer that the process is alive."""
    return Alive()


@router.get("/readyz", responses=problems())
def readyz(context: InContext) -> Ready:
    """Answer that jobs would be worked on: the database answers, a worker was seen lately."""
    with context.database.reading() as transaction:
        workers = live_workers(transaction, LIVE_SECONDS)
    if not workers:
        raise ServiceUnavailable(f"No worker was seen within {LIVE_SECONDS:g} s.")
    return Ready(workers=workers)
