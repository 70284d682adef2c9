"""The context of a request: made once by the lifespan, handed to every endpoint."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, Header, Query, Request
from starlette.exceptions import HTTPException

from ridgeway.data.store import Store
from ridgeway.database.cursors import Keys
from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.logs import note
from ridgeway.settings import Settings
from service.access.access import Access
from service.admission import Admission
from service.dashboard import Dashboard
from service.looks import Looks
from service.metrics import Metrics
from service.models import Models
from service.notify.allowlist import Allowlist
from service.pictures import Pictures
from service.streams import Streams
from service.sweeper import Sweeper
from service.writers import Writers

MOST_IN_A_PAGE = 500
OF_THE_PAGE_BEFORE = "the `next` of the page before; absent for the first page"


@dataclass(frozen=True)
class Context:
    """The parts that requests share."""

    settings: Settings
    database: Database  # to read with
    writers: Writers
    looks: Looks
    streams: Streams
    store: Store
    dashboard: Dashboard
    scratch: Path  # a folder for what is unfinished
    admission: Admission  # of uploads
    readers: asyncio.Semaphore  # of uploads: each one reads in a process of its own
    sweeper: Sweeper
    models: Models  # that are predicted with
    pictures: Pictures
    access: Access  # who may enter
    metrics: Metrics
    allowlist: Allowlist  # of those who may be told of a job's end


async def _context(request: Request) -> Context:
    return request.app.state.context


async def _job_id(id: str) -> str:
    """Return the id, which the log shows from here on; NotFound for what no database should see."""
    if not re.fullmatch(r"[0-9a-fA-F-]{1,36}", id):
        raise NotFound(f"There is no job {id[:100]!r}.")
    note(job=id)
    return id


async def require_json(request: Request) -> None:
    """Refuse with 415 a body that does not say that it is JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not re.fullmatch(r"application/.+\+json", kind):
        raise HTTPException(415, "The body must be JSON: Content-Type: application/json.")


def cursor_of(*lists: Keys) -> Any:
    """Declare the query parameter `cursor` of a list, which may have several orders."""
    pattern = "|".join(keys.pattern for keys in lists)
    return Query(
        description=OF_THE_PAGE_BEFORE,
        json_schema_extra={"pattern": f"^(?:{pattern})$"},
    )


InContext: TypeAlias = Annotated[Context, Depends(_context)]
JobId: TypeAlias = Annotated[str, Depends(_job_id)]
Limit: TypeAlias = Annotated[int, Query(ge=1, le=MOST_IN_A_PAGE, description="most items a page")]
IfNoneMatch: TypeAlias = Annotated[
    str | None, Header(description="the `ETag` of an earlier answer: 304 if that still holds")
]
IdempotencyKey: TypeAlias = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="a request that is repeated with the same key makes one job",
    ),
]
