"""What a job would cost, judged by jobs whose times a test has set, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from keyed import caller_of, make_key
from optuna.distributions import CategoricalDistribution, FloatDistribution
from simulated import recommended
from submitting import submit_resolved

from ridgeway.data.bundled import bundled_profiles
from ridgeway.data.catalogue import Upload, add_dataset
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs, leases
from ridgeway.errors import InvalidInput
from ridgeway.fleet import WorkerRecord, mark_gone, record_worker
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.estimates import NOISE, UNKNOWN, estimate_job
from ridgeway.jobs.sizes import Sizes
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.keys import weigh_key
from ridgeway.spec.resolving import resolve_spec
from ridgeway.spec.wording import parse_spec
from ridgeway.study.facts import TrialFacts
from ridgeway.study.optuna_tables import trials as optuna_trials
from ridgeway.study.writing import Outcome
from ridgeway.views import Estimate
from ridgeway.words import roughly

SPACE = {"penalty": CategoricalDistribution(("l1",)), "lambda": FloatDistribution(1e-6, 1.0)}
MODELS = frozenset({"linear", "mlp", "lab"})
CLAIMANT = Claimant("worker-1", MODELS, frozenset({"digits"}), Sizes(4, 64), 30.0, 5)
LIKE: dict[str, Any] = {"dataset": "digits", "model": {"kind": "mlp"}, "epochs": 10, "trials": 8}
TRIAL, ANSWER = 2.0, 5.0  # seconds of the job that ran


def alive(database: Database, *workers: str, models: frozenset[str] = MODELS) -> None:
    with database.transaction() as transaction:
        for worker in workers:
            record = WorkerRecord(worker, "here", 1, "cpu", "0", models, frozenset({"digits"}))
            record_worker(transaction, record)


def run(database: Database, **fields: Any) -> str:
    """Work a job off; a trial of it took TRIAL worker-seconds, its answer ANSWER."""
    job = submit_resolved(database, **{**LIKE, **fields})
    while (lease := _claim(database)).kind == "population":
        assert lease.first_number is not None
        numbers = range(lease.first_number, lease.first_number + lease.size)
        outcomes = [Outcome(number, 1.0, (1.0,), TrialFacts(0.1, 3.0, 5)) for number in numbers]
        with database.transaction() as transaction:
            holding.finish_population(transaction, lease, outcomes)
            begun = datetime(2026, 1, 1)  # noqa: DTZ001 - Optuna keeps naive moments
            took = timedelta(seconds=TRIAL * lease.size)
            transaction.execute(
                sa.update(optuna_trials)
                .where(optuna_trials.c.study_id == lease.study_id)
                .where(optuna_trials.c.number.in_(numbers))
                .values(datetime_start=begun, datetime_complete=begun + took)
            )
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), {})
        begun_at = sa.select(leases.c.created_at).where(leases.c.id == lease.id).scalar_subquery()
        ended = sa.update(jobs).where(jobs.c.id == job).values(finished_at=begun_at + ANSWER)
        transaction.execute(ended)
    return job


def _claim(database: Database) -> Any:
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, CLAIMANT)
        assert lease is not None
        if lease.kind == "population":
            params = [{"penalty": "l1", "lambda": 0.5}] * lease.size
            lease = replace(lease, first_number=holding.reserve(transaction, lease, params, SPACE))
    return lease


def test_workers_that_lack_the_data_set_are_not_counted(database: Database):
    alive(database, "w-1")
    assert estimate(database).workers == 1
    assert estimate(database, dataset="wine").workers == 0
    with database.transaction() as transaction:
        profile = bundled_profiles()["wine"]
        dataset = add_dataset(transaction, Upload("mine", "a", "b", "c", 1, profile))
        spec = resolve_spec(parse_spec({**LIKE, "dataset": "mine"}), profile)
        assert estimate_job(transaction, spec, dataset.id, 30.0).workers == 1


def estimate(database: Database, **fields: Any) -> Estimate:
    spec = parse_spec({**LIKE, **fields})
    spec = resolve_spec(spec, bundled_profiles()[spec.dataset])
    with database.reading() as transaction:
        return estimate_job(transaction, spec, None, 30.0)


def test_the_same_job_again_takes_what_it_took_shared_by_the_workers(database: Database):
    alive(database, "w-1", "w-2")
    run(database)
    told = estimate(database, trials=100)
    assert told.seconds is not None
    expected = 100 * TRIAL / 2 + ANSWER
    assert told.seconds.low == pytest.approx(expected / NOISE)
    assert told.seconds.high == pytest.approx(expected * NOISE)
    assert (told.workers, told.judged_by, told.jobs_ahead) == (2, 1, 0)
    assert told.sentence == f"About {roughly(expected)} on your 2 workers."


@pytest.mark.parametrize("times", [2, 5])
def test_more_work_takes_between_nothing_more_and_in_proportion(database: Database, times: int):
    alive(database, "w-1")
    run(database)
    told = estimate(database, epochs=10 * times)
    assert told.seconds is not None
    assert told.seconds.low == pytest.approx((8 * TRIAL + ANSWER) / NOISE)
    assert told.seconds.high == pytest.approx((8 * TRIAL + ANSWER) * times * NOISE)
    assert " to " in told.sentence


@pytest.mark.parametrize(
    "unlike",
    [
        {"epochs": 1000},
        {"model": {"kind": "linear"}},
        {"pruner": "median"},
        {"model": {"kind": "mlp", "hidden": [2000, 2000]}},
    ],
)
def test_a_job_unlike_any_other_is_unknown(database: Database, unlike: dict[str, Any]):
    alive(database, "w-1")
    run(database)
    told = estimate(database, **unlike)
    assert (told.seconds, told.judged_by, told.sentence) == (None, 0, UNKNOWN)


def test_the_nearest_in_work_are_judged_by(database: Database):
    alive(database, "w-1")
    for epochs in (10, 20, 30, 90):
        run(database, epochs=epochs)
    told = estimate(database, epochs=20)
    assert told.judged_by == 3
    assert told.seconds is not None
    # By the one of 30 epochs a trial may take two thirds, by the one of 10 twice as long.
    assert told.seconds.low == pytest.approx((8 * TRIAL + ANSWER) * 2 / 3 / NOISE)
    assert told.seconds.high == pytest.approx((8 * TRIAL + ANSWER) * 2 * NOISE)


def test_a_search_takes_no_longer_than_its_time(database: Database):
    alive(database, "w-1")
    run(database)
    told = estimate(database, trials=10_000, timeout_seconds=60)
    assert told.seconds is not None
    assert told.seconds.high == pytest.approx(60 + ANSWER * NOISE)


def test_workers_that_can_not_train_it_do_not_count(database: Database):
    alive(database, "w-1", models=frozenset({"linear"}))
    run(database)
    told = estimate(database)
    assert told.workers == 0
    assert told.seconds is not None  # on one, once there is one
    assert told.sentence.endswith("on one worker, but none that can train it is alive.")
    alive(database, "w-2")
    assert estimate(database).workers == 1
    with database.transaction() as transaction:
        mark_gone(transaction, "w-2")
    assert estimate(database).workers == 0


def test_a_data_set_that_was_deleted_meanwhile_is_named(database: Database):
    spec = parse_spec({"dataset": "mine"})
    with (
        database.reading() as transaction,
        pytest.raises(InvalidInput, match="dataset: has been deleted meanwhile"),
    ):
        estimate_job(transaction, spec, "0198f2c1-0000-7000-8000-000000000000", 30.0)


def test_other_jobs_are_told(database: Database):
    alive(database, "w-1")
    submit_resolved(database, **LIKE)
    submit_resolved(database, **LIKE, priority=-1)
    assert estimate(database).jobs_ahead == 1
    assert estimate(database, priority=-1).sentence.endswith("2 other jobs share the workers.")


def test_other_keys_jobs_count_by_weight_and_their_priority_for_nothing(database: Database):
    mine, theirs = (caller_of(database, make_key(database)) for _ in range(2))
    with database.transaction() as transaction:
        weigh_key(transaction, theirs.prefix, 3)
    assert estimate_for(database, mine).share == 1
    for priority in (-100, 100):
        own(database, submit_resolved(database, **LIKE, priority=priority), theirs)
    told = estimate_for(database, mine)
    assert (told.jobs_ahead, told.share) == (0, 0.25)
    assert told.sentence.endswith("Other keys' jobs leave yours 25% of the workers' time.")
    own(database, submit_resolved(database, **LIKE, priority=-1), mine)
    own(database, submit_resolved(database, **LIKE, priority=1), mine)
    told = estimate_for(database, mine)
    assert (told.jobs_ahead, told.share) == (1, 0.25)
    assert told.sentence.endswith("25% of the workers' time. 1 other job shares that.")
    assert estimate_for(database, theirs).share == 0.75
    submit_resolved(database, **LIKE)  # nobody's, as before there were keys
    assert estimate_for(database, mine).share == 0.2
    assert estimate_for(database, LOCAL).jobs_ahead == 1
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).values(state="paused"))
    assert (estimate_for(database, mine).jobs_ahead, estimate_for(database, mine).share) == (0, 1)


def estimate_for(database: Database, caller: Caller) -> Estimate:
    spec = resolve_spec(parse_spec(LIKE), bundled_profiles()["digits"])
    with database.reading() as transaction:
        return estimate_job(transaction, spec, None, 30.0, caller)


def own(database: Database, job_id: str, caller: Caller) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(owner=caller.key))
