"""What belongs to whom: jobs and data sets to the key that made them, or to nobody.

`admin` sees all; other keys see what is their own. Nobody's are those that were made without a key.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import datasets, jobs
from ridgeway.keys.caller import Caller

MOST_BOUND = 500  # parameters of a statement


def seen_by(caller: Caller, owner: sa.ColumnElement[str | None]) -> sa.ColumnElement[bool]:
    """Return the condition on an owner's column that leaves what the caller sees."""
    return sa.true() if caller.sees_all else owner == caller.key


@dataclass(frozen=True)
class Owned:
    """Whose something is: a key's id, or nobody's."""

    owner: str | None


def owner_of(transaction: Connection, job_id: str) -> Owned | None:
    """Return whose the job is; None where there is no such job."""
    row = transaction.execute(sa.select(jobs.c.owner).where(jobs.c.id == job_id)).one_or_none()
    return None if row is None else Owned(row.owner)


def hides_dataset(transaction: Connection, caller: Caller, name_or_id: str) -> bool:
    """Return True for an upload that is another's or nobody's; False where there is none."""
    if caller.sees_all or "\x00" in name_or_id:
        return False
    named = (datasets.c.id == name_or_id) | (datasets.c.name == name_or_id)
    others = (datasets.c.owner != caller.key) | datasets.c.owner.is_(None)
    query = sa.select(datasets.c.id).where(named, others).limit(1)
    return transaction.execute(query).first() is not None


def seen_studies(transaction: Connection, caller: Caller, study_ids: Set[int]) -> set[int]:
    """Return those of the studies that the caller sees; imported ones are nobody's."""
    if caller.sees_all:
        return {*study_ids}
    asked, seen = sorted(study_ids), set[int]()
    for start in range(0, len(asked), MOST_BOUND):
        part = jobs.c.study_id.in_(asked[start : start + MOST_BOUND])
        query = sa.select(jobs.c.study_id).where(part, seen_by(caller, jobs.c.owner))
        seen.update(transaction.execute(query).scalars())
    return seen
