"""/datasets: what jobs can name, and an upload; /datasets/{id}: columns, rows, jobs of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request, Response

from ridgeway.data.listing import list_datasets
from ridgeway.errors import Unreadable
from ridgeway.jobs.usage import jobs_of_each, uploaded_bytes
from ridgeway.keys.caller import Caller
from ridgeway.views import Preview
from service.access.asking import InCaller
from service.context import Context, InContext
from service.pages.columns import MOST_SHOWN, notices_of, shown_columns
from service.pages.environment import page
from service.pages.routing import page_router
from service.routes.datasets import look_at

router = page_router()

LISTED = 100
FIRST_ROWS = 8


@router.get("/datasets")
def datasets(
    request: Request,
    context: InContext,
    caller: InCaller,
    cursor: Annotated[str | None, Query()] = None,
) -> Response:
    """List data sets, with a form to upload one."""
    with context.database.reading() as transaction:
        found = list_datasets(transaction, cursor=cursor, limit=LISTED, caller=caller)
        used = jobs_of_each(transaction, found.datasets, caller)
        total = uploaded_bytes(transaction, caller)
    return page(
        request,
        "datasets.html.jinja",
        datasets=list(zip(found.datasets, used, strict=True)),
        next=found.next,
        total=total,
        most_bytes=context.settings.max_upload_bytes,
    )


# A name may have a slash in it.
@router.get("/datasets/{id:path}")
def dataset(id: str, request: Request, context: InContext, caller: InCaller) -> Response:
    """Show what the columns of a data set hold and what a job makes of them."""
    found = look_at(context, caller, id)
    preview, unreadable = _preview(context, caller, id)
    return page(
        request,
        "dataset.html.jinja",
        dataset=found,
        columns=(columns := shown_columns(found)),
        has_gaps=any(own.is_target and own.missing for own in columns),
        notices=notices_of(found),
        left_out=max(0, (found.column_count or 0) - MOST_SHOWN),
        preview=preview,
        unreadable=found.unreadable or unreadable,
    )


def _preview(context: Context, caller: Caller, id: str) -> tuple[Preview | None, str]:
    """Return the first rows, or why they can't be read."""
    try:
        return look_at(context, caller, id, FIRST_ROWS).preview, ""
    except Unreadable as error:
        return None, str(error)
