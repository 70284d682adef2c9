"""Claims of a lease: new trials, trials that another worker lost, or the job's answer."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import datasets, jobs, leases
from ridgeway.errors import NotFound, Unreadable
from ridgeway.jobs.accounts import Turns, with_turns
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.fairness import Candidate
from ridgeway.jobs.leases import OPEN_LEASE, Lease, has_open_leases
from ridgeway.jobs.lost_leases import first_to_hold
from ridgeway.jobs.queue import CLAIMABLE
from ridgeway.jobs.rows import lock_free_job, lock_job, read_job, update_job
from ridgeway.jobs.sharing import lags, left_to_gpus, next_size, not_left_to_gpus
from ridgeway.jobs.stored import read_plan, read_spec, stored_timeout


@dataclass(frozen=True)
class Taking:
    """A claim in the making: who takes a lease, and the seconds that its job is charged for it."""

    claimant: Claimant
    seconds: float


def claim(transaction: Connection, claimant: Claimant) -> Lease | None:
    """Lease the next piece of work, of the job whose turn it is; None if there is none.

    Whose turn it is: fairness.py. What another worker lost or handed back comes before new trials
    of the same job, and the answer comes when the budget is spent and nothing is live. Jobs that
    this release can't read are left to workers that can.
    """
    turns = Turns.read(transaction, _candidates(claimant))
    passed: dict[str, Candidate] = {}  # the first of each account that is locked by somebody else
    held = False
    for candidate in turns.ordered(claimant.known.last):
        first = passed.get(candidate.owner)
        if first is not None and first.priority > candidate.priority:
            continue
        if candidate.job_id in claimant.known.left():
            continue
        row = lock_free_job(transaction, candidate.job_id)
        if row is None:
            passed.setdefault(candidate.owner, candidate)
            continue
        held = True
        if (lease := _lease(transaction, row, claimant, turns, candidate)) is not None:
            return lease
    if held or not passed:  # who has a job's lock waits for no other's, or claims could deadlock
        return None
    candidate = next(iter(passed.values()))
    try:
        row = lock_job(transaction, candidate.job_id)
    except NotFound:  # deleted meanwhile
        return None
    return _lease(transaction, row, claimant, turns, candidate)


def _lease(
    transaction: Connection, row: Row[Any], claimant: Claimant, turns: Turns, candidate: Candidate
) -> Lease | None:
    """Lease what there is to do of a locked job, and charge it; None where there is nothing."""
    if row.state not in CLAIMABLE or not _can_read(row, claimant):
        return None
    if left_to_gpus(transaction, row, claimant):
        return None
    taking = Taking(claimant, turns.charge_of(candidate))
    lost = transaction.execute(_LOST_LEASES, {"job": row.id}).all()
    taken = first_to_hold(transaction, row.id, lost, claimant.max_attempts)
    lease = None if taken is None else _hold(transaction, taken, taking)
    if lease is None:
        if lost:  # given up: the job has changed
            row = lock_job(transaction, row.id)
        lease = _carve(transaction, row, taking) or _answer(transaction, row, taking)
    if lease is None:
        return None
    started = _start(transaction, row, lease, taken is not None and taken.state != "released")
    turns.charge(transaction, candidate, row)
    claimant.known.last = row.id
    return started


def has_work(transaction: Connection, claimant: Claimant) -> bool:
    """Return True where a claim would find work; a read that waits for nobody."""
    known = claimant.known
    while True:
        # One more than those that we leave holds one that is news, if there is one.
        left = known.left()
        query = _jobs_with_work(claimant).limit(1 + len(left))
        found = transaction.execute(query).scalars().all()
        job_id = next((each for each in found if each not in left), None)
        if job_id is None or job_id in known.readable:
            return job_id is not None
        with suppress(NotFound):  # deleted meanwhile
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
    free = (leases.c.state == "released") & (leases.c.expires_at <= now())  # not put off
    return (leases.c.state == "expired") | free | overdue


@lru_cache(maxsize=64)
def _candidates(claimant: Claimant) -> sa.Select[Any]:
    return with_turns(_jobs_with_work(claimant))


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
            _has_data(claimant),
            (~spent & in_time) | (spent & nothing_open) | sa.exists().where(of_job, _lost()),
            not_left_to_gpus(claimant),
        )
        .order_by(jobs.c.priority.desc(), jobs.c.created_at, jobs.c.id)
    )


def _has_data(claimant: Claimant) -> sa.ColumnElement[bool]:
    """Select the jobs whose rows the worker has or can read."""
    uploaded = jobs.c.dataset_id.is_not(None)
    offered = ~uploaded & jobs.c.dataset.in_(sorted(claimant.datasets))
    if claimant.at_hand is not None:
        copied = datasets.c.stored_checksum.in_(sorted(claimant.at_hand.copies))
        kept = jobs.c.dataset_id.in_(sa.select(datasets.c.id).where(copied))
        uploaded = jobs.c.id.in_(sorted(claimant.at_hand.jobs)) | kept
    return uploaded | offered


def _carve(transaction: Connection, row: Row[Any], taking: Taking) -> Row[Any] | None:
    """Lease a new population out of the budget; None where nothing is left of it."""
    overdue = row.deadline is not None and row.deadline <= current_time(transaction)
    left = row.trials - row.claimed
    if row.state not in CLAIMABLE or row.closed or overdue or left <= 0:
        return None
    size = next_size(transaction, row, left, taking.claimant)
    if not size:
        return None
    update_job(
        transaction,
        row.id,
        claimed=row.claimed + size,
        populations=row.populations + 1,
    )
    return _new_lease(transaction, row.id, "population", row.populations, size, taking)


def _answer(transaction: Connection, row: Row[Any], taking: Taking) -> Row[Any] | None:
    """Lease the answer, once the budget is spent and nothing is live; None before."""
    spent = row.closed or row.claimed >= row.trials
    if row.state != "running" or not spent or has_open_leases(transaction, row.id):
        return None
    if lags(transaction, row, taking.claimant):
        return None
    given = sa.select(sa.func.count()).where(leases.c.job_id == row.id, leases.c.kind == "answer")
    ordinal = int(transaction.execute(given).scalar_one())
    return _new_lease(transaction, row.id, "answer", ordinal, 0, taking)


def _new_lease(
    transaction: Connection, job_id: str, kind: str, ordinal: int, size: int, taking: Taking
) -> Row[Any]:
    return transaction.execute(
        _NEW_LEASE,
        {
            "job_id": job_id,
            "kind": kind,
            "state": "running",
            "ordinal": ordinal,
            "size": size,
            "worker_id": taking.claimant.worker_id,
            "fence": 1,
            "attempts": 1,
            "lease_seconds": taking.claimant.lease_seconds,
            "charged": taking.seconds,
        },
    ).one()


def _hold(transaction: Connection, lost: Row[Any], taking: Taking) -> Row[Any]:
    """Hold a lost lease under the next fence."""
    return transaction.execute(
        sa.update(leases)
        .where(leases.c.id == lost.id)
        .values(
            state="running",
            worker_id=taking.claimant.worker_id,
            fence=lost.fence + 1,
            attempts=lost.attempts + 1,
            expires_at=now() + taking.claimant.lease_seconds,
            charged=taking.seconds,
            held_from=now(),
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
    .values(
        created_at=now(),
        held_from=now(),
        expires_at=now() + sa.bindparam("lease_seconds", type_=sa.Double),
    )
    .returning(leases)
)

_OF_JOB = leases.c.job_id == sa.bindparam("job", type_=sa.String)

_LOST_LEASES = sa.select(leases).where(_OF_JOB, _lost()).order_by(leases.c.id).with_for_update()
