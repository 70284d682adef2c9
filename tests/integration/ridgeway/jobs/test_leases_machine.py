"""Whatever clients and workers do in whatever order, no trial is lost and none counted twice."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from invariants import Study, check, objective
from simulated import SPACE, outcome_of, recommended
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs as job_table
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import Conflict, LeaseLost
from ridgeway.jobs import claiming, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.sizes import Sizes
from ridgeway.study import reading
from ridgeway.views import ENDED, Job

WORKERS = ("worker-1", "worker-2", "worker-3")
EXAMPLES = int(os.environ.get("RIDGEWAY_TEST_EXAMPLES", "8"))
STEPS = 60
TRIALS = 24  # in populations of two, which may have to be parted
MOST = 48  # trials, after which no more are asked for


class Workshop(RuleBasedStateMachine):
    """One job, three workers that hold at most one lease each, a client, and time."""

    database: Database  # set by the test

    def __init__(self) -> None:
        super().__init__()
        self.job_id = self._submit()
        self.held: dict[str, Lease] = {}
        self.late: list[Lease] = []  # whose holders were stopped, and may wake
        self.strengths = iter(range(1, 10_000))
        self.ended = 0
        self.state = "queued"
        self.answered_now = False

    def _do(self, change: Callable[..., object]) -> object:
        with self.database.transaction() as transaction:
            return change(transaction)

    def _submit(self) -> str:
        return submit(self.database, TRIALS, timeout_seconds=3600.0)

    def _job(self) -> Job:
        with self.database.reading() as transaction:
            return lookups.find_job(transaction, self.job_id)

    # --- workers

    @precondition(lambda self: len(self.held) < len(WORKERS) and self.state not in ENDED)
    @rule(max_attempts=st.sampled_from([5, 3]))
    def claim(self, max_attempts: int) -> None:
        worker = next(worker for worker in WORKERS if worker not in self.held)
        models = frozenset({"mlp", "digits"})
        claimant = Claimant(worker, models, models, Sizes(4, 4), 3600.0, max_attempts)
        lease = self._do(lambda t: claiming.claim(t, claimant))
        if lease is None:
            return
        assert isinstance(lease, Lease)
        new = lease.kind == "population" and lease.first_number is None
        assert not (self.answered_now and new), "the search has ended"
        assert all(lease.id != other.id for other in self.held.values())
        self.held[worker] = lease

    @precondition(lambda self: self._unreserved())
    @rule(times=st.integers(1, 2))
    def reserve(self, times: int) -> None:
        """Twice, where the first reply was lost."""
        worker = self._unreserved()[0]
        lease = self.held[worker]
        params = [
            {"penalty": "l1", "lambda": next(self.strengths) / 1e4} for _ in range(lease.size)
        ]
        for _ in range(times):
            reserved = self._refusable(lambda t: holding.reserve(t, lease, params, SPACE))
            if reserved is not None:
                self.held[worker] = replace(lease, first_number=reserved)

    def _unreserved(self) -> list[str]:
        return [
            worker
            for worker, lease in self.held.items()
            if lease.kind == "population" and lease.first_number is None
        ]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), times=st.integers(1, 2))
    def finish(self, data: st.DataObject, times: int) -> None:
        """Twice, where the first reply was lost."""
        worker, lease = self._someone(data)
        if lease.kind == "population" and lease.first_number is None:
            return
        for _ in range(times):
            self._finish(lease)
        del self.held[worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data(), share=st.none() | st.floats(0, 1))
    def renew(self, data: st.DataObject, share: float | None) -> None:
        _, lease = self._someone(data)
        self._refusable(lambda t: holding.renew(t, lease, 3600.0, share))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        worker, lease = self._someone(data)
        self._do(lambda t: holding.release(t, lease))
        del self.held[worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The supervisor sees a worker die."""
        worker, _ = self._someone(data)
        self._do(lambda t: holding.expire_leases(t, worker))
        del self.held[worker]

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        """A worker stands still until its lease's time has passed."""
        worker, lease = self._someone(data)
        past = sa.update(lease_table).where(lease_table.c.id == lease.id).values(expires_at=0.0)
        self._do(lambda t: t.execute(past.where(lease_table.c.fence == lease.fence)))
        self.late.append(lease)
        del self.held[worker]

    @precondition(lambda self: self.late)
    @rule()
    def wake(self) -> None:
        """Its late write counts if nobody has taken over, and is refused otherwise."""
        lease = self.late.pop(0)
        if lease.kind == "answer" or lease.first_number is not None:
            self._finish(lease)

    def _someone(self, data: st.DataObject) -> tuple[str, Lease]:
        worker = data.draw(st.sampled_from(sorted(self.held)))
        return worker, self.held[worker]

    def _finish(self, lease: Lease) -> None:
        if lease.kind == "answer":
            self._refusable(lambda t: holding.finish_answer(t, lease, recommended(), {}))
            return
        first = lease.first_number
        assert first is not None
        with self.database.reading() as transaction:
            trials = reading.trials_in(transaction, lease.study_id, first, lease.size)
        outcomes = [outcome_of(trial.number, float(trial.params["lambda"])) for trial in trials]
        self._refusable(lambda t: holding.finish_population(t, lease, outcomes))

    def _refusable(self, change: Callable[..., object]) -> int | None:
        try:
            done = self._do(change)
        except LeaseLost:
            return None
        return done if isinstance(done, int) else None

    # --- the client

    @precondition(lambda self: self.state in ("queued", "running"))
    @rule()
    def pause(self) -> None:
        self._do(lambda t: lifecycle.pause_job(t, self.job_id))

    @precondition(lambda self: self.state == "paused")
    @rule()
    def resume(self) -> None:
        self._do(lambda t: lifecycle.resume_job(t, self.job_id))

    @precondition(lambda self: self.ended > TRIALS // 2 and self.state not in ENDED)
    @rule()
    def cancel(self) -> None:
        self._do(lambda t: lifecycle.cancel_job(t, self.job_id))

    @precondition(lambda self: self._extensible())
    @rule(more=st.integers(1, 6))
    def extend(self, more: int) -> None:
        before = self._job()
        closed = sa.select(job_table.c.closed).where(job_table.c.id == self.job_id)
        ended_early = self._do(lambda t: t.execute(closed).scalar_one())
        begun = self.ended if ended_early else before.progress.trials
        after = self._do(lambda t: extend_job(t, self.job_id, more))
        assert isinstance(after, Job)
        assert after.progress.trials == after.spec.trials == begun + more
        assert after.recommended == before.recommended
        self.answered_now = False

    def _extensible(self) -> bool:
        return self.state in ("queued", "running", "paused", "succeeded") and self.ended < MOST

    @precondition(lambda self: self.state not in ENDED)
    @rule(times=st.integers(1, 2))
    def answer_now(self, times: int) -> None:
        """From what is complete, and refused where nothing is; twice, as an impatient one would."""
        before = self._job().progress
        for _ in range(times):
            try:
                job = self._do(lambda t: lifecycle.answer_job(t, self.job_id))
            except Conflict:
                assert before.complete == 0
                return
            assert isinstance(job, Job)
            assert (job.state, job.progress.complete) == ("running", before.complete)
            assert before.complete > 0
            assert job.progress.running == 0
            self.answered_now = True

    @precondition(lambda self: self.state in ("running", "paused") and self.ended < MOST)
    @rule(more=st.integers(1, 6))
    def run_out_of_time(self, more: int) -> None:
        """And go on, unless there was nothing to show."""
        past = sa.update(job_table).where(job_table.c.id == self.job_id).values(deadline=0.0)
        self._do(lambda t: t.execute(past))
        self._do(lifecycle.sweep)
        if self._job().state != "failed":
            self.extend(more)

    @precondition(lambda self: self.state in ENDED)
    @rule()
    def submit_another(self) -> None:
        self._check(self.state)
        self.job_id, self.ended, self.answered_now = self._submit(), 0, False

    # --- what holds at any time

    @invariant()
    def counters_and_rows_agree(self) -> None:
        job, study = self._job(), Study.read(self.database, self.job_id)
        progress, states = job.progress, study.states
        assert study.numbers == list(range(len(states)))
        assert len(states) <= progress.trials
        counted = (progress.complete, progress.pruned, progress.failed, progress.running)
        assert counted == tuple(map(states.count, ("COMPLETE", "PRUNED", "FAIL", "RUNNING")))
        ended = progress.complete + progress.pruned + progress.failed
        assert ended >= self.ended
        assert ended / progress.trials <= progress.fraction <= 1
        self.ended, self.state = ended, job.state

    def teardown(self) -> None:
        """Left to one good worker, the job ends whole."""
        for worker in list(self.held):
            self._do(lambda t, worker=worker: holding.expire_leases(t, worker))
        if self._job().state == "paused":
            self._do(lambda t: lifecycle.resume_job(t, self.job_id))
        self.held.clear()
        while not self._job().ended:
            self.claim(1000)
            if self._unreserved():
                self.reserve(1)
            self._finish(self.held.pop(WORKERS[0]))
        self._check(self._job().state)

    def _check(self, state: str) -> None:
        check(
            self.database,
            self.job_id,
            expected=objective,
            state=state,
            extended=True,
            ended_early=self.answered_now,
        )


@pytest.fixture
def workshop(database: Database) -> type[Workshop]:
    """The machine on one database, for all of its examples."""
    return type("WorkshopHere", (Workshop,), {"database": database})


def test_no_order_of_events_loses_or_doubles_a_trial(workshop):
    run_state_machine_as_test(
        workshop,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
        ),
    )
