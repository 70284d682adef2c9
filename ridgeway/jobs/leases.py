"""How workers share jobs: claim, reserve, renew, finish, release, expire.

A lease is one population of a job's trials (or its answer) in one worker's hands for a while.
Released or expired, the next holder takes over the same trials with the next fence; a write under
an old fence is refused. Lease check, Optuna's rows and the job's counters commit together.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal, cast

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import artifacts, jobs, leases
from ridgeway.errors import LeaseLost
from ridgeway.jobs.fleet import live_workers, mark_gone
from ridgeway.jobs.lifecycle import (
    OPEN_LEASE,
    Artifact,
    end_as_failed,
    lock_job,
    update_job,
    withdraw_leases,
)
from ridgeway.jobs.plan import JobPlan
from ridgeway.spec.spec import JobSpec
from ridgeway.study import reading, writing
from ridgeway.study.writing import Outcome
from ridgeway.views import ENDED, Best, Params, Recommended

FIRST_POPULATION = 4
MOST_SHARERS = 32  # workers that one job's end is shared out to; it spares claims before a look
CLAIMABLE = ("queued", "running")  # states of a job that may be worked on


@dataclass(frozen=True)
class Claimant:
    """Who asks for work, and what it can work on."""

    worker_id: str
    models: frozenset[str]
    datasets: frozenset[str]  # beside uploaded ones, which every worker can read
    population_limit: int
    lease_seconds: float
    max_attempts: int


@dataclass(frozen=True)
class Lease:
    """A population of a job's trials, or the job's answer, held under a fence."""

    id: int
    kind: Literal["population", "answer"]
    job_id: str
    study_id: int
    spec: JobSpec
    dataset_id: str | None
    plan: JobPlan | None
    ordinal: int
    size: int
    first_number: int | None  # None until the trials are reserved
    fence: int
    checkpoint: str | None = None  # where an earlier holder left off: a key in the store


def population_size(trials: int, limit: int, ordinal: int) -> int:
    """4, 8, 16, ... up to the limit and a tenth of the trials: a sampler needs its rounds."""
    most = max(1, min(limit, trials // 10))
    return min(most, FIRST_POPULATION << min(ordinal, 30))


def last_size(size: int, left: int, workers: int) -> int:
    """Of a population near a job's end, so that its workers end together: a worker's share of what
    is left, if that is less (Polychronopoulos & Kuck 1987). A worker alone keeps its size.
    """
    share = math.ceil(left / max(1, workers))
    return min(size, max(share, FIRST_POPULATION))


# --- claim ------------------------------------------------------------------------------------


def claim(transaction: Connection, claimant: Claimant) -> Lease | None:
    """Lease the next piece of work, oldest job first within priority; None if there is none.

    What another worker lost or handed back comes before new trials of the same job, and the
    answer comes when the budget is spent and nothing is live.
    """
    for job_id in transaction.execute(_jobs_with_work(claimant)).scalars().all():
        row = lock_job(transaction, job_id)
        if row.state not in CLAIMABLE:
            continue
        lost = transaction.execute(_LOST_LEASES, {"job": row.id}).all()
        lease = _take_over(transaction, row, lost, claimant)
        if lease is None:
            if lost:  # given up: the job has changed
                row = lock_job(transaction, job_id)
            lease = _carve(transaction, row, claimant) or _answer(transaction, row, claimant)
        if lease is not None:
            return _start(transaction, row, lease)
    return None


def has_work(transaction: Connection, claimant: Claimant) -> bool:
    """Whether a claim is worth its lock; a read that waits for nobody."""
    return transaction.execute(_jobs_with_work(claimant).limit(1)).first() is not None


def _lost() -> sa.ColumnElement[bool]:
    """Leases that the next holder may take over."""
    overdue = (leases.c.state == "running") & (leases.c.expires_at < now())
    return leases.c.state.in_(["released", "expired"]) | overdue


@lru_cache(maxsize=64)
def _jobs_with_work(claimant: Claimant) -> sa.Select[str]:
    of_job = leases.c.job_id == jobs.c.id
    nothing_open = ~sa.exists().where(of_job, leases.c.state.in_(OPEN_LEASE))
    spent = jobs.c.closed | (jobs.c.claimed >= jobs.c.trials)
    in_time = jobs.c.deadline.is_(None) | (jobs.c.deadline > now())
    return (
        sa.select(jobs.c.id)
        .where(
            jobs.c.state.in_(CLAIMABLE),
            jobs.c.model.in_(sorted(claimant.models)),
            jobs.c.dataset_id.is_not(None) | jobs.c.dataset.in_(sorted(claimant.datasets)),
            (~spent & in_time) | (spent & nothing_open) | sa.exists().where(of_job, _lost()),
        )
        .order_by(jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id)
    )


def _take_over(
    transaction: Connection, row: Row[Any], lost_leases: Sequence[Row[Any]], claimant: Claimant
) -> Row[Any] | None:
    """The job's first lost lease under the next fence; what has cost too many workers is failed."""
    for lost in lost_leases:
        if lost.attempts < claimant.max_attempts:
            if _suspect(lost, claimant.max_attempts):
                _split(transaction, lost, claimant.max_attempts - lost.attempts)
            return _hold(transaction, lost.id, lost.fence + 1, lost.attempts + 1, claimant)
        _give_up(transaction, row.id, lost)
        if lock_job(transaction, row.id).state not in CLAIMABLE:
            return None
    return None


def _suspect(lost: Row[Any], max_attempts: int) -> bool:
    """Whether one of the population's trials may kill whoever trains it: two workers are gone."""
    lost_to_a_death = lost.state != "released" and lost.attempts >= min(2, max_attempts - 1)
    return lost_to_a_death and lost.size > 1 and lost.first_number is not None


def _split(transaction: Connection, lost: Row[Any], attempts_left: int) -> None:
    """Part the population so that by the last attempt left every suspect is trained alone.

    The first part stays in the lease, whose checkpoint fits nobody now and is deleted with it; the
    others are lost leases of their own. Their ordinals are negative: those of populations yet to
    come, which sizes and seeds hang on, stay as they were.
    """
    parts = math.ceil(lost.size ** (1 / attempts_left))
    ends = [lost.size * (part + 1) // parts for part in range(parts)]
    lowest = sa.select(sa.func.min(leases.c.ordinal)).where(
        leases.c.job_id == lost.job_id, leases.c.kind == "population"
    )
    ordinal = min(0, transaction.execute(lowest).scalar_one())
    kept = {c.name: getattr(lost, c.name) for c in leases.columns if c.name != "id"}
    transaction.execute(sa.update(leases).where(leases.c.id == lost.id).values(size=ends[0]))
    for index, (start, end) in enumerate(pairwise(ends), start=1):
        part = {
            "ordinal": ordinal - index,
            "state": "expired",
            "first_number": lost.first_number + start,
            "size": end - start,
            "checkpoint": None,
        }
        transaction.execute(sa.insert(leases).values({**kept, **part}))


def _give_up(transaction: Connection, job_id: str, lost: Row[Any]) -> None:
    row = lock_job(transaction, job_id)
    _end_lease(transaction, lost.id, "cancelled")
    if lost.first_number is None:
        doing = "refitted the models" if lost.kind == "answer" else "prepared the data"
        failed = withdraw_leases(transaction, row, "the job failed")
        message = f"{lost.attempts} workers were lost while they {doing}; see the workers' log."
        end_as_failed(transaction, row, message, failed)
        return
    trained = "this trial" if lost.size == 1 else "this population"
    reason = f"{lost.attempts} workers were lost while they trained {trained}"
    failed = writing.fail_running(transaction, row.study_id, lost.first_number, lost.size, reason)
    update_job(transaction, job_id, failed=row.failed + failed, running=row.running - failed)
    _conclude(transaction, job_id)


def _carve(transaction: Connection, row: Row[Any], claimant: Claimant) -> Row[Any] | None:
    """A new population out of the budget."""
    overdue = row.deadline is not None and row.deadline <= current_time(transaction)
    left = row.trials - row.claimed
    if row.state not in CLAIMABLE or row.closed or overdue or left <= 0:
        return None
    limit = row.population_limit or claimant.population_limit
    size = min(left, population_size(row.trials, limit, row.populations))
    if left < MOST_SHARERS * size:
        size = last_size(size, left, live_workers(transaction, claimant.lease_seconds))
    update_job(
        transaction,
        row.id,
        claimed=row.claimed + size,
        populations=row.populations + 1,
        population_limit=limit,
    )
    return _new_lease(transaction, row.id, "population", row.populations, size, claimant)


def _answer(transaction: Connection, row: Row[Any], claimant: Claimant) -> Row[Any] | None:
    """The answer's lease, once the budget is spent and nothing is live."""
    spent = row.closed or row.claimed >= row.trials
    if row.state != "running" or not spent or _open_leases(transaction, row.id):
        return None
    given = sa.select(sa.func.count()).where(leases.c.job_id == row.id, leases.c.kind == "answer")
    ordinal = int(transaction.execute(given).scalar_one())
    return _new_lease(transaction, row.id, "answer", ordinal, 0, claimant)


def _open_leases(transaction: Connection, job_id: str) -> int:
    query = sa.select(sa.func.count()).where(
        leases.c.job_id == job_id, leases.c.state.in_(OPEN_LEASE)
    )
    return int(transaction.execute(query).scalar_one())


def _new_lease(
    transaction: Connection, job_id: str, kind: str, ordinal: int, size: int, claimant: Claimant
) -> Row[Any]:
    return transaction.execute(
        _NEW_LEASE,
        {
            "job_id": job_id,
            "kind": kind,
            "state": "running",
            "ordinal": ordinal,
            "size": size,
            "worker_id": claimant.worker_id,
            "fence": 1,
            "attempts": 1,
            "lease_seconds": claimant.lease_seconds,
        },
    ).one()


def _hold(
    transaction: Connection, lease_id: int, fence: int, attempts: int, claimant: Claimant
) -> Row[Any]:
    return transaction.execute(
        sa.update(leases)
        .where(leases.c.id == lease_id)
        .values(
            state="running",
            worker_id=claimant.worker_id,
            fence=fence,
            attempts=attempts,
            expires_at=now() + claimant.lease_seconds,
        )
        .returning(leases)
    ).one()


def _start(transaction: Connection, row: Row[Any], lease: Row[Any]) -> Lease:
    if row.started_at is None:
        started = current_time(transaction)
        limit = row.spec["timeout_seconds"]
        deadline = started + limit if limit is not None else None
        update_job(transaction, row.id, state="running", started_at=started, deadline=deadline)
    return Lease(
        id=lease.id,
        kind=lease.kind,
        job_id=row.id,
        study_id=row.study_id,
        spec=JobSpec.model_validate(row.spec),
        dataset_id=row.dataset_id,
        plan=JobPlan.model_validate(row.plan) if row.plan else None,
        ordinal=lease.ordinal,
        size=lease.size,
        first_number=lease.first_number,
        fence=lease.fence,
        checkpoint=lease.checkpoint,
    )


# --- while it is held -------------------------------------------------------------------------


def renew(transaction: Connection, lease: Lease, lease_seconds: float) -> None:
    """Hold the lease for another while; LeaseLost if it is no longer ours."""
    renewed = transaction.execute(
        sa.update(leases).where(_ours(lease)).values(expires_at=now() + lease_seconds)
    )
    if renewed.rowcount == 0:
        raise LeaseLost()


def fix_plan(
    transaction: Connection, lease: Lease, plan: JobPlan, warnings: Sequence[str] = ()
) -> JobPlan:
    """Record what the job's first worker found out; return the plan in force, the first one set."""
    row, _ = _held(transaction, lease)
    if row.plan is not None:
        return JobPlan.model_validate(row.plan)
    kept = plan.model_dump(mode="json", by_alias=True)
    update_job(transaction, row.id, plan=kept, warnings=_with(row.warnings, warnings))
    return plan


def reserve(
    transaction: Connection,
    lease: Lease,
    params: Sequence[Params],
    distributions: Mapping[str, BaseDistribution],
) -> int:
    """Write the population's trials as RUNNING and tie them to the lease; the first number.

    Repeated by the same holder, whose commit's reply was lost, it gives the number it gave before.
    """
    row, held = _held(transaction, lease)
    if held.first_number is not None:
        return int(held.first_number)
    first = writing.reserve_trials(transaction, lease.study_id, params, distributions)
    transaction.execute(_UPDATED_LEASE, {"lease": lease.id, "first_number": first})
    update_job(transaction, row.id, running=row.running + len(params))
    return first


def report(transaction: Connection, lease: Lease, curves: Mapping[int, Sequence[float]]) -> None:
    """What the population's trials have reached so far, by number; those that ended stay as is."""
    _held(transaction, lease)
    writing.report_trials(transaction, lease.study_id, curves)


def record_checkpoint(transaction: Connection, lease: Lease, address: str) -> str | None:
    """From here the next holder goes on; the address before. LeaseLost if it is no longer ours.

    Whoever came as far has not been killed by its trials: attempts are counted anew.
    """
    ours = sa.select(leases).where(_ours(lease)).with_for_update()
    row = transaction.execute(ours).one_or_none()
    if row is None:
        raise LeaseLost()
    transaction.execute(
        sa.update(leases).where(leases.c.id == row.id).values(checkpoint=address, attempts=1)
    )
    return row.checkpoint


def forget_checkpoint(transaction: Connection, lease: Lease) -> str | None:
    """The address of a checkpoint that nobody will go on from: its lease has ended."""
    ended = (leases.c.id == lease.id) & leases.c.state.not_in(OPEN_LEASE)
    address = transaction.execute(
        sa.select(leases.c.checkpoint).where(ended).with_for_update()
    ).scalar_one_or_none()
    if address is not None:
        transaction.execute(
            sa.update(leases).where(leases.c.id == lease.id).values(checkpoint=None)
        )
    return address


def finish_population(
    transaction: Connection,
    lease: Lease,
    outcomes: Sequence[Outcome],
    warnings: Sequence[str] = (),
) -> None:
    """Write every outcome, count it, and end the lease. Repeated by the same holder, a no-op."""
    row, held = _held(transaction, lease, also_done=True)
    if held.state == "done":
        return
    finished = writing.finish_trials(transaction, lease.study_id, outcomes)
    counted = [outcome for outcome in outcomes if outcome.number in finished]
    states = Counter(outcome.state for outcome in counted)
    complete = [outcome for outcome in counted if outcome.state == TrialState.COMPLETE]
    update_job(
        transaction,
        row.id,
        complete=row.complete + states[TrialState.COMPLETE],
        pruned=row.pruned + states[TrialState.PRUNED],
        failed=row.failed + states[TrialState.FAIL],
        running=row.running - len(counted),
        best=_better(transaction, row, lease, complete),
        warnings=_with(row.warnings, warnings),
    )
    _end_lease(transaction, lease.id, "done")
    if not row.complete and not complete:
        _conclude(transaction, row.id)


def finish_answer(
    transaction: Connection,
    lease: Lease,
    recommended: Recommended,
    kept: Mapping[str, Artifact],
    warnings: Sequence[str] = (),
) -> None:
    """The answer, its artifacts and `succeeded`, at once. Repeated by the same holder, a no-op.

    The looks at the sealed test set are counted here, as an answer that nobody sees is no look.
    """
    row, held = _held(transaction, lease, also_done=True)
    if held.state == "done":
        return
    finished = current_time(transaction)
    # Those of an earlier answer, of which this one need not have each: a refit may diverge.
    transaction.execute(sa.delete(artifacts).where(artifacts.c.job_id == row.id))
    for name, artifact in kept.items():
        transaction.execute(
            sa.insert(artifacts).values(
                job_id=row.id,
                name=name,
                address=artifact.address,
                checksum=artifact.checksum,
                bytes=artifact.bytes,
                created_at=finished,
            )
        )
    update_job(
        transaction,
        row.id,
        state="succeeded",
        recommended=_counted(recommended, row.evaluations + 1),
        evaluations=row.evaluations + 1,
        warnings=_with(row.warnings, warnings),
        finished_at=finished,
    )
    _end_lease(transaction, lease.id, "done")


def _counted(recommended: Recommended, evaluations: int) -> dict[str, Any]:
    test = recommended.test.model_copy(update={"evaluations": evaluations})
    return recommended.model_copy(update={"test": test}).model_dump(mode="json")


def fail_job(transaction: Connection, lease: Lease, message: str) -> None:
    """The holder found that the job can't be trained at all: end it with a message to act on."""
    row, _ = _held(transaction, lease)
    failed = withdraw_leases(transaction, row, "the job failed")
    end_as_failed(transaction, row, message, failed)


def release(transaction: Connection, lease: Lease) -> None:
    """Hand the lease back before its time; that costs no attempt."""
    transaction.execute(
        sa.update(leases)
        .where(leases.c.id == lease.id, leases.c.fence == lease.fence, leases.c.state == "running")
        .values(state="released", attempts=leases.c.attempts - 1)
    )


def expire_leases(transaction: Connection, worker_id: str | None = None) -> int:
    """Expire the running leases of a worker that is known to be dead, or all; how many."""
    query = sa.update(leases).where(leases.c.state == "running").values(state="expired")
    if worker_id is not None:
        query = query.where(leases.c.worker_id == worker_id)
    mark_gone(transaction, worker_id)
    return transaction.execute(query).rowcount


def trials_before(transaction: Connection, lease: Lease) -> int:
    """How many of the job's trials come before the population's, which is not reserved yet.

    The parts of a split population have negative ordinals, and the whole one's time of creation.
    One that was withdrawn before it was reserved has no trials.
    """
    created = sa.select(leases.c.created_at).where(leases.c.id == lease.id).scalar_subquery()
    part_of_earlier = (leases.c.ordinal < 0) & (leases.c.created_at <= created)
    query = sa.select(sa.func.coalesce(sa.func.sum(leases.c.size), 0)).where(
        leases.c.job_id == lease.job_id,
        leases.c.kind == "population",
        leases.c.ordinal.between(0, lease.ordinal - 1) | part_of_earlier,
        leases.c.first_number.is_not(None) | (leases.c.state != "cancelled"),
    )
    return int(transaction.execute(query).scalar_one())


def own_numbers(transaction: Connection, job_id: str) -> list[range]:
    """The numbers of the trials that this job's workers trained; others are foreign."""
    query = sa.select(leases.c.first_number, leases.c.size).where(
        leases.c.job_id == job_id, leases.c.first_number.is_not(None)
    )
    rows = transaction.execute(query)
    return [range(row.first_number, row.first_number + row.size) for row in rows]


def _ours(lease: Lease) -> sa.ColumnElement[bool]:
    """The lease's row, as long as it runs under the fence that we hold."""
    same = (leases.c.id == lease.id) & (leases.c.fence == lease.fence)
    return same & (leases.c.state == "running")


def _held(
    transaction: Connection, lease: Lease, also_done: bool = False
) -> tuple[Row[Any], Row[Any]]:
    """The locked rows of the lease's job and of the lease; LeaseLost unless it is still ours.

    `also_done`: or was when this very holder finished it, whose commit's reply was lost.
    """
    row = lock_job(transaction, lease.job_id)
    held = transaction.execute(_HELD_LEASE, {"lease": lease.id}).one_or_none()
    if held is None or held.fence != lease.fence:
        raise LeaseLost()
    finished = also_done and held.state == "done"
    if not finished and (held.state != "running" or row.state in ENDED):
        raise LeaseLost()
    return row, held


def _better(
    transaction: Connection, row: Row[Any], lease: Lease, complete: Sequence[Outcome]
) -> dict[str, Any] | None:
    """The best of the job so far and of these outcomes."""
    sign = -1.0 if lease.spec.maximise else 1.0
    ranked = sorted(complete, key=lambda o: (sign * cast("float", o.value), o.number))
    if not ranked:
        return row.best
    first = ranked[0]
    value = cast("float", first.value)
    if row.best and (sign * row.best["value"], row.best["number"]) < (sign * value, first.number):
        return row.best
    (trial,) = reading.trials_in(transaction, lease.study_id, first.number, 1)
    return Best(
        number=first.number,
        value=value,
        standard_error=first.attributes.get("standard_error"),
        params=trial.params,
        nonzero_weights=first.attributes["nonzero_weights"],
        weights=first.attributes["weights"],
    ).model_dump(mode="json")


def _conclude(transaction: Connection, job_id: str) -> None:
    """A job whose every trial has failed can't be answered: say why."""
    row = lock_job(transaction, job_id)
    spent = row.closed or row.claimed >= row.trials
    if (
        row.complete == 0
        and spent
        and row.state in ("running", "paused")
        and not _open_leases(transaction, job_id)
    ):
        reason = reading.commonest_reason(transaction, row.study_id) or "no reason was recorded"
        ended = row.failed + row.pruned
        end_as_failed(
            transaction, row, f"None of the {ended} trials was complete. Most often: {reason}"
        )


def _with(told: Sequence[str], warnings: Sequence[str]) -> list[str]:
    """A job tells each warning once."""
    return [*told, *(w for w in dict.fromkeys(warnings) if w not in told)]


def _end_lease(transaction: Connection, lease_id: int, state: str) -> None:
    transaction.execute(_UPDATED_LEASE, {"lease": lease_id, "state": state})


# Built once: to build a statement takes SQLAlchemy longer than to run it.
_THE_LEASE = leases.c.id == sa.bindparam("lease", type_=sa.Integer)
_HELD_LEASE = sa.select(leases).where(_THE_LEASE).with_for_update()
_UPDATED_LEASE = sa.update(leases).where(_THE_LEASE)
_NEW_LEASE = (
    sa.insert(leases)
    .values(created_at=now(), expires_at=now() + sa.bindparam("lease_seconds", type_=sa.Double))
    .returning(leases)
)
_OF_JOB = leases.c.job_id == sa.bindparam("job", type_=sa.String)
_LOST_LEASES = sa.select(leases).where(_OF_JOB, _lost()).order_by(leases.c.id).with_for_update()
