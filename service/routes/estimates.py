"""/v1/estimates: what a job would come to, checked as if it were submitted."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Request
from sqlalchemy.engine import Connection

from ridgeway.fleet import LIVE_SECONDS
from ridgeway.jobs.estimates import estimate_job
from ridgeway.jobs.warm_starts import find_lessons
from ridgeway.keys.caller import Caller
from ridgeway.spec import snippets
from ridgeway.spec.paths import JobBody, job_spec_of
from ridgeway.views import Code, DryRun
from service.access.asking import InCaller
from service.context import InContext, require_json
from service.problems import problems
from service.routes.jobs import resolve

router = APIRouter(prefix="/v1/estimates", tags=["jobs"])


@router.post(
    "",
    dependencies=[Depends(require_json)],
    responses=problems(400, 403, 408, 413, 415, 422),
)
def estimate(body: JobBody, request: Request, context: InContext, caller: InCaller) -> DryRun:
    """Check a job as `POST /v1/jobs` does, with the same problems, and say what it would cost.

    Nothing is submitted. `seconds` is judged by jobs of the same kind of model and nearly as much
    work a trial that this service has trained.
    """
    spec = job_spec_of(body)
    context.allowlist.require(spec.notify)
    with context.database.reading() as transaction:
        return _dry_run(transaction, caller, body, str(request.base_url))


def _dry_run(transaction: Connection, caller: Caller, body: JobBody, url: str) -> DryRun:
    resolved, dataset_id = resolve(transaction, job_spec_of(body), caller)
    find_lessons(transaction, resolved, dataset_id, caller)  # for what it refuses
    sent = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    code = Code(
        curl=snippets.as_curl(sent, url),
        python=snippets.as_python(sent, url),
        shell=snippets.as_shell(sent, url),  # nosec B604 # no process: a command to show
    )
    known = estimate_job(transaction, resolved, dataset_id, LIVE_SECONDS, caller)
    return DryRun(**dict(known), code=code)
