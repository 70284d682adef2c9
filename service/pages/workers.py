"""/workers: who works, on what and how fast, and how much waits for them."""

from __future__ import annotations

from fastapi import Request, Response

from ridgeway.fleet import LIVE_SECONDS
from ridgeway.jobs.roster import list_workers
from service.access.asking import InCaller
from service.context import InContext
from service.pages.environment import page
from service.pages.routing import page_router

router = page_router()


@router.get("/workers")
def workers(request: Request, context: InContext, caller: InCaller) -> Response:
    """List the workers and count what waits for them."""
    with context.database.reading() as transaction:
        found = list_workers(transaction, LIVE_SECONDS, caller)
    return page(request, "workers.html.jinja", workers=found.workers, queue=found.queue)
