"""/v1/audit: who changed what, when."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import APIRouter, Depends, Query
from pydantic import BeforeValidator

from ridgeway.keys.audit import NEWEST_FIRST, list_audit
from ridgeway.overviews import AuditPage
from service.access.asking import admin_only
from service.context import InContext, Limit, cursor_of
from service.problems import problems

router = APIRouter(prefix="/v1/audit", tags=["audit"])


# RFC 3339, as the document says: pydantic takes numbers and dates alone, too.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _written_in_full(given: str) -> str:
    if not _MOMENT.fullmatch(given):
        raise ValueError("must be a moment with its offset, such as 2026-01-31T09:00:00Z")
    return given


Moment: TypeAlias = Annotated[datetime, BeforeValidator(_written_in_full)]


@router.get("", dependencies=[Depends(admin_only)], responses=problems(403, 422))
def page(
    context: InContext,
    since: Annotated[Moment | None, Query()] = None,
    cursor: Annotated[str | None, cursor_of(NEWEST_FIRST)] = None,
    limit: Limit = 50,
) -> AuditPage:
    """List the audit log, newest first; it needs the scope `admin`."""
    with context.database.reading() as transaction:
        return list_audit(transaction, since=since, cursor=cursor, limit=limit)
