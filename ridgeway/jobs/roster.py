"""The workers that are there, what each is at and how fast, and how much waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from ridgeway.data.bundled import BUNDLED
from ridgeway.database.clock import now
from ridgeway.database.tables import jobs, leases, workers
from ridgeway.fleet import GONE_SECONDS
from ridgeway.jobs.queue import read_queue
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_by
from ridgeway.overviews import Offers, Work, Worker, WorkerList
from ridgeway.plugins import BUILT_IN_MODELS
from ridgeway.spec.names import PENALTY_NAMES

LATELY = 300.0  # seconds over which a worker's speed is told


def list_workers(
    transaction: Connection, within_seconds: float, caller: Caller = LOCAL
) -> WorkerList:
    """List the workers, those heard of last first; of those that have stopped nothing is told.

    within_seconds: a worker that was not heard of for so long is silent. What a worker has of
    another's job is told without the job's id and name.
    """
    recorded = sa.select(workers, now().label("now")).where(
        workers.c.seen_at > now() - GONE_SECONDS + 1.0
    )
    rows = transaction.execute(recorded.order_by(workers.c.seen_at.desc(), workers.c.id)).all()
    held, speeds = _held(transaction, caller), _speeds(transaction)
    found = [_worker(row, held.get(row.id), speeds.get(row.id), within_seconds) for row in rows]
    return WorkerList(workers=found, queue=read_queue(transaction))


def _worker(
    row: Row[Any], work: Work | None, speed: tuple[int, float] | None, within_seconds: float
) -> Worker:
    silent = row.now - row.seen_at
    state = "silent" if silent > within_seconds else "working" if work else "idle"
    trials, seconds = speed or (0, 0.0)
    return Worker(
        id=row.id,
        host=row.host,
        pid=row.pid,
        device=row.device,
        version=row.version,
        state=state,
        plugins=Offers(
            models=sorted({*row.models} - BUILT_IN_MODELS),
            datasets=sorted({*row.datasets} - {*BUNDLED}),
            penalties=sorted({*(row.penalties or ())} - {*PENALTY_NAMES}),
        ),
        work=work,
        trials_lately=trials,
        trials_per_second=trials / seconds if seconds > 0 else None,
        started_at=_moment(row.started_at),
        seen_at=_moment(row.seen_at),
        silent_seconds=max(silent, 0.0),
    )


def _held(transaction: Connection, caller: Caller) -> Mapping[str, Work]:
    """Return what is in workers' hands, by worker; the latest lease where there are two."""
    seen = seen_by(caller, jobs.c.owner).label("seen")
    columns = (leases.c.id, leases.c.worker_id, leases.c.kind, leases.c.size, leases.c.share)
    query = (
        sa.select(*columns, leases.c.job_id, jobs.c.name, seen)
        .join(jobs, jobs.c.id == leases.c.job_id)
        .where(leases.c.state == "running", leases.c.worker_id.is_not(None))
        .order_by(leases.c.id)
    )
    return {
        row.worker_id: Work(
            lease=row.id,
            job=row.job_id if row.seen else None,
            job_name=row.name if row.seen else None,
            kind=row.kind,
            trials=row.size,
            fraction=row.share,
        )
        for row in transaction.execute(query)
    }


def _speeds(transaction: Connection) -> Mapping[str, tuple[int, float]]:
    """Return trials and seconds of the populations that each worker has finished lately.

    Those that another held before are left out: only their last part was this worker's.
    """
    started = now() - LATELY
    seconds = sa.func.sum(leases.c.finished_at - leases.c.created_at)
    # A lease that is done expires after it: so the index finds the few that may be recent.
    recent = (leases.c.state == "done") & (leases.c.expires_at > started)
    own = (leases.c.kind == "population") & (leases.c.fence == 1)
    query = (
        sa.select(leases.c.worker_id, sa.func.sum(leases.c.size), seconds)
        .where(recent, own, leases.c.finished_at > started, leases.c.worker_id.is_not(None))
        .group_by(leases.c.worker_id)
    )
    return {row[0]: (int(row[1]), float(row[2])) for row in transaction.execute(query)}


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
