"""What pages call things: a job, what it is at, what it has found so far."""

from __future__ import annotations

from dataclasses import dataclass

from ridgeway.answers import Chosen, Recommended
from ridgeway.report.verdict import chosen_of, claim_of, named, objective_of
from ridgeway.spec.models import MlpModel
from ridgeway.spec.names import UNPENALISED, penalty_row
from ridgeway.spec.spec import JobSpec
from ridgeway.views import Best, Job
from ridgeway.words import count, duration, number


@dataclass(frozen=True)
class Found:
    """What is found so far: a few words, and the penalty whose colour they have."""

    words: str
    note: str = ""
    penalty: str | None = None


def name_of(job: Job) -> str:
    """Return what the job is called: its name, or the question that it answers."""
    return job.name or f"Which penalty for {dataset_of(job)}?"


def dataset_of(job: Job) -> str:
    """Return the data set as the job names it."""
    return job.spec.dataset if isinstance(job.spec, JobSpec) else "an unreadable data set"


def model_of(job: Job) -> str:
    """Return the job's model in a few words."""
    if not isinstance(job.spec, JobSpec):
        return "unreadable"
    model = job.spec.model
    if isinstance(model, MlpModel):
        return f"net with {' + '.join(map(str, model.hidden))} hidden units"
    return "linear model" if model.kind == "linear" else model.kind


def judged_by(job: Job) -> str:
    """Return what the job's trials are judged by."""
    return objective_of(job.spec) if isinstance(job.spec, JobSpec) else "value"


def budget_used(job: Job) -> int:
    """Count the trials of the budget that more are added to: all, unless the search ended early."""
    over = job.ended or job.answering
    return job.progress.ended if over else job.progress.trials


def at(job: Job, workers: int) -> str:
    """Say what a job that has not ended is at."""
    if job.state == "paused":
        return "Paused: no new trials are begun. Resume goes on from here."
    if job.answering:
        return (
            f"Answering, from {count(job.progress.complete, 'trial')}. The best models are trained "
            "once more on fresh splits, and the answer is worked out."
        )
    if workers == 0:
        return "No worker is running, so nothing happens yet. Start one: ridgeway worker"
    if job.state == "queued":
        return "Waiting in line: a worker takes it up as soon as one is free."
    left = job.progress.eta_seconds
    return "Searching." if left is None else f"About {duration(round(left))} of search left."


def counted(job: Job) -> str:
    """Say how many trials have ended, of how many."""
    done, progress = job.progress.ended, job.progress
    parts = [f"{done:,} of {count(progress.trials, 'trial')} done"]
    if progress.running:
        parts.append(f"{progress.running:,} in training")
    if progress.pruned:
        parts.append(f"{progress.pruned:,} ended early")
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    return ", ".join(parts)


def found_so_far(job: Job) -> Found:
    """Say what the job has found: its verdict, its best trial so far, or why it has none."""
    if job.recommended is not None:
        return _answered(job.recommended)
    if job.error:
        return Found(job.error)
    if job.best is not None:
        row = penalty_row(_penalty(job.best))
        value = f"{judged_by(job)} {number(job.best.value)}"
        return Found(f"Best so far: {value}", f"with {row.label}", row.name)
    return Found("")


def _answered(answer: Recommended) -> Found:
    chosen = chosen_of(answer)
    penalty = None if chosen is None else _penalty(chosen)
    return Found(claim_of(answer) or "Answered", f"Use {_lower(named(chosen))}", penalty)


def _penalty(trial: Best | Chosen) -> str:
    return str(trial.params.get("penalty", UNPENALISED))


def _lower(label: str) -> str:
    """Begin a label in the middle of a sentence; L1 and MCP stay as they are."""
    return label if label[1:2].isupper() or label[1:2].isdigit() else label[:1].lower() + label[1:]
