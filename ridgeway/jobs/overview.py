"""How much there is to do, and who does it: a few numbers over all jobs and workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.database.clock import now
from ridgeway.database.tables import leases, notifications, workers
from ridgeway.fleet import measured
from ridgeway.jobs.queue import read_queue
from ridgeway.measures import Measures, read_measures
from ridgeway.overviews import Queue

KINDS = ("population", "answer")  # of leases
DEVICES = ("cpu", "cuda")  # of workers, whichever of its kind


@dataclass(frozen=True)
class Overview:
    """The numbers at one time. gpu_memory: peaks in bytes of live workers, by host and device."""

    queue: Queue
    leases: Mapping[str, int]  # that workers hold, by kind
    workers: Mapping[str, int]  # live ones, by kind of device
    busy: Mapping[str, int]  # those of them that hold a lease
    notifications: int  # that wait for their job's end, or for another try
    measures: Measures  # of all workers ever
    gpu_memory: Mapping[tuple[str, str], float]


def overview(transaction: Connection, within_seconds: float) -> Overview:
    """Read the numbers; live is a worker that was seen within the time.

    The cost grows with open jobs and with workers of the last day, not with what has ended.
    """
    holding = sa.exists().where(leases.c.worker_id == workers.c.id, leases.c.state == "running")
    columns = (workers.c.host, workers.c.device, workers.c.measures, holding.label("holding"))
    living = transaction.execute(
        sa.select(*columns).where(workers.c.seen_at > now() - within_seconds)
    ).all()
    held = sa.select(leases.c.kind, sa.func.count()).where(leases.c.state == "running")
    waiting = sa.select(sa.func.count()).where(notifications.c.state == "waiting")
    return Overview(
        queue=read_queue(transaction),
        leases=_counted(transaction, held.group_by(leases.c.kind), KINDS),
        workers=_by_device(living),
        busy=_by_device([each for each in living if each.holding]),
        notifications=int(transaction.execute(waiting).scalar_one()),
        measures=measured(transaction),
        gpu_memory=_peaks(living),
    )


def _counted(
    transaction: Connection, query: sa.Select[Any, int], names: tuple[str, ...]
) -> dict[str, int]:
    found = {row[0]: row[1] for row in transaction.execute(query).all()}
    return {name: found.get(name, 0) for name in names}


def _by_device(living: Any) -> dict[str, int]:
    found = Counter(worker.device.partition(":")[0] for worker in living)
    return {kind: found[kind] for kind in DEVICES}


def _peaks(living: Any) -> dict[tuple[str, str], float]:
    peaks: dict[tuple[str, str], float] = {}
    for worker in living:
        peak = read_measures(worker.measures).peaks.get("gpu_memory_bytes")
        if peak is not None:
            place = (worker.host, worker.device)
            peaks[place] = max(peak, peaks.get(place, peak))
    return peaks
