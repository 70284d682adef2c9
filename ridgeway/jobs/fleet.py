"""Which models and data sets a spec may name: entry points' metadata and what workers recorded.

Metadata is read, never imported: a plug-in's code runs in workers alone.
"""

from __future__ import annotations

from importlib.metadata import entry_points

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.data.bundled import BUNDLED
from ridgeway.database.clock import now
from ridgeway.database.tables import workers

MODEL_PLUGINS = "ridgeway.models"
DATASET_PLUGINS = "ridgeway.datasets"
BUILT_IN_MODELS = frozenset({"linear", "mlp"})
GONE_SECONDS = 3600.0  # a worker last seen this long ago is gone, by any measure of liveness
KEPT_SECONDS = 86400.0  # what it offered may be named for so long: it may be starting again


def installed(group: str) -> set[str]:
    """The names that packages installed beside us offer under this entry-point group."""
    return {entry.name for entry in entry_points(group=group)}


def offered_models(transaction: Connection) -> set[str]:
    """Every name that `model.kind` may be."""
    recorded = transaction.execute(sa.select(workers.c.models)).scalars()
    named = {name for names in recorded for name in names}
    return named | BUILT_IN_MODELS | installed(MODEL_PLUGINS)


def offered_datasets(transaction: Connection) -> set[str]:
    """Every name that `dataset` may be, beside uploaded ones."""
    recorded = transaction.execute(sa.select(workers.c.datasets)).scalars()
    named = {name for names in recorded for name in names}
    return named | set(BUNDLED) | installed(DATASET_PLUGINS)


def record_worker(
    transaction: Connection,
    worker_id: str,
    *,
    host: str,
    pid: int,
    device: str,
    version: str,
    models: set[str],
    datasets: set[str],
) -> None:
    """Write down a worker that has started, and forget those not seen for a day."""
    transaction.execute(sa.delete(workers).where(workers.c.seen_at < now() - KEPT_SECONDS))
    transaction.execute(
        sa.insert(workers).values(
            id=worker_id,
            host=host,
            pid=pid,
            device=device,
            version=version,
            models=sorted(models),
            datasets=sorted(datasets),
            started_at=now(),
            seen_at=now(),
        )
    )


def see_worker(transaction: Connection, worker_id: str) -> None:
    """The worker is alive now."""
    transaction.execute(sa.update(workers).where(workers.c.id == worker_id).values(seen_at=now()))


def mark_gone(transaction: Connection, worker_id: str | None = None) -> None:
    """This worker, or every one, has stopped: not live, but what it offered stays nameable.

    Its row may be all that says which plug-ins there are while a worker restarts.
    """
    gone = now() - GONE_SECONDS
    query = sa.update(workers).where(workers.c.seen_at > gone).values(seen_at=gone)
    if worker_id is not None:
        query = query.where(workers.c.id == worker_id)
    transaction.execute(query)


def live_workers(transaction: Connection, within_seconds: float) -> int:
    """How many workers were seen within that time."""
    query = sa.select(sa.func.count()).where(workers.c.seen_at > now() - within_seconds)
    return int(transaction.execute(query).scalar_one())
