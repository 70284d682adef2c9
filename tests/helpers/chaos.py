"""Deeds done at random to a job, to its workers and to their database; each passes by itself."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

import sqlalchemy as sa
from invariants import handed_out
from nursery import Crew
from others import Others
from simulated import MOMENTS
from sqlalchemy.exc import DBAPIError

from ridgeway.database.engine import Database
from ridgeway.database.outages import will_pass
from ridgeway.errors import Conflict
from ridgeway.jobs import lifecycle
from ridgeway.jobs.rows import lock_job

LEASE_SECONDS = 1.0
BEYOND_A_LEASE_SECONDS = 2.5
PAUSE_SECONDS = 1.0
SWEEPERS = 2
PATIENCE_SECONDS = 0.2  # for a lock: whoever has it may be stopped, and it is we who wake it
OURSELVES = "soak"  # on PostgreSQL, where our own connections are spared
CUT = sa.text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE random() < 0.5 "
    "AND datname = current_database() AND backend_type = 'client backend' "
    f"AND application_name <> '{OURSELVES}'"
)


@dataclass
class Chaos:
    """Does one deed after the other, and ends what has lasted for long enough."""

    crew: Crew
    workers: int
    database: Database
    job_id: str
    others: Others
    told: Counter[str]
    _passing: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _stopped: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        url = self.database.url.render_as_string(hide_password=False)
        self._hurried = Database(url, PATIENCE_SECONDS)

    def go_on(self) -> None:
        """One deed, and whatever is due."""
        self._end_what_is_due(time.monotonic())
        self._replace_the_dead()
        weights = self._weights()
        (deed,) = random.choices(list(weights), list(weights.values()))
        self._try(deed)

    def end(self) -> None:
        """Let nobody interfere any longer."""
        while self._passing:
            self._end_what_is_due(float("inf"))
        self._hurried.close()

    def _weights(self) -> dict[Callable[[], None], float]:
        deeds: dict[Callable[[], None], float]
        deeds = {self._kill: 60, self._stop: 14, self._pause: 4, self._hold: 1, self._tend: 14}
        return deeds if self.database.embedded else {**deeds, self._cut: 7}

    # --- deeds ----------------------------------------------------------------------------------

    def _kill(self) -> None:
        victim = random.choice(self.crew.pids)
        os.kill(victim, signal.SIGKILL)
        self._bury(victim)

    def _stop(self) -> None:
        """Stop a process for longer than its lease lasts."""
        victim = random.choice(self.crew.pids)
        if victim not in self._stopped:
            os.kill(victim, signal.SIGSTOP)
            self._stopped.add(victim)
            self._later(BEYOND_A_LEASE_SECONDS, lambda: self._wake(victim))
            self.told["stopped"] += 1

    def _pause(self) -> None:
        """Pause the job for a while, in which it hands nothing out."""
        with self._hurried.transaction() as transaction:
            lifecycle.pause_job(transaction, self.job_id)
            before = handed_out(transaction, self.job_id)
        self._later(random.uniform(0, PAUSE_SECONDS), lambda: self._resume(before))
        self.told["paused"] += 1

    def _hold(self) -> None:
        """Hold what every writer waits for, the lock of SQLite or the job's row, beyond leases."""
        with ExitStack() as stack:
            transaction = stack.enter_context(self.database.transaction(PATIENCE_SECONDS))
            lock_job(transaction, self.job_id)
            self._later(BEYOND_A_LEASE_SECONDS, stack.pop_all().close)
        self.told["locked out"] += 1

    def _cut(self) -> None:
        """Cut every other connection to PostgreSQL but ours, in whatever it is."""
        with self.database.reading() as transaction:
            self.told["connections cut"] += transaction.execute(CUT).scalar_one()

    def _tend(self) -> None:
        """Submit, extend, cancel or delete another job."""
        self.told[f"others {self.others.step(self._hurried)}"] += 1

    # --- what comes of them ---------------------------------------------------------------------

    def _later(self, seconds: float, end: Callable[[], None]) -> None:
        self._passing.append((time.monotonic() + seconds, end))

    def _end_what_is_due(self, now: float) -> None:
        due = [each for each in self._passing if each[0] <= now]
        self._passing = [each for each in self._passing if each[0] > now]
        for _, end in due:
            end()

    def _wake(self, pid: int) -> None:
        if pid in self._stopped:
            self._stopped.remove(pid)
            os.kill(pid, signal.SIGCONT)

    def _resume(self, before: int) -> None:
        def resume() -> None:
            with self._hurried.transaction() as transaction:
                assert handed_out(transaction, self.job_id) == before, "handed out while paused"
                lifecycle.resume_job(transaction, self.job_id)

        if not self._try(resume):
            self._later(PATIENCE_SECONDS, lambda: self._resume(before))

    def _try(self, deed: Callable[[], None]) -> bool:
        """Do a deed; False where it has to be put off, as the database is locked."""
        with suppress(Conflict):  # the job is in a state that forbids it
            try:
                deed()
            except DBAPIError as error:
                if not will_pass(error):
                    raise
                self.told["put off"] += 1
                return False
        return True

    def _replace_the_dead(self) -> None:
        for pid in [pid for pid in self.crew.pids if self.crew.ended(pid)]:
            self._bury(pid)
        while len(self.crew.sweepers) < SWEEPERS:
            self.crew.start_sweeper()
        while len(self.crew.pids) - len(self.crew.sweepers) < self.workers:
            self._start()

    def _start(self) -> None:
        # A few die by themselves, at a moment between or within transactions.
        dies = random.choice(MOMENTS) if random.random() < 0.3 else None
        self.crew.start(
            dies=dies,
            train_seconds=random.uniform(0.0, 0.02),
            lease_seconds=LEASE_SECONDS,
            busy_timeout_seconds=random.choice((1.0, 30.0)),  # shorter than faults last, or longer
            max_attempts=1_000_000,
            lost_replies=0.02,
        )

    def _bury(self, pid: int) -> None:
        self._stopped.discard(pid)
        kind = "sweepers" if pid in self.crew.sweepers else "workers"
        code = self.crew.wait(pid)
        assert code in (0, -signal.SIGKILL), f"one of the {kind} ended with {code}"
        self.told[f"{kind} killed" if code else f"{kind} ended"] += 1
