"""What Prometheus reads of a service: its own latencies, and what the database tells of all.

The second part is the same whichever service process is asked. One read serves all who ask within
KEPT_SECONDS, and a database that is away costs a scrape nothing but those numbers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy.event import listen
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.fleet import LIVE_SECONDS
from ridgeway.jobs.overview import Overview, overview
from ridgeway.keys.quotas import OPEN_STATES
from ridgeway.measures import BOUNDS, Measures, Tally

KEPT_SECONDS = 2.0
HTTP_BOUNDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
DATABASE_BOUNDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
STATEMENTS = ("select", "insert", "update", "delete")  # all else is "other"
TOLD = {  # of workers' measures: what the histograms of the same name are
    "population_size": "Trials in a population that a worker has trained.",
    "sampling_seconds": "Time to propose a population; the first of a job also finds out its plan.",
    "training_seconds": "Time to train a population.",
    "writing_seconds": "Time to write a population's results.",
}


class Metrics:
    """The metrics of one service process."""

    def __init__(self) -> None:
        disable_created_metrics()  # when each series began: nobody asks, and it is one more each
        self._registry = CollectorRegistry()
        self.http = Histogram(
            "ridgeway_http_seconds",
            "Time from a request's head to the first byte of its answer.",
            ["route", "method", "status"],
            buckets=HTTP_BOUNDS,
            registry=self._registry,
        )
        self.statements = Histogram(
            "ridgeway_database_seconds",
            "Time of a statement of this service's, waits for locks included.",
            ["statement"],
            buckets=DATABASE_BOUNDS,
            registry=self._registry,
        )
        self.tries = Counter(
            "ridgeway_notification_tries",
            "Tries of this service to tell of a job's end, by how they went.",
            ["outcome"],
            registry=self._registry,
        )
        for outcome in ("sent", "failed", "given_up"):
            self.tries.labels(outcome)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def watch(self, *databases: Database) -> None:
        """Time the statements of these databases, and read of the first how all are doing."""
        self._registry.register(_OfAll(databases[0]))
        for database in databases:
            listen(database.engine, "before_cursor_execute", _begin)
            listen(database.engine, "after_cursor_execute", self._end)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self._registry)

    def _end(self, *event: Any) -> None:
        statement, context = event[2], event[4]
        word = str(statement)[:6].lower()
        kind = word if word in STATEMENTS else "other"
        self.statements.labels(kind).observe(time.perf_counter() - context.begun)


def _begin(*event: Any) -> None:
    event[4].begun = time.perf_counter()


class _OfAll(Collector):
    """What the database tells of jobs, workers, and what these have measured."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._read_at = -KEPT_SECONDS
        self._found: Overview | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; no more than `ridgeway_database_up` while the database is away."""
        found = self._look()
        yield _gauge("ridgeway_database_up", "1 where the database answers.", found is not None)
        if found is not None:
            yield from _standing(found)
            yield from _measured(found.measures)

    def _look(self) -> Overview | None:
        """Return what was read lately, or read; who asks meanwhile waits for that read."""
        with self._lock:
            if time.monotonic() - self._read_at >= KEPT_SECONDS:
                try:
                    with self._database.reading() as transaction:
                        self._found = overview(transaction, LIVE_SECONDS)
                except SQLAlchemyError:
                    self._found = None
                self._read_at = time.monotonic()
            return self._found


def _standing(found: Overview) -> Iterator[Metric]:
    told = "Open jobs, by their state."
    jobs = {(state,): getattr(found.queue, state) for state in OPEN_STATES}
    yield _gauges("ridgeway_jobs", told, ["state"], jobs)
    told = "Queue depth: trials in no worker's hands, paused jobs' left out."
    yield _gauge("ridgeway_queued_trials", told, found.queue.trials_waiting)
    told = "Pieces of work that workers hold, by kind."
    yield _gauges("ridgeway_leases", told, ["kind"], {(k,): v for k, v in found.leases.items()})
    told = f"Workers seen within {LIVE_SECONDS:g} s, by kind of device."
    yield _gauges("ridgeway_workers", told, ["device"], {(k,): v for k, v in found.workers.items()})
    told = "Those of the workers that hold a lease, an answer's too, by kind of device."
    busy = {(kind,): count for kind, count in found.busy.items()}
    yield _gauges("ridgeway_busy_workers", told, ["device"], busy)
    told = "Notifications that wait for their job's end, or for another try."
    yield _gauge("ridgeway_notifications_waiting", told, found.notifications)
    told = "Most GPU memory that a live worker's tensors took."
    yield _gauges("ridgeway_gpu_memory_peak_bytes", told, ["host", "device"], found.gpu_memory)


def _measured(measures: Measures) -> Iterator[Metric]:
    trials = CounterMetricFamily(
        "ridgeway_trials", "Trials that workers have ended, by outcome.", labels=["outcome"]
    )
    for outcome in ("complete", "pruned", "failed"):
        trials.add_metric([outcome], measures.counts.get(f"trials_{outcome}", 0))
    yield trials
    told = "Leases that a worker lost and another took over: it died, or was cut off."
    lost = measures.counts.get("leases_lost", 0)
    yield CounterMetricFamily("ridgeway_leases_lost", told, value=lost)
    for name, bounds in BOUNDS.items():
        tally = measures.tallies.get(name, Tally.empty(name))
        ends = [*(f"{float(bound)}" for bound in bounds), "+Inf"]
        buckets = list(zip(ends, map(float, accumulate(tally.buckets)), strict=True))
        yield HistogramMetricFamily(f"ridgeway_{name}", TOLD[name], buckets, tally.sum)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=float(value))


def _gauges(name: str, told: str, labels: list[str], values: Any) -> Metric:
    family = GaugeMetricFamily(name, told, labels=labels)
    for label, value in values.items():
        family.add_metric(list(label), float(value))
    return family
