"""What a job would cost, judged by what jobs like it have taken.

A trial of another job took so long at so much work: rows times weights times folds times epochs. A
trial of this job does more work or less. Between nothing and in proportion to the work is what its
time may change by: overhead does not grow, arithmetic does. Within a job the first population bears
what is done once, as compiling, and larger ones share more: the least is the time of its fastest
population. The most is that of all on average, or for a smaller budget of the slowest. The range
spans all that, over the jobs that are nearest in work, and a quarter more either way, as no two
runs take the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.data.bundled import bundled_profiles
from ridgeway.database.tables import datasets, jobs, leases
from ridgeway.errors import InvalidInput, Unreadable
from ridgeway.fleet import list_live_workers
from ridgeway.jobs.accounts import Sharers, sharers_of
from ridgeway.jobs.lifecycle import first_warnings
from ridgeway.jobs.stored import read_spec
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.spec.grids import budget
from ridgeway.spec.models import PluginModel
from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.spec import JobSpec
from ridgeway.study.durations import trial_seconds
from ridgeway.views import Estimate, Span
from ridgeway.words import roughly

LOOKED_AT = 100  # jobs, the last to have succeeded
NEAREST = 3  # of these are judged by
ALIKE = 10.0  # a trial of a job like this one does at most so many times the work, or so little
POPULATIONS = 200  # of a job, whose times are read
NOISE = 1.25
UNKNOWN = "Unknown: no worker has trained a model like it yet."


@dataclass(frozen=True)
class Cost:
    """What a job of so many trials took, in seconds.

    fastest, mean, slowest: of a worker for a trial, by population. work: of a trial.
    """

    trials: int
    fastest: float
    mean: float
    slowest: float
    answer: float
    work: float

    def scaled(self, work: float, trials: int) -> tuple[Parts, Parts]:
        """Return the least and the most that the parts of a job of other size take."""
        ratio = work / self.work
        least, most = min(1.0, ratio) / NOISE, max(1.0, ratio) * NOISE
        high = self.slowest if trials < self.trials else self.mean
        return Parts(self.fastest * least, self.answer * least), Parts(
            high * most, self.answer * most
        )


@dataclass(frozen=True)
class Parts:
    """Seconds of a worker for a trial, and for the answer."""

    trial: float
    answer: float


def estimate_job(
    transaction: Connection,
    spec: JobSpec,
    dataset_id: str | None,
    seen_seconds: float,
    caller: Caller = LOCAL,
) -> Estimate:
    """Estimate a resolved spec as if it were submitted now; nothing is written.

    Workers count that were seen within so many seconds and offer what the spec names.
    InvalidInput where the data set was deleted since it was looked up.
    """
    live, uploaded = list_live_workers(transaction, seen_seconds), dataset_id is not None
    workers = sum(not each.lacking(spec, uploaded=uploaded) for each in live)
    sharers = sharers_of(transaction, caller.key, spec.priority)
    costs = _costs_of_like_jobs(transaction, spec, _size_of(transaction, spec, dataset_id))
    seconds = _span(spec, costs, max(workers, 1))
    return Estimate(
        spec=spec,
        trials=budget(spec),
        workers=workers,
        jobs_ahead=sharers.own_jobs,
        share=sharers.share,
        seconds=seconds,
        judged_by=len(costs),
        sentence=sentence(seconds, workers, sharers),
        warnings=first_warnings(spec),
    )


def sentence(seconds: Span | None, workers: int, sharers: Sharers) -> str:
    """Say what a job costs to whoever thinks of submitting it."""
    on = "your worker" if workers == 1 else f"your {workers} workers"
    if seconds is None:
        told = UNKNOWN if workers else f"{UNKNOWN} No worker that can train it is alive."
    elif workers:
        told = f"{_told(seconds)} on {on}."
    else:
        told = f"{_told(seconds)} on one worker, but none that can train it is alive."
    return " ".join([told, *_shared(sharers)])


def _shared(sharers: Sharers) -> Iterator[str]:
    """Yield with whom the workers are shared, if with anybody."""
    if sharers.share < 1:
        part = max(sharers.share, 0.01)
        yield f"Other keys' jobs leave yours {part:.0%} of the workers' time."
    if sharers.own_jobs:
        jobs = "job shares" if sharers.own_jobs == 1 else "jobs share"
        what = "the workers" if sharers.share == 1 else "that"
        yield f"{sharers.own_jobs} other {jobs} {what}."


def _told(seconds: Span) -> str:
    low, high = roughly(seconds.low), roughly(seconds.high)
    if seconds.high <= 2 * seconds.low or low == high:
        return f"About {roughly(math.sqrt(seconds.low * seconds.high))}"
    return f"{low} to {high}"


def _span(spec: JobSpec, costs: Sequence[tuple[Parts, Parts]], workers: int) -> Span | None:
    """Return the range of the whole job's seconds; no search takes longer than its time."""
    if not costs:
        return None
    trials, limit = budget(spec), spec.timeout_seconds or math.inf

    def whole(parts: Parts) -> float:
        return min(trials * parts.trial / min(workers, trials), limit) + parts.answer

    return Span(
        low=min(whole(least) for least, _ in costs), high=max(whole(most) for _, most in costs)
    )


# --- jobs like it -----------------------------------------------------------------------------


def _costs_of_like_jobs(
    transaction: Connection, spec: JobSpec, size: tuple[int, int] | None
) -> list[tuple[Parts, Parts]]:
    """Return the least and the most that the job's parts took judged by each of the nearest."""
    if size is None:
        return []
    own = _work(spec, *size)
    near = sorted(
        (
            (abs(math.log(own / work)), place, row, work)
            for place, (row, work) in enumerate(_like_jobs(transaction, spec))
            if 1 / ALIKE <= own / work <= ALIKE
        ),
        key=lambda each: each[:2],
    )
    found = (_cost(transaction, row, work) for _, _, row, work in near[:NEAREST])
    return [cost.scaled(own, budget(spec)) for cost in found if cost is not None]


def _like_jobs(transaction: Connection, spec: JobSpec) -> Iterator[tuple[sa.Row[Any], float]]:
    """Yield the last jobs to have succeeded that were trained in the same way, and their work."""
    query = (
        sa.select(jobs, datasets.c.rows, datasets.c.column_count)
        .join(datasets, datasets.c.id == jobs.c.dataset_id, isouter=True)
        .where(jobs.c.state == "succeeded", jobs.c.model == spec.model.kind)
        .order_by(jobs.c.created_at.desc())
        .limit(LOOKED_AT)
    )
    for row in transaction.execute(query):
        try:
            other = read_spec(row.spec)
        except Unreadable:
            continue
        size = _bundled_size(other.dataset) if row.rows is None else (row.rows, row.column_count)
        if size is not None and _alike(spec, other):
            yield row, _work(other, *size)


def _alike(spec: JobSpec, other: JobSpec) -> bool:
    if isinstance(spec.model, PluginModel) and spec.model != other.model:
        return False
    return (
        spec.kind == other.kind
        and spec.pruner == other.pruner
        and OPTIMIZER_ROWS[spec.optimizer].has_rates == OPTIMIZER_ROWS[other.optimizer].has_rates
    )


def _work(spec: JobSpec, rows: int, columns: int) -> float:
    """Return the work of a trial in a unit of its own; a table's columns stand for the inputs."""
    weights = columns if isinstance(spec.model, PluginModel) else spec.model.weights(columns, 1)
    passes = spec.epochs if OPTIMIZER_ROWS[spec.optimizer].has_rates else 1
    return float(rows) * weights * spec.folds * passes


def _size_of(
    transaction: Connection, spec: JobSpec, dataset_id: str | None
) -> tuple[int, int] | None:
    """Return (rows, columns) of the spec's data; None for a plug-in's, which nobody here reads.

    InvalidInput for an upload that is gone.
    """
    if dataset_id is None:
        return _bundled_size(spec.dataset)
    query = sa.select(datasets.c.rows, datasets.c.column_count).where(datasets.c.id == dataset_id)
    row = transaction.execute(query).one_or_none()
    if row is None:
        raise InvalidInput.of("dataset", spec.dataset, "has been deleted meanwhile")
    return row.rows, row.column_count


def _bundled_size(name: str) -> tuple[int, int] | None:
    profile = bundled_profiles().get(name)
    return None if profile is None else (profile.rows, len(profile.columns))


def _cost(transaction: Connection, job: sa.Row[Any], work: float) -> Cost | None:
    """Read what a job took; pauses, and what workers did for other jobs meanwhile, don't count."""
    ended = (leases.c.job_id == job.id) & (leases.c.state == "done")
    trained = sa.select(leases.c.first_number, leases.c.size).where(
        ended, leases.c.kind == "population", leases.c.first_number.is_not(None)
    )
    populations = transaction.execute(trained.order_by(leases.c.ordinal).limit(POPULATIONS)).all()
    # A population's trials begin and end together.
    seconds = trial_seconds(transaction, job.study_id, [row.first_number for row in populations])
    sizes = {row.first_number: row.size for row in populations if row.first_number in seconds}
    answers = sa.select(leases.c.created_at).where(ended, leases.c.kind == "answer")
    begun = transaction.execute(answers.order_by(leases.c.ordinal.desc()).limit(1)).scalar()
    if not sizes or begun is None:
        return None
    a_trial = [seconds[number] / size for number, size in sizes.items()]
    return Cost(
        trials=job.trials,
        fastest=min(a_trial),
        mean=sum(seconds.values()) / sum(sizes.values()),
        slowest=max(a_trial),
        answer=max(job.finished_at - begun, 0.0),
        work=work,
    )
