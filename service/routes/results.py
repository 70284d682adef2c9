"""/v1/jobs/{id}/...: what an answer leaves to be taken away, its model, path and features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse

from ridgeway.features import Features
from ridgeway.jobs import artifacts
from ridgeway.jobs.path_jobs import path_beside
from ridgeway.paths import RegularisationPath
from ridgeway.spec.paths import PathRequest
from ridgeway.views import Job
from service.context import Context, IdempotencyKey, InContext, JobId, require_json
from service.problems import LOCATION, problems
from service.routes.jobs import Asked, answer_with_job

SAFETENSORS = "application/octet-stream"
JSON = "application/json"

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{id}/model",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {SAFETENSORS: {"schema": {"type": "string", "format": "binary"}}},
            "description": "The recommended model's weights",
        },
        **problems(404),
    },
)
def model(id: JobId, context: InContext) -> StreamingResponse:
    """Return the recommended model, refitted on the development rows, as safetensors."""
    name = f'attachment; filename="{id}.safetensors"'
    return _kept(context, id, artifacts.MODEL, SAFETENSORS, {"Content-Disposition": name})


@router.get(
    "/{id}/path",
    response_class=StreamingResponse,
    responses={200: {"model": RegularisationPath, "description": "The path"}, **problems(404)},
)
def path(id: JobId, context: InContext) -> StreamingResponse:
    """Return the regularisation path: the recommended penalty from its largest strength down.

    Of a path job it is its penalty at its strengths.
    Rate, decay and mixing are those of the recommended trial, or, where that has no penalty, of the
    best one that has. A search of `none` alone has no path.
    """
    return _kept(context, id, artifacts.PATH, JSON, {})


@router.post(
    "/{id}/path",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": LOCATION},
        200: {"model": Job, "description": "The job of an earlier request", "headers": LOCATION},
        **problems(400, 403, 404, 408, 409, 413, 415, 422),
    },
)
async def make_path(
    id: JobId,
    request: PathRequest,
    context: InContext,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Queue a path job of another penalty, beside a job that has succeeded.

    Data, model, folds and seed are the job's; rate, decay and mixing are those of its best trial of
    the penalty, or of its best one. An `Idempotency-Key` is heeded as in `POST /v1/jobs`.
    """
    text = f"path beside {id}: {request.model_dump_json()}"
    asked = Asked(text, lambda transaction: path_beside(transaction, id, request))
    return await answer_with_job(asked, context, response, idempotency_key)


@router.get(
    "/{id}/features",
    response_class=StreamingResponse,
    responses={200: {"model": Features, "description": "The features"}, **problems(404)},
)
def features(id: JobId, context: InContext) -> StreamingResponse:
    """Return what the recommended model makes of each input column, the largest first.

    Beside the constant it is the best trial's model. A plug-in's model has no such list.
    """
    return _kept(context, id, artifacts.FEATURES, JSON, {})


def _kept(
    context: Context, id: str, name: str, kind: str, headers: dict[str, str]
) -> StreamingResponse:
    """Return a file of the job out of the store; a 404 says which one it has not."""
    with context.database.reading() as transaction:
        artifact = artifacts.find_artifact(transaction, id, name)
    own = {"Content-Length": str(artifact.bytes), "ETag": f'"{artifact.checksum}"'}
    file = context.store.open(artifact.address)
    return StreamingResponse(_chunks(file), media_type=kind, headers={**own, **headers})


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(2**16):
            yield chunk
