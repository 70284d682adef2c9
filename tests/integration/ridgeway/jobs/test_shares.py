"""Progress within populations: what renewals tell of them counts in looks, on both databases."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.database.tables import leases
from ridgeway.errors import LeaseLost
from ridgeway.jobs import claiming, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.rows import update_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from ridgeway.views import Progress

TRIALS = 40
SPACE = {"penalty": CategoricalDistribution(("l1",)), "lambda": FloatDistribution(1e-6, 1.0)}
CLAIMANT = Claimant(
    worker_id="worker-1",
    models=frozenset({"linear", "mlp"}),
    datasets=frozenset({"digits"}),
    sizes=Sizes(4, 64),
    lease_seconds=30.0,
    max_attempts=5,
)


def claim(database: Database, worker: str = "worker-1") -> Lease:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, replace(CLAIMANT, worker_id=worker))
        assert lease is not None
        if lease.first_number is None:
            params = [{"penalty": "l1", "lambda": 0.5}] * lease.size
            first = holding.reserve(transaction, lease, params, SPACE)
            lease = replace(lease, first_number=first)
    return lease


def renew(database: Database, lease: Lease, share: float | None) -> None:
    with database.transaction() as transaction:
        holding.renew(transaction, lease, 30.0, share)


def finish(database: Database, lease: Lease) -> None:
    assert lease.first_number is not None
    numbers = range(lease.first_number, lease.first_number + lease.size)
    outcomes = [Outcome(number, 1.0, (1.0,), TrialFacts(0.1, 3.0, 5)) for number in numbers]
    with database.transaction() as transaction:
        holding.finish_population(transaction, lease, outcomes)


def lose(database: Database, worker: str) -> None:
    with database.transaction() as transaction:
        holding.expire_leases(transaction, worker)


def progress(database: Database, job_id: str) -> Progress:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id).progress


def time_of(database: Database, query: str) -> Any:
    with database.reading() as transaction:
        return transaction.execute(sa.text(query)).scalar_one()


def test_a_population_counts_by_how_much_of_it_is_trained(database):
    job_id = submit(database, TRIALS)
    first, second = claim(database), claim(database, "worker-2")
    assert progress(database, job_id).fraction == 0
    renew(database, first, 0.25)
    renew(database, second, 0.75)
    seen = progress(database, job_id)
    assert seen.fraction == pytest.approx((0.25 * first.size + 0.75 * second.size) / TRIALS)
    assert (seen.complete, seen.pruned, seen.failed) == (0, 0, 0)
    assert seen.running == first.size + second.size


def test_a_job_counts_in_a_list_as_by_itself(database):
    job_id = submit(database, TRIALS)
    submit(database, TRIALS)
    renew(database, claim(database), 0.5)
    with database.reading() as transaction:
        page = lookups.list_jobs(transaction, cursor=None, limit=10)
    shown = {job.id: job.progress.fraction for job in page.jobs}
    assert shown.pop(job_id) == progress(database, job_id).fraction > 0
    assert list(shown.values()) == [0]


def test_the_fraction_grows_to_one_and_never_falls(database):
    job_id = submit(database, TRIALS)
    seen = [progress(database, job_id).fraction]
    ended = 0
    while ended < TRIALS:
        lease = claim(database)
        for share in (0.0, 0.3, None, 0.9, 1.0):
            renew(database, lease, share)
            seen.append(progress(database, job_id).fraction)
        assert seen[-1] == pytest.approx((ended + lease.size) / TRIALS)
        finish(database, lease)
        ended += lease.size
        seen.append(progress(database, job_id).fraction)
        assert seen[-1] == ended / TRIALS
    assert all(before <= after <= 1 for before, after in pairwise(seen))
    assert seen[-1] == 1


def test_what_is_left_is_estimated_before_any_trial_has_ended(database):
    job_id = submit(database, TRIALS)
    lease = claim(database)
    renew(database, lease, 0.0)
    assert progress(database, job_id).eta_seconds is None
    renew(database, lease, 0.5)
    told = time_of(database, "SELECT told_at FROM leases")
    with database.transaction() as transaction:
        # What the first worker finds out takes its time, which no further trial does.
        update_job(transaction, job_id, started_at=told - 70, trained_from=told - 10)
    done = 0.5 * lease.size / TRIALS
    left = 10 / done * (1 - done)
    assert progress(database, job_id).eta_seconds == pytest.approx(left, abs=1e-3)
    time.sleep(0.2)
    assert progress(database, job_id).eta_seconds == pytest.approx(left, abs=1e-3)
    finish(database, lease)
    told = time_of(database, "SELECT told_at FROM jobs")
    with database.transaction() as transaction:
        update_job(transaction, job_id, trained_from=told - 10)
    left = 10 / lease.size * (TRIALS - lease.size)
    assert progress(database, job_id).eta_seconds == pytest.approx(left, abs=1e-3)


def test_training_begins_when_there_is_a_plan(database):
    job_id = submit(database, TRIALS)
    lease = claim(database)
    assert time_of(database, "SELECT trained_from FROM jobs") is None
    with database.transaction() as transaction:
        holding.fix_plan(transaction, lease, JobPlan(strengths=(0.1, 1.0)))
    begun = time_of(database, "SELECT trained_from FROM jobs")
    assert begun >= time_of(database, "SELECT started_at FROM jobs")
    renew(database, lease, 0.5)
    told = time_of(database, "SELECT told_at FROM leases")
    left = (told - begun) / (0.5 * lease.size) * (TRIALS - 0.5 * lease.size)
    assert progress(database, job_id).eta_seconds == pytest.approx(left, rel=1e-6, abs=1e-3)


def test_a_population_that_is_lost_without_a_checkpoint_begins_anew(database):
    job_id = submit(database, TRIALS)
    lost = claim(database)
    renew(database, lost, 0.6)
    lose(database, "worker-1")
    assert progress(database, job_id).fraction == pytest.approx(0.6 * lost.size / TRIALS)
    taken = claim(database, "worker-2")
    assert taken.id == lost.id
    assert progress(database, job_id).fraction == 0
    with pytest.raises(LeaseLost):
        renew(database, lost, 0.9)
    assert progress(database, job_id).fraction == 0
    renew(database, taken, 0.1)
    assert progress(database, job_id).fraction == pytest.approx(0.1 * lost.size / TRIALS)


def test_a_population_that_goes_on_from_a_checkpoint_keeps_its_share_until_it_is_told(database):
    job_id = submit(database, TRIALS)
    lost = claim(database)
    with database.transaction() as transaction:
        holding.record_checkpoint(transaction, lost, "somewhere")
    renew(database, lost, 0.6)
    with database.transaction() as transaction:
        holding.release(transaction, lost)
    taken = claim(database, "worker-2")
    renew(database, taken, None)  # while it reads its data
    assert progress(database, job_id).fraction == pytest.approx(0.6 * lost.size / TRIALS)
    renew(database, taken, 0.5)  # where the checkpoint was
    assert progress(database, job_id).fraction == pytest.approx(0.5 * lost.size / TRIALS)


def test_the_parts_of_a_population_that_is_split_begin_anew(database):
    job_id = submit(database, TRIALS)
    for worker in ("worker-1", "worker-2"):
        renew(database, claim(database, worker), 0.5)
        lose(database, worker)
    claim(database, "worker-3")
    with database.reading() as transaction:
        query = sa.select(leases.c.share).where(leases.c.job_id == job_id)
        shares = transaction.execute(query).scalars().all()
    assert len(shares) > 1
    assert set(shares) == {None}


def test_what_is_withdrawn_counts_no_more(database):
    job_id = submit(database, TRIALS)
    lease = claim(database)
    renew(database, lease, 0.5)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
    seen = progress(database, job_id)
    assert seen.fraction == (seen.complete + seen.pruned + seen.failed) / TRIALS


def test_a_look_costs_the_same_however_many_populations_have_ended(database):
    job_id = submit(database, TRIALS)
    lease = claim(database)
    query = sa.select(leases).where(leases.c.id == lease.id)
    with database.transaction() as transaction:
        like = dict(transaction.execute(query).one()._mapping)
        del like["id"]
        ended = [like | {"state": "done", "ordinal": 10 + more} for more in range(5000)]
        transaction.execute(sa.insert(leases), ended)
        if not database.embedded:
            transaction.execute(sa.text("ANALYZE leases"))
    explain = "EXPLAIN QUERY PLAN" if database.embedded else "EXPLAIN"
    statement = (
        f"{explain} SELECT sum(size * share) FROM leases WHERE job_id = :job "
        "AND state IN ('running', 'released', 'expired')"
    )
    with database.reading() as transaction:
        plan = transaction.execute(sa.text(statement), {"job": job_id}).all()
    assert "ix_leases_job_id_state" in str(plan) or "ix_leases_state" in str(plan)
