"""What keys and jobs are charged for workers' time: at the claim as expected, at the end as it was.

A claim charges its job and its account what the job's leases have taken of late; whoever finishes
sets that right. A charge for a lost worker stays: it was a worker's time. All of it commits with
the claim or the finish itself. An account's row is the last that a transaction locks (rows.py), for
no longer than its commit takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import now
from ridgeway.database.tables import accounts, api_keys, jobs, leases
from ridgeway.jobs.fairness import (
    Account,
    Candidate,
    in_turn,
    job_start,
    start,
    typical_seconds,
)
from ridgeway.jobs.leases import THE_LEASE
from ridgeway.jobs.queue import CLAIMABLE
from ridgeway.jobs.rows import update_job

NOBODY = ""  # the owner of the account of jobs that no key submitted
LONGEST = 3600.0  # seconds that a lease is charged at most: a clock may step
SMOOTHING = 0.5  # of a job's last lease in what its next ones are expected to take

OWNER = sa.func.coalesce(jobs.c.owner, NOBODY)


@dataclass(frozen=True)
class Turns:
    """The candidates for a claim and their accounts, as they were at one moment."""

    candidates: Sequence[Candidate]
    accounts: dict[str, Account]
    reached: float  # the virtual time at which an account was served last

    @classmethod
    def read(cls, transaction: Connection, work: sa.Select[Any]) -> Turns:
        """Read them in one statement. work: selects jobs' ids."""
        rows = transaction.execute(work).all()
        firsts = {row.account: row for row in reversed(rows)}  # one of each account
        found = {
            owner: Account(
                owner, row.weight or 1, row.account_time, row.jobs_reached or 0.0, bool(row.began)
            )
            for owner, row in firsts.items()
        }
        candidates = [Candidate(*row[: len(Candidate._fields)]) for row in rows]
        return cls(candidates, found, (rows[0].reached or 0.0) if rows else 0.0)

    def ordered(self, last_job: str | None) -> Iterator[Candidate]:
        """Yield the candidates in the order in which claims take them."""
        return in_turn(self.candidates, self.accounts, self.reached, last_job)

    def charge_of(self, candidate: Candidate) -> float:
        """Return the seconds that a claim is charged."""
        known = candidate.seconds
        return typical_seconds(self.candidates) if known is None else known

    def charge(self, transaction: Connection, candidate: Candidate, row: Row[Any]) -> None:
        """Charge a claim to a locked job and its account. row: as it was before the claim."""
        account, seconds = self.accounts[candidate.owner], self.charge_of(candidate)
        new, weighed = row.populations == 0, seconds / account.weight
        begins = job_start(row.virtual_time, account.jobs_reached, seconds, begun=not new)
        update_job(transaction, row.id, virtual_time=begins + seconds)
        floor = start(-math.inf, self.reached, weighed, account.weight)
        values = {"floor": floor, "charge": weighed, "begins": begins, "begin": new}
        _charge(transaction, {"account": account.owner, **values})


def with_turns(work: sa.Select[Any]) -> Any:
    """Return a selection of jobs with the columns that `Turns.read` needs."""
    last = sa.select(sa.func.max(accounts.c.reached)).scalar_subquery()
    return (
        work.with_only_columns(
            jobs.c.id,
            OWNER.label("account"),
            jobs.c.priority,
            jobs.c.virtual_time,
            (jobs.c.populations > 0).label("begun"),
            jobs.c.trials,
            jobs.c.created_at,
            jobs.c.lease_seconds,  # so far the fields of a candidate
            accounts.c.virtual_time.label("account_time"),
            accounts.c.jobs_reached,
            accounts.c.began,
            api_keys.c.weight,
            last.label("reached"),
        )
        .select_from(jobs)
        .join(accounts, accounts.c.owner == OWNER, isouter=True)
        .join(api_keys, api_keys.c.id == jobs.c.owner, isouter=True)
        .order_by(None)
    )


@dataclass(frozen=True)
class Sharers:
    """Beside whom a key's new job would be worked on.

    own_jobs: the key's own that take turns with it, or go before it. share: of the workers' time
    for all jobs of the key together, from 0 to 1, while each key that has jobs now has work.
    """

    own_jobs: int
    share: float


def sharers_of(transaction: Connection, owner: str | None, priority: int) -> Sharers:
    """Return beside whom a job of this priority would be worked on. owner: a key's id, or None.

    A priority orders the jobs of one key alone: the others' count by their keys' weights.
    """
    alike = sa.func.sum(sa.case((jobs.c.priority >= priority, 1), else_=0)).label("alike")
    found = transaction.execute(
        sa.select(OWNER.label("owner"), sa.func.max(api_keys.c.weight).label("weight"), alike)
        .select_from(jobs)
        .join(api_keys, api_keys.c.id == jobs.c.owner, isouter=True)
        .where(jobs.c.state.in_(CLAIMABLE))
        .group_by(OWNER)
    ).all()
    account = owner or NOBODY
    weight = transaction.execute(
        sa.select(api_keys.c.weight).where(api_keys.c.id == account)
    ).scalar_one_or_none()
    own, others = weight or 1, sum(each.weight or 1 for each in found if each.owner != account)
    alike_here = next((each.alike for each in found if each.owner == account), 0)
    return Sharers(int(alike_here), own / (own + others))


def _charge(transaction: Connection, values: dict[str, Any]) -> None:
    """Add a charge to an account's virtual time, which begins at the floor at least."""
    if transaction.execute(_CHARGED, values).rowcount:
        return
    insert = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    nothing_yet = {"virtual_time": 0.0, "reached": 0.0, "jobs_reached": 0.0, "began": False}
    new = insert(accounts).values(owner=values["account"], **nothing_yet)
    transaction.execute(new.on_conflict_do_nothing())
    transaction.execute(_CHARGED, values)


def end_lease(transaction: Connection, row: Row[Any], held: Row[Any]) -> None:
    """Note that what a lease was for is done, and charge what it took; its job is locked.

    Nothing is charged for a lease that a worker of an earlier release claimed.
    """
    if held.held_from is None or held.charged is None:
        transaction.execute(_ENDED_LEASE, {"lease": held.id})
        return
    took = min(max(row.now - held.held_from, 0.0), LONGEST)
    transaction.execute(_ENDED_LEASE, {"lease": held.id, "charged": took})
    before = row.lease_seconds
    expected = took if before is None else before + SMOOTHING * (took - before)
    known = {} if held.kind == "answer" else {"lease_seconds": expected}
    more = took - held.charged
    update_job(transaction, row.id, virtual_time=row.virtual_time + more, **known)
    transaction.execute(_SETTLED, {"account": row.owner or NOBODY, "more": more})


def _greatest(column: sa.Column[float], name: str) -> sa.ColumnElement[float]:
    other = sa.bindparam(name, type_=sa.Double)
    return sa.case((column < other, other), else_=column)


_ENDED_LEASE = sa.update(leases).where(THE_LEASE).values(state="done", finished_at=now())
_THE_ACCOUNT = accounts.c.owner == sa.bindparam("account", type_=sa.String)
_BEGINS = _greatest(accounts.c.virtual_time, "floor")
_WEIGHT = sa.select(api_keys.c.weight).where(api_keys.c.id == accounts.c.owner).scalar_subquery()

# Built once: to build a statement takes SQLAlchemy longer than to run it.
_CHARGED = (
    sa.update(accounts)
    .where(_THE_ACCOUNT)
    .values(
        virtual_time=_BEGINS + sa.bindparam("charge", type_=sa.Double),
        reached=_BEGINS,
        jobs_reached=_greatest(accounts.c.jobs_reached, "begins"),
        began=sa.bindparam("begin", type_=sa.Boolean),
    )
)
_SETTLED = (
    sa.update(accounts)
    .where(_THE_ACCOUNT)
    .values(
        virtual_time=accounts.c.virtual_time
        + sa.bindparam("more", type_=sa.Double) / sa.func.coalesce(_WEIGHT, 1.0)
    )
)
