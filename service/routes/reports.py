"""/v1/jobs/{id}/report: what the answer rests on, as one page."""

from __future__ import annotations

from importlib.metadata import version

from anyio import to_thread
from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from ridgeway.errors import Conflict, Unreadable
from ridgeway.jobs.reporting import read_material
from ridgeway.report.material import Material
from ridgeway.report.page import policy_in
from service.context import Context, IfNoneMatch, InContext, JobId
from service.problems import problems
from service.tags import NOT_MODIFIED, TAGGED, not_modified, tag_of, told_of

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_PAGE = {
    "content": {"text/html": {"schema": {"type": "string"}}},
    "description": "The page",
    "headers": TAGGED,
}


@router.get(
    "/{id}/report",
    response_class=HTMLResponse,
    responses={200: _PAGE, **NOT_MODIFIED, **problems(404, 409)},
)
async def report(id: JobId, context: InContext, if_none_match: IfNoneMatch = None) -> Response:
    """Return the report of the job's answer: one HTML page that needs no other file and no script.

    The verdict first, then evidence, checks, pictures, the settings as code that makes the model
    again, data and protocol. 409 while the job has no answer.
    """
    seen = await context.looks.job(id)
    tag = tag_of(f"{seen.tag} report {version('ridgeway')}")
    if (same := not_modified(if_none_match, tag)) is not None:
        return same
    pictures = context.pictures
    material = await to_thread.run_sync(_read, context, id, limiter=pictures.readers)
    page = await pictures.report(material)
    headers = {
        "Content-Security-Policy": f"{policy_in(page)}; frame-ancestors 'none'",
        "Content-Disposition": f'inline; filename="{id}.html"',
        **told_of(tag),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    return HTMLResponse(page, headers=headers)


def _read(context: Context, id: str) -> Material:
    try:
        return read_material(context.database, context.store, id)
    except Unreadable as error:
        raise Conflict(str(error)) from None
