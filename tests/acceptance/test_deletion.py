"""A job is deleted between real services and workers, one of which is killed meanwhile."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from deployments import SMALL, Deployment, checked, wait_until
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from submitting import submit_resolved

from ridgeway.database.engine import Database
from ridgeway.database.tables import deleted_jobs
from ridgeway.errors import NotFound
from ridgeway.jobs import lookups
from ridgeway.jobs.lifecycle import cancel_job, pause_job
from ridgeway.study.writing import add_trials

TRIALS = 10_000


def large_job(database: Database) -> str:
    """A cancelled job whose study takes many slices to delete."""
    job_id = submit_resolved(database, dataset="wine", priority=-100)
    trial = create_trial(
        state=TrialState.COMPLETE,
        value=0.5,
        params={"learning_rate": 0.1},
        distributions={"learning_rate": FloatDistribution(1e-4, 1.0)},
        intermediate_values=dict.fromkeys(range(1, 21), 0.5),
    )
    with database.transaction() as transaction:
        pause_job(transaction, job_id)
    with database.transaction() as transaction:
        cancel_job(transaction, job_id)  # which locks the job, as whoever writes does first
        add_trials(transaction, lookups.study_of(transaction, job_id), [trial] * TRIALS)
    return job_id


def count(database: Database, what: sa.Select) -> int:
    with database.reading() as transaction:
        return int(transaction.execute(what).scalar_one())


def test_a_service_killed_while_it_deletes_a_job_ends_that_when_it_is_back(
    deployment: Deployment,
) -> None:
    database = deployment.database()
    job_id = large_job(database)
    study = sa.text("SELECT count(*) FROM studies WHERE study_name LIKE '%' || :name")
    trials = sa.text("SELECT count(*) FROM trials WHERE number >= 0")
    left = sa.select(sa.func.count()).select_from(deleted_jobs)
    with deployment.client as client:
        client.delete(job_id)
        wait_until(lambda: count(database, trials) < TRIALS)
        assert deployment.kill("service")
        assert count(database, left) == 1, "it was over before the kill"
        deployment.restart_service()
        wait_until(deployment.ready)
        with pytest.raises(NotFound):
            client.job(job_id)
        good = client.submit(SMALL)  # nobody waits for the rest
        checked(deployment, good)
        wait_until(lambda: count(database, left) == 0)
        client.delete(good)
        wait_until(lambda: count(database, left) == 0)
    assert count(database, trials) == 0
    assert count(database, study.bindparams(name=job_id)) == 0
    database.close()
