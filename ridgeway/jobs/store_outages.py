"""Which workers the store does not answer, and since when: told by each of them to those who wait.

A worker that can't reach the store says so on its row, and takes it back when it can. Of a job
that waits for it, every look tells why.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import current_time, now
from ridgeway.database.tables import leases, workers
from ridgeway.fleet import LIVE_SECONDS, is_live


@dataclass(frozen=True)
class StoreOutage:
    """What a live worker says of the store. since: seconds since 1970. job_id: that needed it."""

    worker_id: str
    host: str
    since: float
    why: str
    job_id: str


def tell_outage(
    transaction: Connection, worker_id: str, job_id: str, why: str, since: float | None = None
) -> float:
    """Note on the worker's row that the store does not answer; return since when, or from now."""
    since = current_time(transaction) if since is None else since
    told = {"since": since, "why": why, "job": job_id}
    transaction.execute(_of(worker_id).values(store_outage=told))
    return since


def tell_end(transaction: Connection, worker_id: str) -> None:
    """Note on the worker's row that the store answers again."""
    transaction.execute(_of(worker_id).values(store_outage=None))


def find_outages(transaction: Connection) -> list[StoreOutage]:
    """Return what live workers say of the store that does not answer them; mostly nothing."""
    query = sa.select(workers.c.id, workers.c.host, workers.c.store_outage).where(
        workers.c.store_outage.is_not(None), is_live(LIVE_SECONDS)
    )
    return [
        StoreOutage(row.id, row.host, told["since"], told["why"], told["job"])
        for row in transaction.execute(query.order_by(workers.c.id))
        for told in (row.store_outage,)
    ]


def why_waits(
    transaction: Connection,
    row: Row[Any],
    outages: Sequence[StoreOutage],
    able: Collection[str],
) -> str | None:
    """Return why an open job waits for the store; None where it does not.

    It does where all who hold a lease of it wait for the store with what they have, or where nobody
    does, its data lie in the store, and that answers no worker which could take it.
    able: the ids of these workers.
    """
    held = sa.select(leases.c.worker_id).where(
        leases.c.job_id == row.id, leases.c.state == "running", leases.c.expires_at > now()
    )
    if holders := set(transaction.execute(held).scalars()):
        waiting = [each for each in outages if each.worker_id in holders and each.job_id == row.id]
        return _sentence(waiting) if len(waiting) == len(holders) else None
    away = [each for each in outages if each.worker_id in able]
    if not away or len(away) < len(able) or row.dataset_id is None:
        return None
    return _sentence(away)


def _sentence(outages: Sequence[StoreOutage]) -> str:
    first = min(outages, key=lambda each: each.since)
    whom = f"a worker on {first.host}"
    if len(outages) > 1:
        whom += f" and {len(outages) - 1} more"
    since = datetime.fromtimestamp(first.since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    told = f"The store does not answer {whom} since {since}: {first.why}"
    return f"{told} The job goes on by itself once it does."


def _of(worker_id: str) -> sa.Update:
    return sa.update(workers).where(workers.c.id == worker_id)
