"""Claims of a lease: new trials, trials that another worker lost, or the job's answer."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import jobs, leases
from ridgeway.errors import Unreadable
from ridgeway.fleet import live_workers
from ridgeway.jobs.leases import OPEN_LEASE, Lease, has_open_leases, update_lease
from ridgeway.jobs.lifecycle import end_as_failed, end_if_hopeless, withdraw_leases
from ridgeway.jobs.queue import CLAIMABLE
from ridgeway.jobs.rows import lock_job, read_job, update_job
from ridgeway.jobs.stored import read_plan, read_spec, stored_kind, stored_timeout
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.study import writing

FIRST_POPULATION = 4
MOST_SHARERS = 32  # workers that one job's end is shared out to; it spares claims before a look

log = logging.getLogger("ridgeway.worker")


@dataclass
class KnownJobs:
    """The jobs that a worker can read, and those that it can't; each is tried once."""

    readable: set[str] = field(default_factory=set[str])
    unreadable: set[str] = field(default_factory=set[str])

    def leave(self, job_id: str, why: Unreadable) -> None:
        """Leave a job to workers that can read it, for as long as this process lives."""
        log.warning("job %s is left to other workers: %s", job_id, why)
        self.readable.discard(job_id)
        self.unreadable.add(job_id)


@dataclass(frozen=True)
class Claimant:
    """The worker that asks for work, and what it can work on."""

    worker_id: str
    models: frozenset[str]
    datasets: frozenset[str]  # beside uploaded ones, which every worker can read
    population_limit: int
    lease_seconds: float
    max_attempts: int
    penalties: frozenset[str] = frozenset(PENALTY_NAMES)
    known: KnownJobs = field(default_factory=KnownJobs, compare=False)


def population_size(trials: int, limit: int, ordinal: int) -> int:
    """Return the size of the job's next population: 4, 8, 16, ... by its ordinal.

    At most the limit, and a tenth of the trials: a sampler needs its rounds.
    """
    most = max(1, min(limit, trials // 10))
    return min(most, FIRST_POPULATION << min(ordinal, 30))


def path_population_size(trials: int, limit: int) -> int:
    """Return the size of a path's next population: nobody waits for what its trials teach."""
    return max(1, min(limit, trials))


def last_size(size: int, left: int, workers: int) -> int:
    """Return the size of the next population; near a job's end, a worker's share of what is left.

    So its workers end together (guided self-scheduling, Polychronopoulos & Kuck 1987). A worker
    alone keeps its size.
    """
    share = math.ceil(left / max(1, workers))
    return min(size, max(share, FIRST_POPULATION))


def claim(transaction: Connection, claimant: Claimant) -> Lease | None:
    """Lease the next piece of work, oldest job first within priority; None if there is none.

    What another worker lost or handed back comes before new trials of the same job, and the
    answer comes when the budget is spent and nothing is live. Jobs that this release can't read
    are left to workers that can.
    """
    for job_id in transaction.execute(_jobs_with_work(claimant)).scalars().all():
        if job_id in claimant.known.unreadable:
            continue
        row = lock_job(transaction, job_id)
        if row.state not in CLAIMABLE or not _can_read(row, claimant):
            continue
        lost = transaction.execute(_LOST_LEASES, {"job": row.id}).all()
        lease = _take_over(transaction, row, lost, claimant)
        if lease is None:
            if lost:  # given up: the job has changed
                row = lock_job(transaction, job_id)
            lease = _carve(transaction, row, claimant) or _answer(transaction, row, claimant)
        if lease is not None:
            was_lost = any(each.id == lease.id and each.state != "released" for each in lost)
            return _start(transaction, row, lease, was_lost)
    return None


def has_work(transaction: Connection, claimant: Claimant) -> bool:
    """Return True where a claim would find work; a read that waits for nobody."""
    known = claimant.known
    while True:
        # One more than those that we can't read holds one that is news, if there is one.
        query = _jobs_with_work(claimant).limit(1 + len(known.unreadable))
        found = transaction.execute(query).scalars().all()
        job_id = next((each for each in found if each not in known.unreadable), None)
        if job_id is None or job_id in known.readable:
            return job_id is not None
        if _can_read(read_job(transaction, job_id), claimant):
            return True


def _can_read(row: Row[Any], claimant: Claimant) -> bool:
    """Return True where the worker can read the job's row and has its penalties.

    A newer release may, or one with other plug-ins, where it can't.
    """
    known = claimant.known
    try:
        if row.id not in known.readable:
            lacking = {*read_spec(row.spec).search.penalty} - claimant.penalties
            if lacking:
                raise Unreadable(f"no package here offers the penalty {min(lacking)!r}")
        read_plan(row.plan)
    except Unreadable as error:
        known.leave(row.id, error)
        return False
    known.readable.add(row.id)
    return True


def _lost() -> sa.ColumnElement[bool]:
    """Select the leases that the next holder may take over."""
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
    """Hold the job's first lost lease under the next fence; fail what cost too many workers."""
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
    """Return True where a trial of the population may kill its workers: two are gone."""
    lost_to_a_death = lost.state != "released" and lost.attempts >= min(2, max_attempts - 1)
    return lost_to_a_death and lost.size > 1 and lost.first_number is not None


def _split(transaction: Connection, lost: Row[Any], attempts_left: int) -> None:
    """Split the population so that by the last attempt left every suspect is trained alone.

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
    transaction.execute(
        sa.update(leases)
        .where(leases.c.id == lost.id)
        .values(size=ends[0], share=None, told_at=None)
    )
    for index, (start, end) in enumerate(pairwise(ends), start=1):
        part = {
            "ordinal": ordinal - index,
            "state": "expired",
            "first_number": lost.first_number + start,
            "size": end - start,
            "checkpoint": None,
            "share": None,
            "told_at": None,
        }
        transaction.execute(sa.insert(leases).values({**kept, **part}))


def _give_up(transaction: Connection, job_id: str, lost: Row[Any]) -> None:
    row = lock_job(transaction, job_id)
    update_lease(transaction, lost.id, state="cancelled")
    why = f", one of them because {lost.lost_because}" if lost.lost_because else ""
    if lost.first_number is None:
        doing = "refitted the models" if lost.kind == "answer" else "prepared the data"
        failed = withdraw_leases(transaction, row, "the job failed")
        message = (
            f"{lost.attempts} workers were lost while they {doing}{why}; see the workers' log."
        )
        end_as_failed(transaction, row, message, failed)
        return
    trained = "this trial" if lost.size == 1 else "this population"
    reason = f"{lost.attempts} workers were lost while they trained {trained}{why}"
    failed = writing.fail_running(transaction, row.study_id, lost.first_number, lost.size, reason)
    update_job(transaction, job_id, failed=row.failed + failed, running=row.running - failed)
    end_if_hopeless(transaction, job_id)


def _carve(transaction: Connection, row: Row[Any], claimant: Claimant) -> Row[Any] | None:
    """Lease a new population out of the budget; None where nothing is left of it."""
    overdue = row.deadline is not None and row.deadline <= current_time(transaction)
    left = row.trials - row.claimed
    if row.state not in CLAIMABLE or row.closed or overdue or left <= 0:
        return None
    limit = row.population_limit or claimant.population_limit
    if stored_kind(row.spec) == "path":
        size = min(left, path_population_size(row.trials, limit))
    else:
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
    """Lease the answer, once the budget is spent and nothing is live; None before."""
    spent = row.closed or row.claimed >= row.trials
    if row.state != "running" or not spent or has_open_leases(transaction, row.id):
        return None
    given = sa.select(sa.func.count()).where(leases.c.job_id == row.id, leases.c.kind == "answer")
    ordinal = int(transaction.execute(given).scalar_one())
    return _new_lease(transaction, row.id, "answer", ordinal, 0, claimant)


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
            # Without a checkpoint all of it is trained again.
            share=sa.case((leases.c.checkpoint.is_not(None), leases.c.share)),
        )
        .returning(leases)
    ).one()


def _start(transaction: Connection, row: Row[Any], lease: Row[Any], was_lost: bool) -> Lease:
    if row.started_at is None:
        started = current_time(transaction)
        limit = stored_timeout(row.spec)
        deadline = started + limit if limit is not None else None
        update_job(transaction, row.id, state="running", started_at=started, deadline=deadline)
    return Lease(
        id=lease.id,
        kind=lease.kind,
        job_id=row.id,
        study_id=row.study_id,
        stored_spec=row.spec,
        dataset_id=row.dataset_id,
        plan=read_plan(row.plan),
        ordinal=lease.ordinal,
        size=lease.size,
        first_number=lease.first_number,
        fence=lease.fence,
        checkpoint=lease.checkpoint,
        was_lost=was_lost,
    )


_NEW_LEASE = (
    sa.insert(leases)
    .values(created_at=now(), expires_at=now() + sa.bindparam("lease_seconds", type_=sa.Double))
    .returning(leases)
)

_OF_JOB = leases.c.job_id == sa.bindparam("job", type_=sa.String)

_LOST_LEASES = sa.select(leases).where(_OF_JOB, _lost()).order_by(leases.c.id).with_for_update()
