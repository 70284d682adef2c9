"""/v1/datasets: bring a data file, list what jobs can name, look at one."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ridgeway.data.catalogue import UPLOAD_NAME, check_name
from ridgeway.data.listing import OFFERED_FIRST, describe_dataset, list_datasets
from ridgeway.views import Dataset, DatasetPage, DatasetSummary
from service.context import InContext, Limit, cursor_of
from service.ingest import ingest_apart
from service.limits import announced_size
from service.problems import LOCATION, problems

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_BYTES = {"schema": {"type": "string", "format": "binary", "minLength": 1}}
_BODY: dict[str, Any] = {
    "required": True,
    "description": "the file's bytes: CSV (gzip too), Parquet or npz",
    "content": {kind: _BYTES for kind in ("text/csv", "application/octet-stream")},
}


@router.post(
    "",
    status_code=201,
    responses={201: {"headers": LOCATION}, **problems(403, 408, 409, 413, 415, 422)},
    openapi_extra={"requestBody": _BODY},
)
async def bring(
    request: Request,
    name: Annotated[str, Query(description="jobs name it so", json_schema_extra=UPLOAD_NAME)],
    context: InContext,
    response: Response,
) -> DatasetSummary:
    """Bring a data file of your own: `curl --data-binary @FILE '.../v1/datasets?name=NAME'`."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "Send the file itself as the body (curl --data-binary @FILE).")
    check_name(name)  # before the file is waited for
    # Room is kept for all that may come: an upload that has begun does not fail for another's sake.
    size = announced_size(request.headers) or context.settings.max_upload_bytes
    with (
        context.admission.admit(size),
        tempfile.NamedTemporaryFile(dir=context.scratch) as file,
    ):
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
        file.flush()
        async with context.readers:
            brought = await run_in_threadpool(
                ingest_apart, context.settings, pathlib.Path(file.name), name
            )
    response.headers["Location"] = f"/v1/datasets/{brought.id}"
    return brought


@router.get("", responses=problems(422))
def page(
    context: InContext,
    cursor: Annotated[str | None, cursor_of(OFFERED_FIRST)] = None,
    limit: Limit = 50,
) -> DatasetPage:
    """List the data sets that jobs can name: bundled and plug-ins' ones, then uploads by age."""
    with context.database.reading() as transaction:
        return list_datasets(transaction, cursor=cursor, limit=limit)


# A name may have a slash in it.
@router.get("/{id:path}", response_model=Dataset, responses=problems(404))
def look(
    id: Annotated[str, Path(description="id or name, as a job's `dataset`")], context: InContext
) -> Response:
    """Return a data set with the profile of every column."""
    with context.database.reading() as transaction:
        dataset = describe_dataset(transaction, id)
    return Response(dataset.model_dump_json(), media_type="application/json")
