"""Measure what a search spends outside training: sampling, reading, writing."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Iterator

import torch
from rows import Row, median
from served import migrated

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.jobs import lifecycle, lookups
from ridgeway.settings import Settings
from ridgeway.spec.wording import parse_spec
from workers.loop.worker import Worker


class _Times(logging.Handler):
    """Adds up what a worker logs of each population: seconds in sampling, training, writing."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.sampling = self.training = self.writing = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Take the three times out of a population's line."""
        if isinstance(record.args, tuple) and "training %.3f s" in str(record.msg):
            sampling, training, writing = record.args[-3:]
            self.sampling += float(str(sampling))
            self.training += float(str(training))
            self.writing += float(str(writing))


def overhead(kind: str, trials: int, repeats: int) -> Iterator[Row]:
    """Return the per cent of a search, from first claim to last trial, that is not training."""
    torch.set_num_threads(1)
    shares: dict[str, list[float]] = {"all": [], "sampling": [], "writing": []}
    for _ in range(repeats):
        with migrated(kind) as database:
            seconds, times = _search(database, trials)
        shares["all"].append(100 * (1 - times.training / seconds))
        shares["sampling"].append(100 * times.sampling / seconds)
        shares["writing"].append(100 * times.writing / seconds)
    parameters = {
        "trials": trials,
        "model": "linear",
        "database": kind,
        "sampling": round(median(shares["sampling"]), 1),
        "writing": round(median(shares["writing"]), 1),
    }
    yield Row("overhead", median(shares["all"]), "%", parameters=parameters)


def _search(database: Database, trials: int) -> tuple[float, _Times]:
    body = {"dataset": "digits", "model": {"kind": "linear"}, "optimizer": "adamw"}
    spec = parse_spec({**body, "trials": trials})
    with database.transaction() as transaction:
        job_id = lifecycle.submit_job(transaction, spec.model_copy(update=_RESOLVED))
    times = _Times()
    log = logging.getLogger("ridgeway.worker")
    log.setLevel(logging.INFO)
    log.addHandler(times)
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(database, Store(folder), Settings(), "benchmark", "cpu")
        started = time.perf_counter()
        while not _trained(database, job_id):
            worker.work_once()
        seconds = time.perf_counter() - started
    log.removeHandler(times)
    return seconds, times


_RESOLVED = {"target": "label", "task": "classification"}  # as the service would write it


def _trained(database: Database, job_id: str) -> bool:
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    progress = job.progress
    assert not job.ended, job.error
    return progress.complete + progress.failed + progress.pruned == progress.trials
