"""What of the dashboard a key sees: its jobs' studies, and of the list of studies its own."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool

from ridgeway.database.engine import Database
from ridgeway.errors import NotFound
from ridgeway.keys.caller import Caller
from ridgeway.keys.owners import seen_studies

LIST = "/api/studies"
_OF_A_STUDY = re.compile(r"/(?:dashboard|api)/studies/([0-9]+)(?:/.*)?|/csv/([0-9]+)")
# Pages and scripts without anybody's data.
_SHARED = re.compile(r"/dashboard(?:/(?!studies/).*)?|/static/.*|/api/meta|/favicon\.ico")


async def require_seen(database: Database, request: Request) -> None:
    """Raise NotFound for a look at another's study, or at what nobody knows whose it is."""
    caller: Caller = request.state.caller
    path: str = request.scope["path"]
    if caller.sees_all or path == LIST or _SHARED.fullmatch(path):
        return
    found = _OF_A_STUDY.fullmatch(path)
    if found is not None:
        number = int(found[1] or found[2])
        if await run_in_threadpool(_seen, database, caller, {number}):
            return
    raise NotFound(f"There is nothing at {path[:200]}.")


async def only_own(database: Database, caller: Caller, listed: bytes) -> Response:
    """Return the dashboard's list of studies with those alone that the caller sees."""
    told: dict[str, Any] = json.loads(listed or b'{"study_summaries": []}')  # HEAD has no body
    studies = cast("list[dict[str, Any]]", told["study_summaries"])
    ids = {int(study["study_id"]) for study in studies}
    seen = await run_in_threadpool(_seen, database, caller, ids)
    told["study_summaries"] = [study for study in studies if study["study_id"] in seen]
    return Response(json.dumps(told), media_type="application/json")


def _seen(database: Database, caller: Caller, ids: set[int]) -> set[int]:
    with database.reading() as transaction:
        return seen_studies(transaction, caller, ids)
