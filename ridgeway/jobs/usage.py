"""How many jobs use each data set."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.tables import datasets, jobs
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_by
from ridgeway.views import DatasetSummary


def jobs_of_each(
    transaction: Connection, found: Sequence[DatasetSummary], caller: Caller = LOCAL
) -> list[int]:
    """Return the number of the caller's jobs of each data set, in their order."""
    seen = seen_by(caller, jobs.c.owner)
    ids = [each.id for each in found if each.id is not None]
    names = [each.name for each in found if each.id is None]
    uploads = _counts(transaction, jobs.c.dataset_id, seen & jobs.c.dataset_id.in_(ids))
    ours = seen & jobs.c.dataset_id.is_(None) & jobs.c.dataset.in_(names)
    others = _counts(transaction, jobs.c.dataset, ours)
    return [(others if each.id is None else uploads).get(each.id or each.name, 0) for each in found]


def _counts(
    transaction: Connection, column: sa.Column[str], where: sa.ColumnElement[bool]
) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(where).group_by(column)
    return {name: count for name, count in transaction.execute(query)}


def uploaded_bytes(transaction: Connection, caller: Caller = LOCAL) -> int:
    """Return how many bytes the caller's uploads had as they came in."""
    total = sa.func.coalesce(sa.func.sum(datasets.c.bytes), 0)
    query = sa.select(total).where(datasets.c.deleted_at.is_(None))
    query = query.where(seen_by(caller, datasets.c.owner))
    return int(transaction.execute(query).scalar_one())
