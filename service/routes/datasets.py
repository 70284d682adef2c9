"""/v1/datasets: bring a data file, list what jobs can name, look at one, rename, delete."""

from __future__ import annotations

import pathlib
import tempfile
from typing import Annotated, Any, TypeAlias

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import Field
from starlette.exceptions import HTTPException

from ridgeway.data.bundled import ROWS_KEPT, bundled_rows
from ridgeway.data.catalogue import UPLOAD_NAME, StoredDataset, check_name, find_dataset
from ridgeway.data.headers import Header
from ridgeway.data.listing import OFFERED_FIRST, list_datasets
from ridgeway.data.preview import preview_stored
from ridgeway.errors import NotFound, Unreadable
from ridgeway.jobs.datasets import delete_dataset, rename_dataset, show_dataset
from ridgeway.keys.caller import Caller
from ridgeway.spec.strict import Strict
from ridgeway.views import Dataset, DatasetPage, Preview
from service.access.asking import InCaller
from service.access.visits import current_visit
from service.context import Context, IfNoneMatch, InContext, Limit, cursor_of, require_json
from service.ingest import ingest_apart
from service.limits import announced_size
from service.problems import LOCATION, problems
from service.tags import NOT_MODIFIED, TAGGED, tagged

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
    response_model=Dataset,
    responses={201: {"headers": LOCATION}, **problems(403, 408, 409, 413, 415, 422)},
    openapi_extra={"requestBody": _BODY},
)
async def bring(
    request: Request,
    name: Annotated[str, Query(description="jobs name it so", json_schema_extra=UPLOAD_NAME)],
    context: InContext,
    header: Annotated[
        Header, Query(description="of a CSV: whether its first row holds the columns' names")
    ] = "auto",
) -> Response:
    """Bring a data file of your own: `curl --data-binary @FILE '.../v1/datasets?name=NAME'`.

    The answer tells what is made of each column; a job's `columns` may say otherwise.
    """
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
                ingest_apart,
                context.settings,
                pathlib.Path(file.name),
                name,
                header,
                current_visit(),
            )
    where = {"Location": f"/v1/datasets/{brought.id}"}
    told = brought.model_dump_json()
    return Response(told, status_code=201, headers=where, media_type="application/json")


@router.get("", responses=problems(422))
def page(
    context: InContext,
    caller: InCaller,
    cursor: Annotated[str | None, cursor_of(OFFERED_FIRST)] = None,
    limit: Limit = 50,
) -> DatasetPage:
    """List the data sets that jobs can name: bundled and plug-ins' ones, then uploads by age.

    Of uploads those of the key, or all for `admin`.
    """
    with context.database.reading() as transaction:
        return list_datasets(transaction, cursor=cursor, limit=limit, caller=caller)


# A name may have a slash in it.
DatasetId: TypeAlias = Annotated[str, Path(description="id or name, as a job's `dataset`")]


@router.get(
    "/{id:path}",
    response_model=Dataset,
    responses={200: {"headers": TAGGED}, **NOT_MODIFIED, **problems(404, 409, 422)},
)
def look(
    id: DatasetId,
    context: InContext,
    caller: InCaller,
    rows: Annotated[
        int, Query(ge=0, le=ROWS_KEPT, description="so many first rows are the `preview`")
    ] = 0,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return a data set with the profile of every column, its newest jobs, and its first rows.

    409 where the table of it, which another release wrote, can't be read.
    """
    return tagged(look_at(context, caller, id, rows), if_none_match)


def look_at(context: Context, caller: Caller, id: str, rows: int = 0) -> Dataset:
    """Read a data set, with so many first rows; Unreadable where they are and can't be read."""
    with context.database.reading() as transaction:
        found = show_dataset(transaction, id, caller)
        stored = find_dataset(transaction, found.id, caller) if rows and found.id else None
    if not rows:
        return found
    return found.model_copy(update={"preview": _preview(context, found, stored, rows)})


def _preview(
    context: Context, found: Dataset, stored: StoredDataset | None, rows: int
) -> Preview | None:
    if stored is None:
        return bundled_rows(found.name, rows) if found.kind == "bundled" else None
    try:
        return preview_stored(context.store, stored.address, rows)
    except NotFound as error:
        raise Unreadable(f"The rows of data set '{found.name}' are gone: {error}") from None


class Renaming(Strict):
    """What a data set is to be called from now on."""

    name: str = Field(json_schema_extra=UPLOAD_NAME)


@router.patch(
    "/{id:path}",
    dependencies=[Depends(require_json)],
    responses=problems(400, 403, 404, 408, 409, 413, 415, 422),
)
async def rename(
    id: DatasetId, renaming: Renaming, context: InContext, caller: InCaller
) -> Dataset:
    """Rename an upload. Jobs go on with it; `GET /v1/jobs?dataset=` finds them by either name.

    409 where the name is taken, or the data set came with Ridgeway or a plug-in.
    """
    return await context.writers.write(
        lambda transaction: rename_dataset(transaction, id, renaming.name, caller)
    )


@router.delete(
    "/{id:path}", status_code=204, response_class=Response, responses=problems(403, 404, 409)
)
async def delete(id: DatasetId, context: InContext, caller: InCaller) -> None:
    """Delete an upload. Jobs that have ended keep their answers; they can't be extended.

    409, which names them, while jobs that have not ended use it; of a bundled or plug-in's one.
    """
    await context.writers.write(lambda transaction: delete_dataset(transaction, id, caller))
