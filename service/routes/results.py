"""/v1/jobs/{id}/...: what an answer leaves to be taken away: models, path, features, curves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from ridgeway.answers import ModelRole
from ridgeway.errors import Conflict
from ridgeway.features import Features
from ridgeway.formats.card import model_card
from ridgeway.formats.names import BINARY, FORMATS, ModelFormat
from ridgeway.jobs import artifacts
from ridgeway.jobs.lookups import find_job
from ridgeway.jobs.path_jobs import path_beside
from ridgeway.paths import RegularisationPath
from ridgeway.shown import Shown
from ridgeway.spec.paths import PathRequest
from ridgeway.views import Job
from service.access.asking import InCaller
from service.context import (
    Context,
    IdempotencyKey,
    IfNoneMatch,
    InContext,
    JobId,
    require_json,
)
from service.problems import LOCATION, problems
from service.routes.jobs import Asked, answer_with_job
from service.tags import NOT_MODIFIED, TAGGED, not_modified, tag_of, told_of

JSON = "application/json"
BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.get(
    "/{id}/model",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {BINARY: BYTES, "text/markdown": {"schema": {"type": "string"}}},
            "description": "The model's file, or its card",
            "headers": TAGGED,
        },
        **NOT_MODIFIED,
        **problems(404, 409, 422),
    },
)
async def model(
    id: JobId,
    context: InContext,
    role: Annotated[ModelRole, Query(description="which model of the answer")] = "recommended",
    format: Annotated[
        ModelFormat, Query(description="`card` tells of it in words")
    ] = "safetensors",
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Return a model of the answer, refitted on the development rows.

    404 names the roles whose models the job has, where it lacks one. 409 where the model has no
    such format, with the way out: scikit-learn has linear ones alone, a plug-in's has neither.
    """
    artifact, job = await run_in_threadpool(_find_model, context, id, role)
    row = FORMATS[format]
    name = id if role == "recommended" else f"{id}-{role}"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{row.ending}"'}
    if format == "safetensors":
        file = _File(artifact, BINARY, if_none_match, headers)
        return await run_in_threadpool(_stored, context, file)
    threads = context.models.threads
    if format == "card":
        data = await to_thread.run_sync(_card, context, artifact, job, role, limiter=threads)
    else:
        data = await to_thread.run_sync(context.models.rendered, artifact, format, limiter=threads)
    tag = tag_of(data)
    same = not_modified(if_none_match, tag)
    return same or Response(data, media_type=row.media_type, headers={**headers, **told_of(tag)})


def _find_model(context: Context, id: str, role: ModelRole) -> tuple[artifacts.Artifact, Job]:
    with context.database.reading() as transaction:
        return artifacts.find_model(transaction, id, role), find_job(transaction, id)


def _card(context: Context, artifact: artifacts.Artifact, job: Job, role: ModelRole) -> bytes:
    if job.recommended is None:
        raise Conflict(job.unreadable or f"Job {job.id} has no answer to tell of.")
    told, features = context.models.described(artifact)
    return model_card(job, job.recommended, role, told, features).encode()


@router.get(
    "/{id}/path",
    response_class=StreamingResponse,
    responses={
        200: {"model": RegularisationPath, "description": "The path", "headers": TAGGED},
        **NOT_MODIFIED,
        **problems(404),
    },
)
def path(id: JobId, context: InContext, if_none_match: IfNoneMatch = None) -> Response:
    """Return the regularisation path: the recommended penalty from its largest strength down.

    Of a path job it is its penalty at its strengths.
    Rate, decay and mixing are those of the recommended trial, or, where that has no penalty, of the
    best one that has. A search of `none` alone has no path.
    """
    return _kept(context, id, artifacts.PATH, if_none_match)


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
    caller: InCaller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Queue a path job of another penalty, beside a job that has succeeded.

    Data, model, folds and seed are the job's; rate, decay and mixing are those of its best trial of
    the penalty, or of its best one. An `Idempotency-Key` is heeded as in `POST /v1/jobs`.
    """
    text = f"path beside {id}: {request.model_dump_json()}"
    asked = Asked(
        text, lambda transaction: path_beside(transaction, id, request), caller, idempotency_key
    )
    return await answer_with_job(asked, context, response)


@router.get(
    "/{id}/features",
    response_class=StreamingResponse,
    responses={
        200: {"model": Features, "description": "The features", "headers": TAGGED},
        **NOT_MODIFIED,
        **problems(404),
    },
)
def features(id: JobId, context: InContext, if_none_match: IfNoneMatch = None) -> Response:
    """Return what the recommended model makes of each input column, the largest first.

    Beside the constant it is the best trial's model. A plug-in's model has no such list.
    """
    return _kept(context, id, artifacts.FEATURES, if_none_match)


@router.get(
    "/{id}/shown",
    response_class=StreamingResponse,
    responses={
        200: {"model": Shown, "description": "What pictures show", "headers": TAGGED},
        **NOT_MODIFIED,
        **problems(404),
    },
)
def shown(id: JobId, context: InContext, if_none_match: IfNoneMatch = None) -> Response:
    """Return what pictures of the answer need beside its path and features, under 300 kB.

    Learning curves, curves of the sealed rows, histograms of weights under each penalty, and a
    subgradient beside a step that makes weights exactly zero. `absent` says why a part is null.
    Answers of earlier releases have none of it.
    """
    return _kept(context, id, artifacts.SHOWN, if_none_match)


@dataclass(frozen=True)
class _File:
    """A file in the store, asked for by somebody who may have it already."""

    artifact: artifacts.Artifact
    kind: str
    if_none_match: str | None
    headers: dict[str, str] = field(default_factory=dict[str, str])


def _kept(context: Context, id: str, name: str, if_none_match: str | None) -> Response:
    """Return a file of the job out of the store; a 404 says which one it has not."""
    with context.database.reading() as transaction:
        artifact = artifacts.find_artifact(transaction, id, name)
    return _stored(context, _File(artifact, JSON, if_none_match))


def _stored(context: Context, asked: _File) -> Response:
    """Return the file's bytes, or tell that they are those that the asker has.

    StoreDamaged, and no answer that breaks off, where they are not those that were written.
    """
    tag = f'"{asked.artifact.checksum}"'
    if (same := not_modified(asked.if_none_match, tag)) is not None:
        return same
    headers = {**told_of(tag), "Content-Length": str(asked.artifact.bytes), **asked.headers}
    file = context.store.open_whole(asked.artifact.address, asked.artifact.checksum)
    return StreamingResponse(_chunks(file), media_type=asked.kind, headers=headers)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(2**16):
            yield chunk
