"""The page of a job: how it goes while it runs; then its answer, and what that rests on."""

from __future__ import annotations

import logging

from fastapi import Request, Response

from ridgeway.errors import StoreAway, Unreadable
from ridgeway.fleet import LIVE_SECONDS, live_workers
from ridgeway.jobs.evidence import read_told
from ridgeway.jobs.lookups import find_job
from ridgeway.spec import snippets
from ridgeway.spec.names import penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job
from service.context import Context, InContext, JobId
from service.pages.actions import actions_for
from service.pages.answered import Answered, answered
from service.pages.environment import page
from service.pages.routing import page_router
from service.pages.wording import at, counted, dataset_of, judged_by, model_of, name_of

log = logging.getLogger(__name__)

router = page_router()


@router.get("/jobs/{id}")
def job(id: JobId, request: Request, context: InContext) -> Response:
    """Show a job."""
    with context.database.reading() as transaction:
        found = find_job(transaction, id)
        workers = 1 if found.ended else live_workers(transaction, LIVE_SECONDS)
    told, trouble = _answer(context, found)
    return page(
        request,
        "job.html.jinja",
        job=found,
        name=name_of(found),
        about=f"{dataset_of(found)} · {model_of(found)}",
        judged_by=judged_by(found),
        maximise=isinstance(found.spec, JobSpec) and found.spec.maximise,
        penalties=_penalties(found),
        at=at(found, workers),
        counted=counted(found),
        actions=actions_for(found),
        remedy=remedy(found),
        told=told,
        trouble=trouble,
        in_python=snippets.predict_in_python(found.id, str(request.base_url)),
        by_curl=snippets.predict_by_curl(found.id, str(request.base_url)),
    )


def _answer(context: Context, found: Job) -> tuple[Answered | None, str]:
    """Return what the answer tells, or why it can't be told."""
    if found.recommended is None:
        return None, found.unreadable or ""
    try:
        evidence = read_told(context.database, context.store, found.id)
    except Unreadable as error:
        return None, str(error)
    except StoreAway as error:
        log.warning("%s", error)
        return None, "The answer's files can't be read now. Look again in a moment."
    if evidence.answer is None:  # it was extended, or deleted, since
        return None, ""
    return answered(evidence, evidence.answer), ""


def _penalties(found: Job) -> dict[str, str]:
    """Return the labels of the penalties that the job searches."""
    if not isinstance(found.spec, JobSpec):
        return {}
    return {name: penalty_row(name).label for name in found.spec.search.penalty}


def remedy(found: Job) -> str:
    """Say what may be done about a job that has failed."""
    error = found.error or ""
    if "ran out of its" in error:
        return (
            "Give it more time (timeout_seconds), or let it ask for less: fewer epochs, a smaller "
            "model, fewer folds."
        )
    if error.startswith("None of the"):
        return (
            "The reasons stand beside its trials below. Values that are not finite mostly come of "
            "too large a learning rate: search lower ones."
        )
    return (
        "Mend what the message names and start it again with changes. If it says nothing of your "
        "data or settings, the worker's log says more."
    )
