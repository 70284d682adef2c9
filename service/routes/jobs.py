"""/v1/jobs: submit, look, pause, resume, cancel, extend, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from ridgeway.data.catalogue import profile_of
from ridgeway.errors import InvalidInput, NotFound, Unreadable
from ridgeway.fleet import require_offered
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.deletion import delete_job
from ridgeway.jobs.exports import exported
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.fronts import find_front
from ridgeway.jobs.requests import Request
from ridgeway.jobs.warm_starts import find_lessons
from ridgeway.keys.caller import Caller
from ridgeway.spec.paths import JobBody, job_spec_of
from ridgeway.spec.resolving import check_spec, resolve_spec
from ridgeway.spec.spec import MAX_TRIALS, JobSpec
from ridgeway.spec.strict import Integer, Strict
from ridgeway.views import Front, Job, JobPage, TrialDetail, TrialPage
from service.access.asking import InCaller
from service.asked import JobsAsked, TrialsAsked
from service.compression import COMPRESSED, is_compressed
from service.context import (
    Context,
    IdempotencyKey,
    IfNoneMatch,
    InContext,
    JobId,
    require_json,
)
from service.problems import LOCATION, problems
from service.tags import NOT_MODIFIED, TAGGED, not_modified, tagged, told_of

CSV = "text/csv; charset=utf-8"
LINES = "application/jsonl"
LARGEST_NUMBER = 2**31 - 1  # of a trial, in the study database

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])


@router.post(
    "",
    status_code=201,
    dependencies=[Depends(require_json)],
    responses={
        201: {"headers": LOCATION},
        200: {"model": Job, "description": "The job of an earlier request", "headers": LOCATION},
        **problems(400, 403, 408, 413, 415, 422),
    },
)
async def submit(
    body: JobBody,
    context: InContext,
    caller: InCaller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Queue a search job, or a path job: one penalty from its largest strength down.

    With an `Idempotency-Key` a repeat of the same request makes no second job: it is answered
    with the first one and 200. The same key with another spec is a 422.
    """
    spec = job_spec_of(body)
    asked = Asked(spec.model_dump_json(), lambda _: spec, caller, idempotency_key)
    return await answer_with_job(asked, context, response)


@dataclass(frozen=True)
class Asked:
    """A request for a job: what tells it from others, and the spec that comes of it.

    spec: takes the transaction, and is asked for new jobs alone; it raises what refuses them.
    key: the `Idempotency-Key`, if there is one.
    """

    text: str
    spec: Callable[[Connection], JobSpec]
    caller: Caller
    key: str | None = None

    @property
    def request(self) -> Request:
        """Return what the job's row keeps of it."""
        checksum = hashlib.sha256(self.text.encode()).hexdigest()
        return Request(self.caller, self.key, checksum)


async def answer_with_job(asked: Asked, context: Context, response: Response) -> Job:
    """Submit a spec once for each key; answer 201 with the new job, or 200 with the first one."""
    try:
        job, created = await _submit(context, asked)
    except IntegrityError:
        # Since we looked, another request with this key has committed: its job is ours.
        job, created = await _submit(context, asked)
    response.status_code = 201 if created else 200
    response.headers["Location"] = job.links.self
    return job


async def _submit(context: Context, asked: Asked) -> tuple[Job, bool]:
    """Submit a spec; return the job, and whether it is a new one."""
    found = await run_in_threadpool(_look_up, context, asked)
    if isinstance(found, Job):
        return found, False
    return await context.writers.write(found), True


def _look_up(context: Context, asked: Asked) -> Job | Callable[[Connection], Job]:
    """Return the job that was submitted with this key before, or else what writes a new one.

    All that can be found out and refused is, before others have to wait for a lock of ours.
    """
    request = asked.request
    with context.database.reading() as transaction:
        if asked.key is not None and (found := lookups.find_submitted(transaction, request)):
            job_id, first_checksum = found
            if first_checksum != request.checksum:
                raise InvalidInput.of(
                    "Idempotency-Key",
                    asked.key,
                    f"was used for another spec before, by job {job_id}",
                )
            return lookups.find_job(transaction, job_id)
        spec = asked.spec(transaction)
        context.allowlist.require(spec.notify)
        resolved, dataset_id = resolve(transaction, spec, asked.caller)
        lessons = find_lessons(transaction, resolved, dataset_id, asked.caller)

    def write(transaction: Connection) -> Job:
        job_id = lifecycle.submit_job(
            transaction,
            resolved,
            lessons=lessons,
            dataset_id=dataset_id,
            request=request,
        )
        return lookups.find_job(transaction, job_id)

    return write


def resolve(transaction: Connection, spec: JobSpec, caller: Caller) -> tuple[JobSpec, str | None]:
    """Return the spec as workers will read it; InvalidInput for what no worker could run."""
    check_spec(spec)
    require_offered(transaction, spec)
    try:
        dataset_id, profile = profile_of(transaction, spec.dataset, caller)
    except (NotFound, Unreadable) as error:
        raise InvalidInput.of("dataset", spec.dataset, str(error)) from None
    # A plug-in's data set has no profile: only workers can read it.
    return resolve_spec(spec, profile) if profile else spec, dataset_id


@router.get("", responses=problems(422))
def page(asked: Annotated[JobsAsked, Query()], context: InContext, caller: InCaller) -> JobPage:
    """List jobs, newest first: those that pass every filter, of the key or for `admin` of all."""
    with context.database.reading() as transaction:
        return lookups.list_jobs(
            transaction,
            wanted=asked.wanted,
            cursor=asked.cursor,
            limit=asked.limit,
            caller=caller,
        )


@router.get(
    "/{id}",
    response_model=Job,
    responses={200: {"headers": TAGGED}, **NOT_MODIFIED, **problems(404)},
)
async def look(
    id: JobId, context: InContext, asked: HttpRequest, if_none_match: IfNoneMatch = None
) -> Response:
    """Return state, progress, best, recommended; as quick with a million trials as with one."""
    seen = await context.looks.job(id)
    if (same := not_modified(if_none_match, seen.tag)) is not None:
        return same
    # The call that clients repeat: what it answers is written, and compressed, once for all who ask
    # at a time.
    body, headers = seen.body, told_of(seen.tag)
    if is_compressed(asked.headers, len(body)):
        body, headers = seen.compressed, headers | COMPRESSED
    return Response(body, headers=headers, media_type="application/json")


@router.get(
    "/{id}/trials",
    response_model=TrialPage,
    responses={200: {"headers": TAGGED}, **NOT_MODIFIED, **problems(404, 422)},
)
def trials(
    id: JobId,
    asked: Annotated[TrialsAsked, Query()],
    context: InContext,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """List the trials of the job's study."""
    with context.database.reading() as transaction:
        found = lookups.list_trials(transaction, id, **dict(asked))
    return tagged(found, if_none_match)


def _streamed(kind: str) -> Any:
    content = {kind: {"schema": {"type": "string"}}}
    return {200: {"content": content, "description": "Every trial"}, **problems(404)}


@router.get("/{id}/trials.csv", response_class=StreamingResponse, responses=_streamed(CSV))
def trials_csv(id: JobId, context: InContext) -> StreamingResponse:
    """Export every trial by number, as CSV: a column for each parameter."""
    return StreamingResponse(exported(context.database, id, "csv"), media_type=CSV)


@router.get("/{id}/trials.jsonl", response_class=StreamingResponse, responses=_streamed(LINES))
def trials_jsonl(id: JobId, context: InContext) -> StreamingResponse:
    """Export every trial by number, a JSON object a line."""
    return StreamingResponse(exported(context.database, id, "jsonl"), media_type=LINES)


@router.get("/{id}/trials/{number}", responses=problems(404, 422))
def trial(
    id: JobId, number: Annotated[int, Path(ge=0, le=LARGEST_NUMBER)], context: InContext
) -> TrialDetail:
    """Return one trial with its curve and what each fold gave."""
    with context.database.reading() as transaction:
        return lookups.find_trial(transaction, id, number)


@router.get("/{id}/front", responses=problems(404, 409))
def front(id: JobId, context: InContext) -> Front:
    """Return the complete trials that no other beats in every objective."""
    with context.database.reading() as transaction:
        return find_front(transaction, id)


@router.delete("/{id}", status_code=204, response_class=Response, responses=problems(403, 404, 409))
async def delete(id: JobId, context: InContext) -> None:
    """Delete a job that has ended, with its study, its artifacts and its `Idempotency-Key`.

    It is gone for every call at once; the trials of a large study and the files follow soon.
    """
    await context.writers.write(lambda transaction: delete_job(transaction, id))
    context.sweeper.wake()


@router.post("/{id}/cancel", responses=problems(403, 404, 409))
async def cancel(id: JobId, context: InContext) -> Job:
    """End the job; its live trials fail with the reason `cancelled`."""
    return await context.writers.write(lambda transaction: lifecycle.cancel_job(transaction, id))


@router.post("/{id}/pause", responses=problems(403, 404, 409))
async def pause(id: JobId, context: InContext) -> Job:
    """Start no new trials; those in training finish."""
    return await context.writers.write(lambda transaction: lifecycle.pause_job(transaction, id))


@router.post("/{id}/resume", responses=problems(403, 404, 409))
async def resume(id: JobId, context: InContext) -> Job:
    """Go on where the job was paused."""
    return await context.writers.write(lambda transaction: lifecycle.resume_job(transaction, id))


@router.post("/{id}/answer", responses=problems(403, 404, 409))
async def answer(id: JobId, context: InContext) -> Job:
    """End the search now and answer from the trials that have ended; live ones fail.

    409 before any trial is complete. Repeated while the answer is being worked out, it changes
    nothing. A paused job goes on to be answered; `extend` reopens the search.
    """
    return await context.writers.write(lambda transaction: lifecycle.answer_job(transaction, id))


class Extension(Strict):
    """The trials by which a job's budget grows."""

    trials: Integer = Field(ge=1, le=MAX_TRIALS, description="how many more")


@router.post(
    "/{id}/extend",
    dependencies=[Depends(require_json)],
    responses=problems(400, 403, 404, 408, 409, 413, 415, 422),
)
async def extend(id: JobId, extension: Extension, context: InContext, caller: InCaller) -> Job:
    """Add trials to a job that is queued, running or paused, or has succeeded.

    A succeeded job runs again, with all of its `timeout_seconds` if it has any, and keeps its
    answer until the new one replaces it; `test.evaluations` counts the looks at the sealed test
    set. Trials that it left out because its time was up are trained as well.
    """
    return await context.writers.write(
        lambda transaction: extend_job(transaction, id, extension.trials, caller)
    )
