"""Processes are killed at any moment: nothing is lost, nothing is counted twice, one answer."""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress

import httpx
import sqlalchemy as sa
from deployments import Deployment, wait_until

from ridgeway.database import artifacts
from ridgeway.database import leases as lease_table
from ridgeway.errors import Unreachable
from ridgeway.views import Job

# Long enough that a population is alive for seconds, short enough for a test.
LONG = {
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [32]},
    "trials": 40,
    "epochs": 60,
    "validation": {"kind": "folds", "folds": 3},
    "sampler": "random",
}


def check_invariants(deployment: Deployment, job: Job, budget: int) -> None:
    """Every trial exactly once, each in a final state, no lease alive, one answer."""
    with deployment.client as client:
        trials = list(client.trials(job))
    assert [trial.number for trial in trials] == list(range(budget))
    assert {trial.state for trial in trials} <= {"complete", "fail"}
    progress = job.progress
    assert (progress.complete + progress.failed, progress.running) == (budget, 0)
    assert progress.complete == sum(trial.state == "complete" for trial in trials)
    assert job.best is not None
    assert job.best.value == min(t.value for t in trials if t.value is not None)
    database = deployment.database()
    with database.reading() as transaction:
        states = sa.select(lease_table.c.kind, lease_table.c.state).where(
            lease_table.c.job_id == job.id
        )
        rows = transaction.execute(states).all()
        kept = transaction.execute(sa.select(artifacts).where(artifacts.c.job_id == job.id)).all()
    database.close()
    assert {row.state for row in rows} == {"done"}
    assert sum(row.kind == "answer" for row in rows) == 1
    assert len(kept) == 1
    assert job.recommended is not None
    assert job.recommended.test.evaluations == 1


def finished(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.wait(job, timeout=300)


def submit(deployment: Deployment, **fields: object) -> Job:
    with deployment.client as client:
        return client.submit({**LONG, **fields})


def now(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.job(job)


def test_killed_workers_lose_and_double_no_trial(deployment):
    job = submit(deployment)
    for seed in range(2):
        wait_until(lambda: now(deployment, job).progress.running > 0)
        time.sleep(random.Random(seed).uniform(0.0, 0.3))
        assert deployment.kill("workers")
        wait_until(lambda: bool(deployment.pids("workers")))
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
