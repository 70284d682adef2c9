"""Real processes die, stop, hear no replies and go by wrong clocks; the job's invariants hold.

The workers are simulated: the protocol is the real one, the training a function of λ.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from contextlib import suppress
from functools import partial

import pytest
import sqlalchemy as sa
from invariants import Study, Watch, check, objective, pruned
from simulated import MOMENTS
from submitting import submit
from waiting import wait_until

from ridgeway.database.engine import Database
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import Conflict
from ridgeway.jobs import holding, lifecycle, lookups
from ridgeway.jobs.extend import extend_job
from ridgeway.views import ENDED, Job

eventually = partial(wait_until, seconds=60.0)


def watched_to_its_end(database: Database, job_id: str) -> Job:
    """What a client sees on the way never goes back."""
    watch = Watch(database, job_id)
    eventually(lambda: watch.look().ended)
    return check(database, job_id, expected=objective)


def everybody_lost(database: Database) -> None:
    """What a supervisor does whose workers have died."""
    with database.transaction() as transaction:
        holding.expire_leases(transaction)


def test_a_worker_killed_at_any_moment_loses_and_doubles_nothing(database, crew):
    job_id = submit(database, 40)
    for moment in (m for m in MOMENTS if "answer" not in m):
        victim = crew.start(dies=moment)
        assert crew.wait(victim) == -signal.SIGKILL
        everybody_lost(database)
    crew.start()
    watched_to_its_end(database, job_id)


@pytest.mark.parametrize("moment", MOMENTS[-3:])
def test_a_worker_killed_around_the_answer_leaves_one_answer(database, crew, moment):
    job_id = submit(database, 1)
    victim = crew.start(dies=moment, seed=0)  # of a trial that neither diverges nor is pruned
    assert crew.wait(victim) == -signal.SIGKILL
    ended = moment == "after the commit of answer"
    assert jobs_state(database, job_id) == ("succeeded" if ended else "running")
    everybody_lost(database)
    crew.start()
    watched_to_its_end(database, job_id)


def jobs_state(database: Database, job_id: str) -> str:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id).state


def test_a_worker_stopped_beyond_its_lease_is_refused_when_it_wakes(database, crew):
    job_id = submit(database, 40)
    # Its heartbeat, stopped inside a transaction, would hold SQLite's lock for ever.
    sleeper = crew.start(stops="in training", lease_seconds=0.3, renew_seconds=60.0)
    eventually(lambda: crew.told("stopped"))
    other = crew.start(lease_seconds=0.3)
    assert crew.wait(other) == 0
    os.kill(sleeper, signal.SIGCONT)
    assert crew.wait(sleeper) == 0
    assert crew.told("LeaseLost population 1")
    check(database, job_id, expected=objective)


@pytest.mark.parametrize("moment", [m for m in MOMENTS if m.startswith("before")])
def test_a_process_stopped_inside_a_transaction_holds_nobody_up_for_ever(
    database, crew, database_url, moment
):
    job_id = submit(database, 8)  # populations of one
    sleeper = crew.start(stops=moment, busy_timeout_seconds=0.5, lease_seconds=0.3)
    eventually(lambda: crew.told("stopped"))
    others = [crew.start(busy_timeout_seconds=0.5, lease_seconds=0.3) for _ in range(2)]
    if database.embedded:
        # No server can end a stopped process's transaction: others wait for as long as it takes.
        eventually(lambda: len(crew.told("trouble: database is locked")) >= 2)
        assert not any(crew.ended(other) for other in others)
        os.kill(sleeper, signal.SIGKILL)
    for other in others:
        assert crew.wait(other) == 0
    if not database.embedded:
        os.kill(sleeper, signal.SIGCONT)
    crew.wait(sleeper)
    check(database, job_id, expected=objective)


def test_writes_repeated_after_lost_replies_count_once(database, crew):
    job_id = submit(database, 120)
    for _ in range(3):
        crew.start(lost_replies=0.6, lease_seconds=0.3, max_attempts=1000)
    watched_to_its_end(database, job_id)
    assert crew.told("heard no reply to finish")
    assert crew.told("heard no reply to reserve")


def test_trials_that_diverge_or_are_pruned_end_alone(database, crew):
    job_id = submit(database, 240)
    crew.start()
    crew.start()
    job = watched_to_its_end(database, job_id)
    study = Study.read(database, job_id)
    strengths = [strength for strength in study.strengths if strength is not None]
    assert job.progress.failed == sum(objective(s) is None for s in strengths) > 0
    assert job.progress.pruned == sum(map(pruned, strengths)) > 0


@pytest.mark.parametrize("offset", [3600.0, -3600.0])
def test_a_workers_own_clock_does_not_matter(database, crew, offset):
    """An hour ahead it takes nobody's lease, an hour behind it keeps none too long."""
    job_id = submit(database, 40)
    wrong = {"clock_offset": offset, "train_seconds": 0.03, "lease_seconds": 2.0}
    for conduct in ({"train_seconds": 0.03, "lease_seconds": 2.0}, wrong):
        crew.start(**conduct)
    watched_to_its_end(database, job_id)
    assert not crew.told("LeaseLost")
    with database.reading() as transaction:
        fences = set(transaction.execute(sa.select(lease_table.c.fence)).scalars())
    assert fences == {1}


def test_a_machines_clock_that_steps_an_hour_costs_rework_at_most(database, crew, tmp_path):
    if not database.embedded:
        pytest.skip("PostgreSQL's clock is its own machine's; no worker's counts")
    clock = tmp_path / "clock"
    clock.write_text("0.0")
    job_id = submit(database, 60)
    conduct = {"clock_file": str(clock), "train_seconds": 0.02, "max_attempts": 100}
    for _ in range(3):
        crew.start(**conduct)
    watch = Watch(database, job_id)
    for offset in (3600.0, 0.0, -3600.0, 0.0, 3600.0):
        seen = len(crew.told("training"))
        eventually(lambda seen=seen: len(crew.told("training")) > seen + 2 or watch.look().ended)
        replacement = tmp_path / "clock.new"
        replacement.write_text(str(offset))
        replacement.rename(clock)
    eventually(lambda: watch.look().ended)
    check(database, job_id, expected=objective)


def test_a_trial_that_kills_its_workers_fails_alone(database, crew):
    job_id = submit(database, 160)
    poison = 17  # in the third population, of 16
    deaths = 0
    while True:
        victim = crew.start(poison=[poison])
        if crew.wait(victim) == 0:
            break
        deaths += 1
        everybody_lost(database)
    assert deaths == 5
    check(database, job_id, expected=objective)
    with database.reading() as transaction:
        trial = lookups.find_trial(transaction, job_id, poison)
        failed = lookups.list_trials(
            transaction, job_id, state="fail", order="number", cursor=None, limit=200
        )
    assert trial.reason == "5 workers were lost while they trained this trial"
    others = [t.reason for t in failed.trials if t.number != poison]
    assert set(others) == {"diverged in epoch 1"}


def test_verbs_that_race_with_finishes_leave_every_job_whole(database, crew):
    """Every verb at any moment, extend among them, while two workers finish one trial at a time."""
    keeper = submit(database, 1, priority=-100)  # so that the workers stay
    with database.transaction() as transaction:
        lifecycle.pause_job(transaction, keeper)
    for _ in range(2):
        crew.start()
    chance = random.Random(0)
    states: Counter[str] = Counter()
    for _ in range(5):
        states += Counter(_race(database, chance, verbs=40))
    assert {"cancelled", "succeeded"} <= set(states)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, keeper)
    assert crew.wait_for_all() == {0}


def _race(database: Database, chance: random.Random, verbs: int) -> list[str]:
    """The states in which six jobs end that are told one thing after the other meanwhile."""
    submitted = [submit(database, 3) for _ in range(6)]
    for _ in range(verbs):
        verb = chance.choices(
            [lifecycle.pause_job, lifecycle.resume_job, lifecycle.cancel_job, one_more_trial],
            weights=[5, 5, 1, 3],
        )[0]
        # A job of another state refuses, which is an answer too.
        with suppress(Conflict), database.transaction() as transaction:
            verb(transaction, chance.choice(submitted))
    for job_id in submitted:
        with suppress(Conflict), database.transaction() as transaction:
            lifecycle.resume_job(transaction, job_id)
    ended = []
    for job_id in submitted:
        eventually(lambda job_id=job_id: jobs_state(database, job_id) in ENDED)
        ended.append(jobs_state(database, job_id))
        check(database, job_id, expected=objective, state=ended[-1], extended=True)
    return ended


def one_more_trial(transaction: sa.Connection, job_id: str) -> Job:
    return extend_job(transaction, job_id, 1)
