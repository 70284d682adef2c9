"""/v1/jobs/{id}/predict: rows in, what the recommended model predicts for them out."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn, cast

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from ridgeway.errors import Conflict, InvalidInput, NotFound
from ridgeway.jobs.artifacts import MODEL, Artifact, find_artifact
from ridgeway.jobs.rows import read_job
from ridgeway.model.csv_rows import read_csv
from ridgeway.model.results import predictions_of
from ridgeway.predictions import Predictions
from service.context import Context, InContext, JobId
from service.limits import announced_size
from service.problems import problems

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

MOST_VALUES = 1_000_000  # of an answer: a probability for each class of each row

_ROWS: dict[str, Any] = {
    "type": "object",
    "required": ["rows"],
    "additionalProperties": False,
    "properties": {
        "rows": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object"},
            "description": "objects by column: numbers, texts, booleans, null where unknown; "
            "columns that the model does not need are ignored",
        }
    },
    "example": {"rows": [{"age": 31, "city": "Oslo"}, {"age": None, "city": "Rome"}]},
}
_BODY: dict[str, Any] = {
    "required": True,
    "description": "rows as JSON, or a CSV with a header",
    "content": {
        "application/json": {"schema": _ROWS},
        "text/csv": {"schema": {"type": "string", "format": "binary", "minLength": 1}},
    },
}


@router.post(
    "/{id}/predict",
    response_model=Predictions,
    responses=problems(400, 403, 404, 408, 409, 413, 415, 422),
    openapi_extra={"requestBody": _BODY},
)
async def predict(id: JobId, request: Request, context: InContext) -> Response:
    """Predict rows with the job's recommended model: a number, or a class and probabilities.

    Missing values and categories are taken as in training. 409 while the job has no model, and for
    a plug-in's, which runs beside its package alone (`ridgeway.load_model`).
    """
    is_csv = _is_csv(request)
    artifact = await run_in_threadpool(_find, context, id)
    threads = context.models.threads
    with _room(request, context):  # until it is answered: a body may wait long for its thread
        body = await request.body()
        answer = await to_thread.run_sync(_answer, context, artifact, body, is_csv, limiter=threads)
    return Response(answer, media_type="application/json")


def _is_csv(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/csv"):
        raise HTTPException(415, "The body must be application/json or text/csv.")
    return kind == "text/csv"


def _find(context: Context, id: str) -> Artifact:
    with context.database.reading() as transaction:
        read_job(transaction, id)
        try:
            return find_artifact(transaction, id, MODEL)
        except NotFound as error:
            raise Conflict(str(error)) from None


def _room(request: Request, context: Context) -> AbstractContextManager[None]:
    """Take room of the uploads for a large body."""
    size = announced_size(request.headers) or context.settings.max_predict_bytes
    large = size > context.settings.max_body_bytes
    return context.admission.admit(size) if large else nullcontext()


def _answer(context: Context, artifact: Artifact, body: bytes, is_csv: bool) -> bytes:
    model = context.models.read(artifact)
    most = min(context.settings.max_predict_rows, _most_rows(len(model.classes_)))
    rows = read_csv(body, model.columns, most) if is_csv else _objects(body, most)
    return predictions_of(model, rows).model_dump_json().encode()


def _most_rows(classes: int) -> int:
    """Return how many rows an answer may hold the predictions of; `classes` is 0 of a number."""
    return max(1, MOST_VALUES // max(1, classes))


def _objects(body: bytes, most: int) -> list[dict[str, Any]]:
    """Read `{"rows": [{...}, ...]}`, of at most so many rows."""
    try:
        told: Any = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"The body is not JSON: {error}.") from None
    if not isinstance(told, dict) or set(cast("dict[str, Any]", told)) != {"rows"}:
        raise InvalidInput.of("body", told, 'must be an object with "rows" alone')
    rows: Any = cast("dict[str, Any]", told)["rows"]
    if not isinstance(rows, list) or not rows:
        raise InvalidInput.of("rows", rows, "must be a list of one object or more")
    count = len(cast("list[Any]", rows))
    if count > most:
        message = f"has {count:,} rows; at most {most:,} are predicted at once with this model"
        raise InvalidInput.of("rows", count, message)
    for place, row in enumerate(cast("list[Any]", rows)):
        if not isinstance(row, dict):
            message = "must be an object: a value for each column"
            raise InvalidInput.of(f"rows.{place}", row, message)
    return cast("list[dict[str, Any]]", rows)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; null where a value is unknown")
