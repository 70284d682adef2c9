"""Workers without torch: the real protocol, and a value that takes no training."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from invariants import objective, pruned
from optuna.distributions import CategoricalDistribution, FloatDistribution
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from ridgeway.answers import Baseline, Chosen, Recommended, SealedScores
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line, will_pass
from ridgeway.database.tables import jobs as job_table
from ridgeway.errors import LeaseLost, NotFound
from ridgeway.jobs import artifacts, claiming, holding, stored
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import Sizes
from ridgeway.spec.spec import JobSpec
from ridgeway.study import reading
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from ridgeway.views import ENDED

T = TypeVar("T")
SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}
# Moments of a worker's life at which it may die or stop; the last word is the transaction's.
MOMENTS = (
    "before the commit of claim",
    "after the commit of claim",
    "before the commit of reserve",
    "after the commit of reserve",
    "in training",
    "before the commit of finish",
    "after the commit of finish",
    "before the commit of answer",
    "after the commit of answer",
)


@dataclass(frozen=True)
class Conduct:
    """How a simulated worker behaves."""

    train_seconds: float = 0.0
    lease_seconds: float = 30.0
    renew_seconds: float = 0.1
    max_attempts: int = 5
    population_limit: int = 64
    busy_timeout_seconds: float = 30.0
    dies: str | None = None  # a moment
    stops: str | None = None  # a moment; SIGSTOP, once
    lost_replies: float = 0.0  # share of commits whose reply never arrives
    poison: tuple[int, ...] = ()  # numbers of trials that kill whoever trains them
    seed: int | None = None  # of the strengths that it proposes, where it never idles before
    clock_offset: float = 0.0  # seconds that this process's clock is wrong by
    of_tomorrow: bool = False  # it is of a newer release, whose specs have a field more
    clock_file: str | None = None  # SQLite: the machine's clock is wrong by what it holds


class SimulatedWorker:
    """The loop of workers.loop.worker.Worker around a function of λ."""

    def __init__(self, url: str, worker_id: str, conduct: Conduct, diary: Path) -> None:
        self._database = Database(url, conduct.busy_timeout_seconds)
        self._conduct = conduct
        self._diary = diary
        self._stopped = False
        self._stopping = threading.Event()
        self._lease: Lease | None = None
        self._claimant = Claimant(
            worker_id=worker_id,
            models=frozenset({"linear", "mlp"}),
            datasets=frozenset({"digits"}),
            sizes=Sizes(4, conduct.population_limit),
            lease_seconds=conduct.lease_seconds,
            max_attempts=conduct.max_attempts,
        )

    def run(self) -> None:
        """Work until every job has ended, or SIGTERM."""
        signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())
        threading.Thread(target=self._beat, daemon=True).start()
        while not self._stopping.is_set():
            try:
                if not self._work_once():
                    if self._all_ended():
                        return
                    time.sleep(random.uniform(0.005, 0.02))
            except DBAPIError as error:
                self._tell(f"trouble: {first_line(error)}")
                time.sleep(0.05)

    def _all_ended(self) -> bool:
        with self._database.reading() as transaction:
            open_ = sa.select(job_table.c.id).where(job_table.c.state.not_in(ENDED)).limit(1)
            return transaction.execute(open_).first() is None

    def _work_once(self) -> bool:
        with self._database.reading() as transaction:
            if not claiming.has_work(transaction, self._claimant):
                return False
        with self._database.transaction() as transaction:
            lease = claiming.claim(transaction, self._claimant)
            if lease is not None:
                self._at("before the commit of claim")
        if lease is None:
            return False
        self._at("after the commit of claim")
        if random.random() < self._conduct.lost_replies:
            return True  # whoever is told nothing does nothing
        self._lease = lease
        try:
            (self._answer if lease.kind == "answer" else self._train)(lease)
        except (LeaseLost, NotFound) as error:
            self._tell(f"{type(error).__name__} {lease.kind} {lease.fence}")
        finally:
            self._lease = None
        return True

    def _train(self, lease: Lease) -> None:
        if lease.first_number is None:
            params = [
                {"penalty": "l1", "lambda": 10 ** random.uniform(-6, 0)} for _ in range(lease.size)
            ]
            first = self._write(
                lambda transaction: holding.reserve(transaction, lease, params, SPACE), "reserve"
            )
            lease = replace(lease, first_number=first)
        first = lease.first_number
        assert first is not None
        if set(self._conduct.poison) & set(range(first, first + lease.size)):
            self._die()
        trials = self._read(lambda look: reading.trials_in(look, lease.study_id, first, lease.size))
        self._tell(f"training {first} {lease.size}")
        self._at("in training")
        if self._stopping.wait(self._conduct.train_seconds):
            with self._database.transaction() as transaction:
                holding.release(transaction, lease)
            return
        outcomes = [outcome_of(trial.number, float(trial.params["lambda"])) for trial in trials]
        self._write(
            lambda transaction: holding.finish_population(transaction, lease, outcomes), "finish"
        )

    def _answer(self, lease: Lease) -> None:
        time.sleep(self._conduct.train_seconds)
        kept = {
            "model.safetensors": artifacts.Artifact(f"jobs/{lease.job_id}/{lease.fence}", "0", 1)
        }
        self._write(
            lambda transaction: holding.finish_answer(transaction, lease, recommended(), kept),
            "answer",
        )

    def _beat(self) -> None:
        while True:
            time.sleep(self._conduct.renew_seconds)
            lease = self._lease
            if lease is not None:
                with contextlib.suppress(LeaseLost, DBAPIError), self._begin() as transaction:
                    holding.renew(transaction, lease, self._conduct.lease_seconds)

    def _begin(self) -> AbstractContextManager[Connection]:
        return self._database.transaction()

    def _write(self, change: Callable[[Connection], T], what: str) -> T:
        """One transaction, tried again as workers do until a reply arrives."""

        def once() -> T:
            with self._begin() as transaction:
                done = change(transaction)
                self._at(f"before the commit of {what}")
            self._at(f"after the commit of {what}")
            return done

        done = self._persist(once)
        while random.random() < self._conduct.lost_replies:
            self._tell(f"heard no reply to {what}")
            done = self._persist(once)
        return done

    def _read(self, look: Callable[[Connection], T]) -> T:
        def once() -> T:
            with self._database.reading() as transaction:
                return look(transaction)

        return self._persist(once)

    def _persist(self, work: Callable[[], T]) -> T:
        """What the work gives, done again while the database does not answer."""
        pause = 0.02
        while True:
            try:
                return work()
            except DBAPIError as error:
                if not will_pass(error):
                    raise
                self._tell(f"trouble: {first_line(error)}")
                time.sleep(pause)
                pause = min(2 * pause, 0.5)

    def _at(self, moment: str) -> None:
        if self._conduct.dies == moment:
            self._die()
        if self._conduct.stops == moment and not self._stopped:
            self._stopped = True
            self._tell(f"stopped {moment}")
            os.kill(os.getpid(), signal.SIGSTOP)

    def _die(self) -> None:
        self._tell("died")
        os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, what: str) -> None:
        with self._diary.open("a") as file:
            file.write(f"{os.getpid()} {what}\n")


def outcome_of(number: int, strength: float) -> Outcome:
    """What training a trial of this strength gives."""
    value = objective(strength)
    facts = TrialFacts(standard_error=0.1, nonzero_weights=3.0, weights=5)
    if value is None:
        return Outcome(number, None, (float("nan"),), reason="diverged in epoch 1")
    if pruned(strength):
        return Outcome(number, value, (value,), reason="pruned after epoch 1 of 2", pruned=True)
    return Outcome(number, value, (value + 1.0, value), facts)


def recommended() -> Recommended:
    """An answer of the right shape."""
    chosen = Chosen(
        number=0,
        value=0.0,
        standard_error=0.1,
        params={"penalty": "none"},
        nonzero_weights=3.0,
        refit_nonzero_weights=3,
        weights=5,
    )
    scores = SealedScores(
        evaluations=1,
        metric="accuracy",
        rows=9,
        simplest=0.9,
        best=0.9,
        none=None,
        baseline=0.1,
        loss={"simplest": 0.1},
    )
    return Recommended(
        simplest=chosen, best=chosen, none=None, baseline=Baseline(value=2.3), test=scores
    )


# --- releases ---------------------------------------------------------------------------------


class SpecOfTomorrow(JobSpec):
    """What a newer release's users may ask for."""

    tomorrow: int | None = None


def release_of(conduct: Conduct) -> str:
    """What the ids of its workers begin with."""
    return "tomorrow" if conduct.of_tomorrow else "today"


def set_release(conduct: Conduct) -> None:
    """Let this process read what the conduct's release reads."""
    if conduct.of_tomorrow:
        stored.JobSpec = SpecOfTomorrow  # type: ignore[misc]


# --- clocks that are wrong --------------------------------------------------------------------


def set_clock(conduct: Conduct) -> None:
    """This process's clock, and SQLite's, are off by what the conduct says."""
    if conduct.clock_offset:
        real, real_ns = time.time, time.time_ns
        time.time = lambda: real() + conduct.clock_offset
        time.time_ns = lambda: real_ns() + int(conduct.clock_offset * 1e9)
    if conduct.clock_file is not None:
        file = Path(conduct.clock_file)

        def julian_day(moment: str) -> float:
            assert moment == "now"
            return (time.time() + float(file.read_text())) / 86400.0 + 2440587.5

        def replace_clock(connection: Any, record: Any) -> None:
            connection.create_function("julianday", 1, julian_day)

        sa.event.listen(sa.engine.Engine, "connect", replace_clock)
