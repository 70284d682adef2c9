"""Processes are killed at any moment: nothing is lost, nothing is counted twice, one answer."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress

import httpx
import sqlalchemy as sa
from deployments import LONG, Deployment, wait_until
from invariants import check
from sqlalchemy.exc import OperationalError

from ridgeway.database.engine import Database
from ridgeway.database.tables import artifacts
from ridgeway.database.tables import leases as lease_table
from ridgeway.errors import Unreachable
from ridgeway.jobs.artifacts import MODEL
from ridgeway.views import Job


def check_invariants(deployment: Deployment, job: Job, budget: int) -> None:
    """Every trial exactly once, each in a final state, no lease alive, one answer and its files."""
    with deployment.client as client:
        trials = list(client.trials(job))
    assert [trial.number for trial in trials] == list(range(budget))
    database = deployment.database()
    assert check(database, job.id).progress == job.progress
    with database.reading() as transaction:
        kept = transaction.execute(sa.select(artifacts).where(artifacts.c.job_id == job.id)).all()
    database.close()
    assert MODEL in {row.name for row in kept}
    assert len({row.address.rpartition("/")[0] for row in kept}) == 1


def finished(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.wait(job, timeout=300)


def submit(deployment: Deployment, **fields: object) -> Job:
    with deployment.client as client:
        return client.submit({**LONG, **fields})


def now(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.job(job)


def replace_workers(deployment: Deployment) -> None:
    """Kill them; their supervisor starts others."""
    killed = {*deployment.pids("workers")}
    assert deployment.kill("workers")
    wait_until(lambda: bool({*deployment.pids("workers")} - killed))


def test_killed_workers_lose_and_double_no_trial(deployment):
    job = submit(deployment)
    for seed in range(2):
        wait_until(lambda: now(deployment, job).progress.running > 0)
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
        replace_workers(deployment)
    check_invariants(deployment, finished(deployment, job), 40)


def test_a_service_killed_in_mid_request_gives_one_job_for_one_key(deployment):
    body = {**LONG, "name": "one for each key", "trials": 4, "epochs": 2}
    chance = random.Random(7)
    jobs = []
    for number in range(4):
        killer = threading.Timer(chance.uniform(0.0, 0.03), deployment.kill, ["service"])
        killer.start()
        jobs.append(_post_until_answered(deployment, body, f"key-{number}"))
        killer.join()
        if not deployment.ready():
            deployment.restart_service()
            wait_until(deployment.ready)
        # Whatever became of the first attempt, the key stands for one job.
        assert _post_until_answered(deployment, body, f"key-{number}") == jobs[-1]
    with deployment.client as client:
        made = [job.id for job in client.jobs() if job.name == body["name"]]
        assert sorted(made) == sorted(jobs)
        for job_id in jobs:
            check_invariants(deployment, client.wait(job_id, timeout=300), 4)


def _post_until_answered(deployment: Deployment, body: dict[str, object], key: str) -> str:
    """As a client does that never hears whether its request went through."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            response = httpx.post(
                f"{deployment.url}/v1/jobs", json=body, headers={"Idempotency-Key": key}
            )
        except httpx.HTTPError:
            if not deployment.pids("service"):
                deployment.restart_service()
            time.sleep(0.2)
            continue
        if response.is_success:
            return str(response.json()["id"])
        assert response.status_code == 503, response.text
    raise AssertionError("no answer in two minutes")


def test_service_and_workers_killed_together_go_on_where_they_were(deployment):
    job = submit(deployment)
    wait_until(lambda: now(deployment, job).progress.complete > 0)
    deployment.kill("workers")
    deployment.kill("service")
    deployment.restart_service()
    wait_until(deployment.ready)
    check_invariants(deployment, finished(deployment, job), 40)


def test_a_worker_killed_in_mid_answer_leaves_the_answer_to_another(deployment):
    job = submit(deployment, trials=4, epochs=200)
    database = deployment.database()
    answering = sa.select(lease_table.c.id).where(
        lease_table.c.job_id == job.id,
        lease_table.c.kind == "answer",
        lease_table.c.state == "running",
    )

    def in_mid_answer() -> bool:
        with database.reading() as transaction:
            return transaction.execute(answering).first() is not None

    wait_until(in_mid_answer)
    assert deployment.kill("workers")
    assert now(deployment, job).state == "running"
    database.close()
    check_invariants(deployment, finished(deployment, job), 4)


def stop_outside_a_transaction(deployment: Deployment, pid: int) -> None:
    """Inside one it would hold the database; test_leases_faults.py does that."""
    database = Database(deployment.database_url, wait_seconds=0.5)
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with database.transaction():
                break
        except OperationalError:
            os.kill(pid, signal.SIGCONT)
    database.close()


def test_a_stopped_worker_wakes_up_to_find_its_trials_trained_by_another(deployment):
    job = submit(deployment)
    wait_until(lambda: now(deployment, job).progress.running > 0)
    sleeper, *others = deployment.pids("workers")
    assert others
    stop_outside_a_transaction(deployment, sleeper)
    try:
        done = finished(deployment, job)
    finally:
        with suppress(ProcessLookupError):
            os.kill(sleeper, signal.SIGCONT)
    check_invariants(deployment, done, 40)
    again = submit(deployment, trials=4, epochs=2)
    check_invariants(deployment, finished(deployment, again), 4)
    # It has woken, or its supervisor has lost patience and started another.
    wait_until(lambda: len(deployment.pids("workers")) == 1 + len(others))
    # What the sleeper still held it may not have finished after all.
    assert now(deployment, job).progress == done.progress


def test_trials_that_diverge_fail_alone_and_are_never_best(deployment):
    rates = {"penalty": ["none", "l1"], "learning_rate": [1e-3, 1e3]}
    job = submit(deployment, optimizer="sgd", epochs=5, search=rates)
    done = finished(deployment, job)
    check_invariants(deployment, done, 40)
    with deployment.client as client:
        trials = list(client.trials(job))
    for trial in trials:
        assert (trial.state == "fail") == (trial.params["learning_rate"] == 1e3)
        assert trial.state != "fail" or "diverged in epoch" in (trial.reason or "")
    assert 0 < done.progress.failed < 40


def test_what_a_client_sees_never_goes_back(deployment):
    job = submit(deployment)
    seen: list[Job] = []

    def ended() -> bool:
        with suppress(Unreachable):
            seen.append(now(deployment, job))
            if len(seen) in (10, 100):
                deployment.kill("workers")
        return bool(seen) and seen[-1].ended

    wait_until(ended, 300)
    finished_trials = [s.progress.complete + s.progress.failed for s in seen]
    assert finished_trials == sorted(finished_trials)
    best = [s.best.value for s in seen if s.best]
    assert best == sorted(best, reverse=True)
    check_invariants(deployment, seen[-1], 40)
