"""What can be done with a job now: a button for each, and none that can't work."""

from __future__ import annotations

from dataclasses import dataclass

from ridgeway.spec.grids import grid_size
from ridgeway.spec.names import SAMPLER_ROWS
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Job
from service.pages.wording import budget_used


@dataclass(frozen=True)
class Action:
    """A button: its name in the scripts, its label, and the REST call that it makes.

    asks: what is told first, below the question `title` with its answers `no` and `yes`; "" for
    what can be taken back. kind: how it looks.
    """

    name: str
    label: str
    path: str
    method: str = "POST"
    asks: str = ""
    kind: str = ""
    title: str = ""
    no: str = "Leave it"
    yes: str = ""


LIVE = ("queued", "running", "paused")


def actions_for(job: Job) -> list[Action]:
    """Return what the job's state allows, the likeliest first."""
    at = f"/v1/jobs/{job.id}"
    pause, resume = (
        Action("pause", "Pause", f"{at}/pause"),
        Action("resume", "Resume", f"{at}/resume", kind="first"),
    )
    found: list[tuple[bool, Action]] = [
        (job.state in ("queued", "running") and not job.answering, pause),
        (job.state == "paused", resume),
        (_has_an_early_answer(job), _answer(at)),
        (
            job.state in (*LIVE, "succeeded") and _has_room(job),
            _extend(at),
        ),
        (job.state in LIVE, _cancel(at)),
        (job.ended, _delete(at)),
    ]
    return [action for there, action in found if there]


def _has_an_early_answer(job: Job) -> bool:
    return job.state in LIVE and job.progress.complete > 0 and not job.answering


def _has_room(job: Job) -> bool:
    """Return False where every point of a grid, or of a path, is in the budget already."""
    if not isinstance(job.spec, JobSpec):
        return False
    return not SAMPLER_ROWS[job.spec.sampler].finite or budget_used(job) < grid_size(job.spec)


def _extend(at: str) -> Action:
    return Action(
        "extend",
        "More trials …",
        f"{at}/extend",
        asks="The search goes on with as many more; a job that has its answer gets a new one.",
        title="More trials",
        yes="Add them",
    )


def _answer(at: str) -> Action:
    asks = (
        "The search ends now, and the answer rests on the trials that are done. Those in training "
        "are given up."
    )
    return Action(
        "answer", "Answer now", f"{at}/answer", asks=asks, title="Answer now?", yes="Answer now"
    )


def _cancel(at: str) -> Action:
    asks = "The job ends without an answer. Its trials stay, until you delete it."
    return Action(
        "cancel",
        "Cancel",
        f"{at}/cancel",
        asks=asks,
        kind="danger",
        title="End this job?",
        no="Keep it going",
        yes="End it",
    )


def _delete(at: str) -> Action:
    asks = "The job goes for good, with its trials, its answer and its models."
    return Action(
        "delete", "Delete", at, "DELETE", asks, "danger", "Delete this job?", "Keep it", "Delete it"
    )
