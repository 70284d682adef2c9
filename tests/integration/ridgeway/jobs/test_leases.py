"""Claim, reserve, renew, finish, release and expire, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from simulated import recommended
from sqlalchemy.engine import Connection, Row
from submitting import submit
from waiting import wait_until

from ridgeway import fleet
from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs as job_table
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import Conflict, LeaseLost, NotFound
from ridgeway.jobs import artifacts, claiming, holding, lifecycle, lookups
from ridgeway.jobs.claimant import Claimant, KnownJobs
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.own_trials import own_numbers
from ridgeway.jobs.plan import JobPlan
from ridgeway.jobs.sizes import Pace, Sizes, population_size
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from ridgeway.views import Job

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}

USUAL = Sizes(first=4, most=64)


def claimant(worker: str = "worker-1", **changes: Any) -> Claimant:
    default = Claimant(
        worker_id=worker,
        models=frozenset({"linear", "mlp"}),
        datasets=frozenset({"digits"}),
        sizes=USUAL,
        lease_seconds=30.0,
        max_attempts=3,
    )
    return replace(default, **changes)


def claim(database: Database, **changes: Any) -> Lease | None:
    with database.transaction() as transaction:
        return claiming.claim(transaction, claimant(**changes))


def must_claim(database: Database, **changes: Any) -> Lease:
    lease = claim(database, **changes)
    assert lease is not None
    return lease


def reserve(database: Database, lease: Lease) -> Lease:
    params = [{"penalty": "l1", "lambda": 0.5} for _ in range(lease.size)]
    with database.transaction() as transaction:
        first = holding.reserve(transaction, lease, params, SPACE)
    return replace(lease, first_number=first)


def outcomes(lease: Lease, values: Sequence[float | None] | None = None) -> list[Outcome]:
    first = lease.first_number
    assert first is not None
    return [
        Outcome(
            number=first + index,
            value=value,
            curve=(1.0, 0.5) if value is not None else (float("nan"),),
            facts=TrialFacts(standard_error=0.1, nonzero_weights=3.0, weights=5),
            reason=None if value is not None else "diverged in epoch 1",
        )
        for index, value in enumerate(values or [float(first + i) for i in range(lease.size)])
    ]


def finish(database: Database, lease: Lease, values: Sequence[float | None] | None = None) -> None:
    with database.transaction() as transaction:
        holding.finish_population(transaction, lease, outcomes(lease, values))


def train(database: Database, **changes: Any) -> Lease | None:
    """Claim, reserve and finish one population; None when there is none."""
    lease = claim(database, **changes)
    if lease is not None and lease.kind == "population":
        lease = reserve(database, lease) if lease.first_number is None else lease
        finish(database, lease)
    return lease


def train_all(database: Database) -> Lease:
    while True:
        lease = train(database)
        assert lease is not None
        if lease.kind == "answer":
            return lease


def find(database: Database, job_id: str) -> Job:
    with database.reading() as transaction:
        return lookups.find_job(transaction, job_id)


def expire(database: Database, worker: str | None = None) -> None:
    with database.transaction() as transaction:
        holding.expire_leases(transaction, worker)


def lose(database: Database, worker: str, because: str, lease_id: int | None = None) -> None:
    with database.transaction() as transaction:
        holding.lose_worker(transaction, worker, because, lease_id)


def overdue(database: Database, lease: Lease) -> None:
    """As if the lease's time had passed."""
    with database.transaction() as transaction:
        transaction.execute(
            sa.update(lease_table).where(lease_table.c.id == lease.id).values(expires_at=0.0)
        )


def test_populations_start_small_double_and_stay_within_a_tenth_of_the_budget():
    assert [population_size(200, USUAL, k) for k in range(5)] == [4, 8, 16, 20, 20]
    assert population_size(5, USUAL, 0) == 1
    assert population_size(1_000_000, USUAL, 10_000) == 64


def record_worker(database: Database, worker: str) -> None:
    record = fleet.WorkerRecord(worker, "here", 1, "cpu", "0", frozenset(), frozenset())
    with database.transaction() as transaction:
        fleet.record_worker(transaction, record)


@pytest.mark.parametrize(
    ("workers", "last"), [(0, [10, 10, 8]), (1, [10, 10, 8]), (2, [9, 5, 4]), (8, [4, 4, 4])]
)
def test_live_workers_share_the_end_of_a_job(
    database: Database, workers: int, last: list[int]
) -> None:
    for worker in range(workers):
        record_worker(database, f"worker-{worker}")
    record_worker(database, "gone")
    with database.transaction() as transaction:
        fleet.mark_gone(transaction, "gone")
    known = KnownJobs(paces={submit(database, trials=100): Pace(trials=4, seconds=1.0)})
    sizes: list[int] = []
    while (lease := claim(database, known=known)) is not None:
        sizes.append(lease.size)
    assert sum(sizes) == 100
    assert sizes[:3] == [4, 8, 10]
    assert sizes[-3:] == last


def test_a_job_is_claimed_in_populations_until_its_budget_is_spent_and_then_answered(database):
    job_id = submit(database)
    assert find(database, job_id).state == "queued"
    sizes = []
    while (lease := train(database)) is not None and lease.kind == "population":
        sizes.append(lease.size)
        assert find(database, job_id).state == "running"
    assert sizes == [2] * 10
    assert lease is not None
    assert lease.kind == "answer"
    assert claim(database) is None
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), {})
    job = find(database, job_id)
    assert (job.state, job.progress.complete, job.progress.running) == ("succeeded", 20, 0)
    assert job.best is not None
    assert (job.best.number, job.best.value) == (0, 0.0)
    assert claim(database) is None


def test_the_oldest_job_goes_first_within_priority(database):
    first = submit(database)
    second = submit(database)
    urgent = submit(database, priority=5)
    assert must_claim(database).job_id == urgent
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, urgent)
    assert must_claim(database).job_id == first
    with database.transaction() as transaction:
        lifecycle.pause_job(transaction, first)
    assert must_claim(database).job_id == second


def test_a_worker_gets_only_jobs_whose_model_and_data_set_it_offers(database):
    submit(database, model={"kind": "somebody's"})
    submit(database, dataset="elsewhere")
    assert claim(database) is None
    assert claim(database, models=frozenset({"somebody's"})) is not None
    assert claim(database, datasets=frozenset({"elsewhere"})) is not None


def test_an_expired_population_is_taken_over_with_its_numbers_and_parameters(database):
    submit(database)
    lost = reserve(database, must_claim(database))
    overdue(database, lost)
    taken = must_claim(database, worker="worker-2")
    assert (taken.id, taken.first_number, taken.fence) == (lost.id, 0, 2)
    with pytest.raises(LeaseLost):
        finish(database, lost)
    with pytest.raises(LeaseLost), database.transaction() as transaction:
        holding.renew(transaction, lost, 30.0)
    finish(database, taken)
    job = find(database, taken.job_id)
    assert (job.progress.complete, job.progress.running) == (taken.size, 0)


def test_a_late_holder_whose_lease_nobody_took_may_still_finish(database):
    submit(database)
    lease = reserve(database, must_claim(database))
    overdue(database, lease)
    finish(database, lease)
    assert find(database, lease.job_id).progress.complete == lease.size


def test_a_finish_repeated_after_a_lost_reply_changes_nothing(database):
    submit(database)
    lease = reserve(database, must_claim(database))
    finish(database, lease)
    before = find(database, lease.job_id)
    finish(database, lease, [99.0] * lease.size)
    after = find(database, lease.job_id)
    assert before.progress.complete == after.progress.complete
    assert before.best == after.best


def test_a_reservation_repeated_after_a_lost_reply_reserves_nothing_more(database):
    job_id = submit(database)
    lease = must_claim(database)
    first, again = reserve(database, lease), reserve(database, lease)
    assert first.first_number == again.first_number == 0
    finish(database, again)
    job = find(database, job_id)
    assert (job.progress.complete, job.progress.running) == (lease.size, 0)


def test_a_job_given_up_hands_out_none_of_its_other_lost_leases(database):
    job_id = submit(database)
    doomed = must_claim(database)
    for _ in range(2):
        expire(database)
        assert must_claim(database).id == doomed.id
    other = reserve(database, must_claim(database))
    assert other.id != doomed.id
    expire(database)
    assert claim(database) is None
    job = find(database, job_id)
    assert (job.state, job.progress.running, job.progress.failed) == ("failed", 0, other.size)
    with pytest.raises(LeaseLost):
        finish(database, other)


def test_a_job_whose_trials_all_fail_while_it_is_paused_has_failed(database):
    job_id = submit(database, trials=1)
    lease = reserve(database, must_claim(database))
    with database.transaction() as transaction:
        lifecycle.pause_job(transaction, job_id)
    finish(database, lease, [None])
    assert find(database, job_id).state == "failed"


def test_a_released_population_costs_no_attempt_and_a_lost_one_does(database):
    job_id = submit(database, trials=1)
    lease = reserve(database, must_claim(database))
    for _ in range(10):
        with database.transaction() as transaction:
            holding.release(transaction, lease)
        lease = must_claim(database)
    for _ in range(2):
        expire(database)
        lease = must_claim(database)
    assert lease.first_number == 0
    expire(database)
    assert claim(database) is None
    job = find(database, job_id)
    assert (job.state, job.progress.failed, job.progress.running) == ("failed", 1, 0)
    assert "3 workers were lost" in (job.error or "")


def poisoned(database: Database, lease: Lease, poison: set[int]) -> bool:
    """Train as a process that any of these trials kills; whether it lived."""
    assert lease.first_number is not None
    if poison & set(range(lease.first_number, lease.first_number + lease.size)):
        return False
    finish(database, lease)
    return True


@pytest.mark.parametrize("max_attempts", [2, 3, 5])
@pytest.mark.parametrize("size", [2, 7, 64])
def test_a_trial_that_kills_its_workers_fails_alone(database, size, max_attempts):
    job_id = submit(database, trials=10 * size)
    limits = {"max_attempts": max_attempts, "sizes": Sizes(min(4, size), size)}
    with database.transaction() as transaction:
        # Straight to the largest population.
        transaction.execute(sa.update(job_table).values(populations=6))
    first = reserve(database, must_claim(database, **limits))
    assert first.size == size
    poison, deaths = size // 3, 1
    expire(database)
    while (lease := must_claim(database, **limits)).first_number is not None:
        if not poisoned(database, lease, {poison}):
            deaths += 1
            expire(database)
    assert deaths == max_attempts
    job = find(database, job_id)
    assert (job.progress.complete, job.progress.failed) == (size - 1, 1)
    with database.reading() as transaction:
        trial = lookups.find_trial(transaction, job_id, poison)
        numbers = own_numbers(transaction, job_id)
    assert trial.reason == f"{max_attempts} workers were lost while they trained this trial"
    assert sorted(numbers) == list(range(size))
    # The populations to come are those that would have come.
    assert (lease.ordinal, lease.size) == (7, size)


def test_a_part_of_a_population_that_is_handed_back_is_not_split_again(database):
    submit(database, trials=200)
    reserve(database, must_claim(database, max_attempts=5))
    for size in (4, 2):
        expire(database)
        lease = must_claim(database, max_attempts=5)
        assert lease.size == size
    for _ in range(3):
        with database.transaction() as transaction:
            holding.release(transaction, lease)
        again = must_claim(database, max_attempts=5)
        assert (again.id, again.size) == (lease.id, 2)
        lease = again


def test_a_job_fails_when_its_data_cost_too_many_workers(database):
    job_id = submit(database)
    for _ in range(3):
        must_claim(database)
        expire(database)
    assert claim(database) is None
    job = find(database, job_id)
    assert job.state == "failed"
    assert "prepared the data" in (job.error or "")


def test_a_job_says_once_why_its_workers_were_lost(database):
    job_id = submit(database, trials=1)
    for _ in range(2):
        lease = must_claim(database)
        if lease.first_number is None:
            reserve(database, lease)
        lose(database, "worker-1", "no step ended")
    must_claim(database)
    expire(database)  # nobody knows why this one died
    assert claim(database) is None
    job = find(database, job_id)
    assert job.state == "failed"
    why = "3 workers were lost while they trained this trial, one of them because no step ended"
    assert why in (job.error or "")
    assert job.warnings.count("a worker was lost because no step ended") == 1


def test_a_job_whose_time_is_up_is_told_what_its_last_worker_did(database):
    job_id = submit(database, timeout_seconds=10)
    lease = must_claim(database)
    with database.transaction() as transaction:
        transaction.execute(sa.update(job_table).values(deadline=0.0))
        assert lifecycle.sweep(transaction)
    lose(database, "worker-1", "it did not stop", lease.id)
    job = find(database, job_id)
    assert (job.state, job.warnings) == ("failed", ["a worker was lost because it did not stop"])


def test_the_next_holder_of_a_lease_keeps_it_when_the_lost_one_is_heard_of(database):
    job_id = submit(database)
    lost = must_claim(database)
    overdue(database, lost)
    taken = must_claim(database, worker="worker-2")
    lose(database, "worker-1", "it was silent", lost.id)
    with database.transaction() as transaction:
        holding.renew(transaction, taken, 30.0)
    assert find(database, job_id).warnings == ["a worker was lost because it was silent"]


def test_a_cancelled_job_or_a_done_lease_is_told_of_no_lost_worker(database):
    job_id = submit(database)
    done, withdrawn = reserve(database, must_claim(database)), must_claim(database)
    finish(database, done)
    lose(database, "worker-1", "it was done", done.id)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
    lose(database, "worker-1", "it did not stop", withdrawn.id)
    assert "it did not stop" not in str(find(database, job_id).warnings)


def test_only_a_dead_workers_leases_expire_at_once(database):
    submit(database)
    mine = must_claim(database, worker="alive")
    theirs = must_claim(database, worker="dead")
    expire(database, "dead")
    assert must_claim(database).id == theirs.id
    with database.transaction() as transaction:
        holding.renew(transaction, mine, 30.0)


def test_the_answer_waits_for_live_populations(database):
    submit(database, trials=2)
    first = reserve(database, must_claim(database))
    second = reserve(database, must_claim(database))
    finish(database, second)
    assert claim(database) is None
    finish(database, first)
    assert must_claim(database).kind == "answer"


def test_a_killed_answer_is_given_by_another_worker_once(database):
    job_id = submit(database, trials=1)
    first = train_all(database)
    overdue(database, first)
    second = must_claim(database, worker="worker-2")
    assert (second.kind, second.id, second.fence) == ("answer", first.id, 2)
    with database.transaction() as transaction:
        holding.finish_answer(transaction, second, recommended(), {})
    with pytest.raises(LeaseLost), database.transaction() as transaction:
        holding.finish_answer(transaction, first, recommended(), {})
    assert find(database, job_id).state == "succeeded"


def test_the_answers_artifacts_are_found_by_name(database):
    job_id = submit(database, trials=1)
    kept = {"model.safetensors": artifacts.Artifact("jobs/x/model.safetensors", "0" * 64, 12)}
    lease = train_all(database)
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), kept, ["worth knowing"])
    with database.reading() as transaction:
        found = artifacts.find_artifact(transaction, job_id, "model.safetensors")
    assert found == kept["model.safetensors"]
    assert find(database, job_id).warnings == ["worth knowing"]


def test_cancel_fails_live_trials_and_refuses_their_results(database):
    job_id = submit(database)
    lease = reserve(database, must_claim(database))
    with database.transaction() as transaction:
        job = lifecycle.cancel_job(transaction, job_id)
    assert (job.state, job.progress.failed, job.progress.running) == ("cancelled", lease.size, 0)
    with pytest.raises(LeaseLost):
        finish(database, lease)
    with database.reading() as transaction:
        trial = lookups.find_trial(transaction, job_id, 0)
    assert (trial.state, trial.reason) == ("fail", "cancelled")
    assert claim(database) is None


def test_a_paused_job_gets_no_new_populations_but_its_live_one_finishes(database):
    job_id = submit(database)
    lease = reserve(database, must_claim(database))
    with database.transaction() as transaction:
        assert lifecycle.pause_job(transaction, job_id).state == "paused"
    assert claim(database) is None
    finish(database, lease)
    with database.transaction() as transaction:
        assert lifecycle.resume_job(transaction, job_id).state == "running"
    assert must_claim(database).ordinal == 1


@pytest.mark.parametrize("verb", [lifecycle.pause_job, lifecycle.resume_job, lifecycle.cancel_job])
def test_an_ended_job_can_be_neither_paused_nor_resumed_nor_cancelled(database, verb):
    job_id = submit(database)
    with database.transaction() as transaction:
        lifecycle.cancel_job(transaction, job_id)
    with pytest.raises(Conflict, match="cancelled"), database.transaction() as transaction:
        verb(transaction, job_id)


def test_a_job_out_of_time_is_answered_on_what_exists_with_a_warning(database):
    job_id = submit(database, timeout_seconds=0.001)
    finished = reserve(database, must_claim(database))
    assert claim(database) is None
    finish(database, finished)
    with database.transaction() as transaction:
        lifecycle.sweep(transaction)
    assert must_claim(database).kind == "answer"
    assert "ran out of its 0.001 s" in find(database, job_id).warnings[0]


def test_a_job_that_runs_out_of_time_while_it_is_answered_keeps_its_answer(database):
    job_id = submit(database, trials=1, timeout_seconds=0.05)
    lease = train_all(database)

    def swept() -> bool:
        with database.transaction() as transaction:
            return lifecycle.sweep(transaction)

    wait_until(swept)
    assert claim(database) is None
    with database.transaction() as transaction:
        holding.finish_answer(transaction, lease, recommended(), {})
    job = find(database, job_id)
    assert (job.state, job.warnings, job.progress.complete) == ("succeeded", [], 1)


def test_a_job_out_of_time_with_nothing_to_show_fails(database):
    job_id = submit(database, timeout_seconds=0.001)
    lease = reserve(database, must_claim(database))
    with database.transaction() as transaction:
        lifecycle.sweep(transaction)
    job = find(database, job_id)
    assert (job.state, job.progress.failed) == ("failed", lease.size)
    assert "before any trial was complete" in (job.error or "")


def test_a_diverged_trial_fails_with_its_reason_and_the_job_goes_on(database):
    job_id = submit(database)
    lease = reserve(database, must_claim(database))
    finish(database, lease, [None, 0.25])
    with database.reading() as transaction:
        assert lookups.find_trial(transaction, job_id, 0).reason == "diverged in epoch 1"
        assert lookups.find_trial(transaction, job_id, 0).curve == [None]
        assert lookups.find_trial(transaction, job_id, 1).curve == [1.0, 0.5]
    job = find(database, job_id)
    assert (job.progress.complete, job.progress.failed, job.state) == (1, 1, "running")


def test_a_job_whose_every_trial_fails_says_why(database):
    job_id = submit(database, trials=3)
    for _ in range(3):
        lease = reserve(database, must_claim(database))
        finish(database, lease, [None] * lease.size)
    job = find(database, job_id)
    assert job.state == "failed"
    assert job.error == "None of the 3 trials was complete. Most often: diverged in epoch 1"


def test_a_holder_can_fail_a_job_that_cannot_be_trained(database):
    job_id = submit(database)
    lease = reserve(database, must_claim(database))
    with database.transaction() as transaction:
        holding.fail_job(transaction, lease, "the plug-in raised")
    job = find(database, job_id)
    assert (job.state, job.error) == ("failed", "the plug-in raised")
    assert (job.progress.failed, job.progress.running) == (lease.size, 0)


def test_the_plan_of_the_first_worker_holds_for_all(database):
    submit(database)
    one, two = must_claim(database), must_claim(database)
    with database.transaction() as transaction:
        assert holding.fix_plan(transaction, two, JobPlan(strengths=(1.0, 2.0))) == JobPlan(
            strengths=(1.0, 2.0)
        )
    with database.transaction() as transaction:
        assert holding.fix_plan(transaction, one, JobPlan(strengths=(3.0, 4.0))) == JobPlan(
            strengths=(1.0, 2.0)
        )
    assert must_claim(database).plan == JobPlan(strengths=(1.0, 2.0))


def test_the_best_trial_is_the_highest_where_the_objective_is_maximised(database):
    job_id = submit(database, objective="accuracy")
    lease = reserve(database, must_claim(database))
    finish(database, lease, [0.5, 0.75])
    best = find(database, job_id).best
    assert best is not None
    assert (best.number, best.value) == (1, 0.75)


def test_many_workers_share_a_job_without_losing_or_doubling_a_trial(database):
    job_id = submit(database, trials=120)
    errors: list[BaseException] = []
    start = threading.Barrier(6)

    def work(worker: str) -> None:
        try:
            start.wait()
            while (lease := train(database, worker=worker)) and lease.kind == "population":
                pass
        except BaseException as error:
            errors.append(error)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [f"worker-{i}" for i in range(6)]))
    assert not errors
    job = find(database, job_id)
    assert (job.progress.complete, job.progress.running) == (120, 0)
    numbers = []
    cursor = None
    while True:
        with database.reading() as transaction:
            page = lookups.list_trials(
                transaction, job_id, state=None, order="number", cursor=cursor, limit=50
            )
        numbers += [trial.number for trial in page.trials]
        if (cursor := page.next) is None:
            break
    assert numbers == list(range(120))


def test_optuna_reads_and_continues_the_study(database):
    job_id = submit(database)
    lease = reserve(database, must_claim(database))
    finish(database, lease, [None, 0.25])
    url = database.url.render_as_string(hide_password=False)
    storage = optuna.storages.RDBStorage(url)
    study = optuna.load_study(study_name=job_id, storage=storage)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.best_value == 0.25
    assert study.best_trial.params == {"penalty": "l1", "lambda": 0.5}
    assert study.best_trial.intermediate_values == {1: 1.0, 2: 0.5}
    trial = study.ask()
    trial.suggest_float("lambda", 1e-6, 1.0, log=True)
    study.tell(trial, 0.125)
    storage.engine.dispose()
    # A foreign trial takes a number, and counts in nothing of the job's.
    job = find(database, job_id)
    assert (job.progress.complete, job.best and job.best.value) == (1, 0.25)
    later = reserve(database, must_claim(database))
    assert later.first_number == 3
    with database.reading() as transaction:
        assert own_numbers(transaction, job_id) == {0, 1, 3, 4}


def test_foreign_trials_of_any_kind_are_listed(database):
    job_id = submit(database)
    storage = optuna.storages.RDBStorage(database.url.render_as_string(hide_password=False))
    study = optuna.load_study(study_name=job_id, storage=storage)
    trial = study.ask()
    trial.suggest_categorical("x", [None, "a"])
    trial.set_user_attr("standard_error", "small")
    trial.set_user_attr("fold_values", {"not": "a list"})
    study.tell(trial, float("inf"))
    storage.engine.dispose()
    with database.reading() as transaction:
        page = lookups.list_trials(
            transaction, job_id, state=None, order="value", cursor=None, limit=10
        )
        detail = lookups.find_trial(transaction, job_id, 0)
    assert page.trials[0].standard_error is None
    assert detail.fold_values is None
    assert detail.attributes["standard_error"] == "small"


def test_trials_are_listed_from_the_best_value_with_the_valueless_last(database):
    job_id = submit(database, trials=60)
    values = {}
    for _ in range(3):
        lease = reserve(database, must_claim(database))
        given = [
            None if (lease.first_number + i) % 5 == 4 else ((lease.first_number + i) * 7) % 11
            for i in range(lease.size)
        ]
        finish(database, lease, given)
        values |= {lease.first_number + i: value for i, value in enumerate(given)}
    listed, cursor = [], None
    while True:
        with database.reading() as transaction:
            page = lookups.list_trials(
                transaction, job_id, state=None, order="value", cursor=cursor, limit=4
            )
        listed += [(trial.number, trial.value) for trial in page.trials]
        if (cursor := page.next) is None:
            break
    expected = sorted(values, key=lambda n: (values[n] is None, values[n] or 0.0, n))
    assert listed == [(number, values[number]) for number in expected]


def test_a_job_is_left_to_workers_that_have_its_penalties(database: Database):
    submit(database, search={"penalty": ["none", "labs_own"]})
    assert claim(database) is None
    with database.reading() as transaction:
        assert not claiming.has_work(transaction, claimant())
    offered = claimant().penalties | {"labs_own"}
    must_claim(database, penalties=offered)


def test_a_look_for_work_outlives_a_job_that_is_deleted_meanwhile(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    submit(database)
    gone = [NotFound("There is no such job.")]
    whole = claiming.read_job

    def read(transaction: Connection, job_id: str) -> Row[Any]:
        if gone:
            raise gone.pop()
        return whole(transaction, job_id)

    monkeypatch.setattr(claiming, "read_job", read)
    with database.reading() as transaction:
        assert claiming.has_work(transaction, claimant())
