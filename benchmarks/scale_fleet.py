"""Many simulated workers in one process: all of a worker's transactions, and training that sleeps.

Each is a thread that does what workers/loop does, in its order and by its functions; a few threads
beat all the hearts. They share an engine, so that a thousand statements are not built a thousand
times, with as many connections as the workers would have or as a pooler would leave them.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from served import FACTS

from ridgeway import fleet
from ridgeway.database.engine import Database
from ridgeway.errors import LeaseLost
from ridgeway.fleet import WorkerRecord
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import BY_DEVICE
from ridgeway.jobs.stored import read_spec
from ridgeway.measures import Recorder
from ridgeway.settings import Settings
from ridgeway.study.distributions import search_space
from ridgeway.study.writing import Outcome
from workers.loop.company import Company
from workers.sampling import Mirror

DEFAULTS = Settings.model_fields
LEASE_SECONDS: float = DEFAULTS["lease_seconds"].default
RENEW_SECONDS: float = DEFAULTS["renew_seconds"].default
POLL_SECONDS: float = DEFAULTS["poll_seconds"].default
LOOK_SECONDS = 1.0
HEARTS = 4  # threads that beat them
STRENGTHS = (1e-6, 1.0)


@dataclass(frozen=True)
class Conduct:
    """How the workers behave.

    datasets: the jobs', which workers are told apart by; each works on one. alone: each asks as
    often as if there were no other.
    """

    train_seconds: float
    reports: int
    datasets: tuple[str, ...]
    alone: bool = False
    always_mirror: bool = False


@dataclass
class Record:
    """What a process's workers have seen: (when, seconds) of each, by the machine's clock."""

    claims: list[tuple[float, float]] = field(default_factory=list)
    finishes: list[tuple[float, float]] = field(default_factory=list)
    sizes: list[tuple[float, int]] = field(default_factory=list)
    polls: list[float] = field(default_factory=list)
    lost: int = 0
    troubles: list[str] = field(default_factory=list)


class SimulatedWorker(threading.Thread):
    """The loop of workers.loop.worker.Worker around a function that sleeps."""

    def __init__(self, number: int, database: Database, conduct: Conduct, record: Record) -> None:
        super().__init__(daemon=True)
        self.lease: Lease | None = None
        self.stopping = threading.Event()
        self.company, self.recorder = Company(), Recorder()
        self._database, self._conduct, self._record = database, conduct, record
        self._mirrors: dict[str, Mirror] = {}
        dataset = conduct.datasets[number % len(conduct.datasets)]
        self.claimant = Claimant(
            worker_id=f"worker-{number}",
            models=frozenset({"linear", "mlp"}),
            datasets=frozenset({dataset}),
            sizes=BY_DEVICE["cpu"],
            lease_seconds=LEASE_SECONDS,
            max_attempts=5,
        )

    def register(self) -> None:
        """Write the worker down."""
        asked = self.claimant
        row = WorkerRecord(
            asked.worker_id, "simulated", 1, "cpu", "0.1.0", asked.models, asked.datasets
        )
        with self._database.transaction() as transaction:
            fleet.record_worker(transaction, row)

    def run(self) -> None:
        """Work until told to stop, populations to their ends."""
        while not self.stopping.is_set():
            try:
                if self._work_once():
                    continue
            except LeaseLost:
                self._record.lost += 1
            except Exception as error:
                self._record.troubles.append(f"{type(error).__name__}: {str(error)[:300]}")
            self.stopping.wait(self.company.poll_seconds(POLL_SECONDS))

    def _work_once(self) -> bool:
        began = time.perf_counter()
        self._record.polls.append(time.time())
        with self._database.reading() as look:
            if not claiming.has_work(look, self.claimant):
                return False
        with self._database.transaction() as transaction:
            lease = claiming.claim(transaction, self.claimant)
        if lease is None:
            return False
        self._record.claims.append((time.time(), time.perf_counter() - began))
        self.lease = lease
        try:
            self._train(lease)
        finally:
            self.lease = None
        return True

    def _train(self, lease: Lease) -> None:
        spec = read_spec(lease.stored_spec)
        space = search_space(spec, STRENGTHS)
        if lease.job_id not in self._mirrors:
            self._mirrors[lease.job_id] = Mirror(spec, lease.study_id)
        mirror = self._mirrors[lease.job_id]
        with self._database.reading() as look:
            if self._conduct.always_mirror or getattr(mirror, "learns", True):
                mirror.sync(look)
            start = holding.trials_before(look, lease)
        params = mirror.propose(space, lease.size, lease.ordinal, start)
        with self._database.transaction() as transaction:
            first = holding.reserve(transaction, lease, params, space)
        time.sleep(self._conduct.train_seconds * random.uniform(0.8, 1.2))
        numbers = range(first, first + lease.size)
        outcomes = [
            Outcome(number, random.random(), [1.0] * self._conduct.reports, FACTS)
            for number in numbers
        ]
        began = time.perf_counter()
        with self._database.transaction() as transaction:
            holding.finish_population(transaction, lease, outcomes)
        self._record.finishes.append((time.time(), time.perf_counter() - began))
        self._record.sizes.append((time.time(), lease.size))


class Hearts(threading.Thread):
    """Beat for some workers, as each worker's own thread does."""

    def __init__(self, workers: list[SimulatedWorker], database: Database, alone: bool) -> None:
        super().__init__(daemon=True)
        self._workers, self._database, self._alone = workers, database, alone
        self.stopping = threading.Event()
        self.renewals: dict[SimulatedWorker, float] = {}
        self.looks: dict[SimulatedWorker, float] = {}

    def run(self) -> None:
        """Renew and look, each when it is due."""
        now = time.monotonic()
        for worker in self._workers:
            self.renewals[worker] = now + random.uniform(0, RENEW_SECONDS)
            self.looks[worker] = now + random.uniform(0, LOOK_SECONDS)
        while not self.stopping.wait(0.05):
            for worker in self._workers:
                with suppress(LeaseLost):  # the worker hears of it when it writes
                    self._beat(worker)

    def _beat(self, worker: SimulatedWorker) -> None:
        now, lease = time.monotonic(), worker.lease
        if now >= self.renewals[worker]:
            self.renewals[worker] = now + RENEW_SECONDS
            with self._database.transaction() as transaction:
                fleet.see_worker(transaction, worker.claimant.worker_id, worker.recorder.stored())
                if lease is not None:
                    holding.renew(transaction, lease, LEASE_SECONDS)
                if not self._alone:
                    worker.company.count(transaction, LEASE_SECONDS)
        elif now >= self.looks[worker]:
            pause = worker.company.look_seconds(LOOK_SECONDS, RENEW_SECONDS)
            self.looks[worker] = now + pause
            if lease is not None:
                with self._database.reading() as look:
                    holding.require_ours(look, lease)


def run_fleet(
    numbers: range, options: dict[str, Any], conduct: Conduct, together: Any, results: Any
) -> None:
    """Run workers until told to stop; put what they have seen. A process's whole life."""
    threading.stack_size(512 * 1024)
    sys.setswitchinterval(0.0005)  # who has an answer is to go on: a real worker has a core
    record, database = Record(), Database(**options)
    workers = [SimulatedWorker(number, database, conduct, record) for number in numbers]
    for worker in workers:
        worker.register()
    together.wait()
    if not conduct.alone:
        with database.reading() as look:
            workers[0].company.count(look, LEASE_SECONDS)
        for worker in workers:
            worker.company.workers = workers[0].company.workers
    hearts = [Hearts(workers[part::HEARTS], database, conduct.alone) for part in range(HEARTS)]
    for thread in (*hearts, *workers):
        thread.start()
    together.wait()  # until they are to stop
    for worker in workers:
        worker.stopping.set()
    for worker in workers:
        worker.join()
    for heart in hearts:
        heart.stopping.set()
        heart.join()
    results.put(record)
    database.close()
