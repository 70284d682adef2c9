"""/v1/datasets: bring a data file, list what jobs can name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ridgeway.data.catalogue import list_datasets
from ridgeway.spec.strict import Name
from ridgeway.views import Dataset, DatasetList
from service.context import InContext
from service.ingest import ingest_apart
from service.problems import problems

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_BODY: dict[str, Any] = {
    "required": True,
    "description": "the file's bytes: CSV (gzip too), Parquet or npz",
    "content": {kind: _BYTES for kind in ("text/csv", "application/octet-stream")},
}


@router.post(
    "",
    status_code=201,
    responses=problems(403, 409, 413, 415, 422),
    openapi_extra={"requestBody": _BODY},
)
async def bring(
    request: Request,
    name: Annotated[Name, Query(description="jobs name it so")],
    context: InContext,
) -> Dataset:
    """Bring a data file of your own: `curl --data-binary @FILE '.../v1/datasets?name=NAME'`."""
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise HTTPException(415, "Send the file itself as the body (curl --data-binary @FILE).")
    with tempfile.NamedTemporaryFile(prefix="ridgeway-upload-") as file:
        async for chunk in request.stream():
            await run_in_threadpool(file.write, chunk)
        file.flush()
        async with context.readers:
            return await run_in_threadpool(ingest_apart, context.settings, Path(file.name), name)


@router.get("", responses=problems())
def listing(context: InContext) -> DatasetList:
    """List every data set that a job can name: bundled, uploaded, and plug-ins'."""
    with context.database.reading() as transaction:
        return list_datasets(transaction)
