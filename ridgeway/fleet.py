"""The workers: which are alive, and which models, data sets and penalties they offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Row

from ridgeway.database.clock import now
from ridgeway.database.tables import retired_measures, workers
from ridgeway.errors import InvalidInput
from ridgeway.measures import Measures, total
from ridgeway.plugins import (
    BUILT_IN_MODELS,
    DATASET_PLUGINS,
    MODEL_PLUGINS,
    PENALTY_PLUGINS,
    installed,
)
from ridgeway.spec.names import PENALTY_NAMES
from ridgeway.spec.spec import JobSpec

LIVE_SECONDS = 30.0  # a worker that was not seen for so long is taken for gone
GONE_SECONDS = 3600.0  # a worker last seen this long ago is gone, by any measure of liveness
KEPT_SECONDS = 86400.0  # what it offered may be named for so long: it may be starting again


@dataclass(frozen=True)
class WorkerRecord:
    """A worker that has started: where it runs, and what specs it can train."""

    id: str
    host: str
    pid: int
    device: str
    version: str
    models: frozenset[str]
    datasets: frozenset[str]  # beside uploaded ones, which every worker can read
    penalties: frozenset[str] = frozenset(PENALTY_NAMES)


@dataclass(frozen=True)
class LiveWorker:
    """A worker that was seen lately: where it runs, its release, and what it can work on."""

    id: str
    host: str
    version: str
    models: frozenset[str]
    datasets: frozenset[str]  # beside uploaded ones
    penalties: frozenset[str]
    unreadable: Mapping[str, str] = field(default_factory=dict[str, str])  # job's id: why

    def lacking(self, spec: JobSpec, *, uploaded: bool) -> list[str]:
        """Return what the spec needs and the worker does not offer, in words; [] if it is able.

        uploaded: whether the data set is an upload, which every worker can read.
        """
        lacks = [] if spec.model.kind in self.models else [f"the model {spec.model.kind!r}"]
        if not uploaded and spec.dataset not in self.datasets:
            lacks.append(f"the data set {spec.dataset!r}")
        absent = sorted({*spec.search.penalty} - self.penalties)
        return [*lacks, *(f"the penalty {name!r}" for name in absent)]


def known_models(transaction: Connection) -> set[str]:
    """Return every name that `model.kind` may be."""
    recorded = transaction.execute(sa.select(workers.c.models)).scalars()
    named = {name for names in recorded for name in names}
    return named | BUILT_IN_MODELS | installed(MODEL_PLUGINS)


def known_datasets(transaction: Connection) -> set[str]:
    """Return every name that workers and plug-ins offer for `dataset`; uploads are beside them."""
    recorded = transaction.execute(sa.select(workers.c.datasets)).scalars()
    named = {name for names in recorded for name in names}
    return named | installed(DATASET_PLUGINS)


def known_penalties(transaction: Connection) -> list[str]:
    """Return every name that `search.penalty` may hold, built-in ones first."""
    recorded = transaction.execute(sa.select(workers.c.penalties)).scalars()
    named = {name for names in recorded for name in names or ()}
    return [*PENALTY_NAMES, *sorted((named | installed(PENALTY_PLUGINS)) - {*PENALTY_NAMES})]


def require_offered(transaction: Connection, spec: JobSpec) -> None:
    """Raise InvalidInput for a model or a penalty that no worker offers."""
    models = known_models(transaction)
    if spec.model.kind not in models:
        accepted = ", ".join(sorted(models))
        message = f"is a model that no worker offers; accepted: {accepted}"
        raise InvalidInput.of("model.kind", spec.model.kind, message)
    penalties = known_penalties(transaction)
    for place, name in enumerate(spec.search.penalty):
        if name not in penalties:
            message = f"is a penalty that no worker offers; accepted: {', '.join(penalties)}"
            field = "penalty" if spec.kind == "path" else f"search.penalty.{place}"
            raise InvalidInput.of(field, name, message)


def record_worker(transaction: Connection, worker: WorkerRecord) -> None:
    """Write down a worker that has started, and forget those not seen for a day."""
    long_gone = sa.delete(workers).where(workers.c.seen_at < now() - KEPT_SECONDS)
    gone = transaction.execute(long_gone.returning(workers.c.measures)).scalars().all()
    _retire(transaction, [each for each in gone if each is not None])
    offers = {name: sorted(getattr(worker, name)) for name in ("models", "datasets", "penalties")}
    row = asdict(worker) | offers
    transaction.execute(sa.insert(workers).values(**row, started_at=now(), seen_at=now()))


def recorded_on(transaction: Connection, host: str) -> Sequence[Row[Any, Any, Any]]:
    """Return id, pid and started_at of the workers that ran on this machine and may do so still."""
    columns = (workers.c.id, workers.c.pid, workers.c.started_at)
    query = sa.select(*columns).where(workers.c.host == host)
    return transaction.execute(query.where(workers.c.seen_at > now() - GONE_SECONDS)).all()


def see_worker(
    transaction: Connection,
    worker_id: str,
    measures: Any = None,
    unreadable: Mapping[str, str] | None = None,
) -> None:
    """Note that the worker is alive now, and what it has measured since its start.

    unreadable: the jobs that it leaves to others, by their ids, and why.
    """
    told: dict[str, Any] = {"seen_at": now()}
    told |= {} if measures is None else {"measures": measures}
    told |= {} if unreadable is None else {"unreadable": dict(unreadable)}
    transaction.execute(sa.update(workers).where(workers.c.id == worker_id).values(**told))


def mark_gone(transaction: Connection, worker_id: str | None = None) -> None:
    """Note that this worker, or every one, has stopped; what it offered stays nameable.

    Its row may be all that says which plug-ins there are while a worker restarts.
    """
    gone = now() - GONE_SECONDS
    query = sa.update(workers).where(workers.c.seen_at > gone).values(seen_at=gone)
    if worker_id is not None:
        query = query.where(workers.c.id == worker_id)
    transaction.execute(query)


def measured(transaction: Connection) -> Measures:
    """Return what all workers ever have measured, to their last heartbeats."""
    living = sa.select(workers.c.measures).where(workers.c.measures.is_not(None))
    retired = sa.select(retired_measures.c.measures)
    return total([*transaction.execute(living).scalars(), *transaction.execute(retired).scalars()])


def _retire(transaction: Connection, gone: Sequence[Any]) -> None:
    """Add up what is on rows that are deleted."""
    if not gone:
        return
    insert = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    first = insert(retired_measures).values(id=1, measures={}).on_conflict_do_nothing()
    transaction.execute(first)
    kept = sa.select(retired_measures.c.measures).with_for_update()
    together = total([*transaction.execute(kept).scalars(), *gone])
    stored = together.model_dump(mode="json")
    transaction.execute(sa.update(retired_measures).values(measures=stored))


def is_live(within_seconds: float, device: str = "") -> sa.ColumnElement[bool]:
    """Select workers, on this kind of device or any, that were seen within that time."""
    seen = workers.c.seen_at > now() - within_seconds
    return seen & workers.c.device.startswith(device) if device else seen


def live_workers(transaction: Connection, within_seconds: float, device: str = "") -> int:
    """Return how many workers, on this kind of device or any, were seen within that time."""
    query = sa.select(sa.func.count()).where(is_live(within_seconds, device))
    return int(transaction.execute(query).scalar_one())


def list_live_workers(
    transaction: Connection, within_seconds: float = LIVE_SECONDS
) -> list[LiveWorker]:
    """List the workers that were seen within that time, and what each offers."""
    offers = (workers.c.models, workers.c.datasets, workers.c.penalties, workers.c.unreadable)
    query = sa.select(workers.c.id, workers.c.host, workers.c.version, *offers)
    live = query.where(workers.c.seen_at > now() - within_seconds)
    return [
        LiveWorker(
            id=row.id,
            host=row.host,
            version=row.version,
            models=frozenset(row.models),
            datasets=frozenset(row.datasets),
            # One of an earlier release has told of none, and has those of every release.
            penalties=frozenset(PENALTY_NAMES if row.penalties is None else row.penalties),
            unreadable=row.unreadable or {},
        )
        for row in transaction.execute(live)
    ]
