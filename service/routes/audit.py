"""/v1/audit: who changed what, when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from ridgeway.keys.audit import NEWEST_FIRST, list_audit
from ridgeway.overviews import AuditPage
from service.access.asking import admin_only
from service.context import InContext, Limit, cursor_of
from service.moments import Moment
from service.problems import problems

router = APIRouter(prefix="/v1/audit", tags=["audit"])


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
