"""Floors of penalties in a job's study: several workers, failures, extension, stock Optuna."""

from __future__ import annotations

import optuna
import submitting
from optuna.storages import RDBStorage

from ridgeway.database.engine import Database
from ridgeway.jobs import claiming, holding, lookups
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.extend import extend_job
from ridgeway.jobs.own_trials import own_numbers
from ridgeway.jobs.sizes import Sizes
from ridgeway.spec.spec import JobSpec
from ridgeway.study.distributions import search_space
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from workers.sampling import Mirror

CLAIMANT = Claimant("worker-1", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 8), 30.0, 3)
PENALTIES = ["none", "l1", "l2"]
SEARCH = {"penalty": PENALTIES, "lambda": {"low": 1e-6, "high": 1.0, "log": True}}
AT_ONCE = 3
FACTS = TrialFacts(nonzero_weights=3, weights=5)


def work_off(database: Database, spec: JobSpec, study_id: int) -> None:
    """Train by workers that claim together and reserve in the other order; all of `none` fails."""
    space = search_space(spec, None)
    while True:
        with database.transaction() as transaction:
            claimed = [claiming.claim(transaction, CLAIMANT) for _ in range(AT_ONCE)]
        leases = [lease for lease in claimed if lease and lease.kind == "population"]
        if not leases:
            return
        proposed = []
        for lease in leases:
            mirror = Mirror(spec, study_id)
            with database.reading() as transaction:
                mirror.sync(transaction)
                start = holding.trials_before(transaction, lease)
            proposed.append((lease, mirror.propose(space, lease.size, lease.ordinal, start)))
        for lease, params in reversed(proposed):
            with database.transaction() as transaction:
                first = holding.reserve(transaction, lease, params, space)
                values = [None if each["penalty"] == "none" else 1.0 for each in params]
                outcomes = [
                    Outcome(first + i, value, [] if value is None else [value], FACTS)
                    for i, value in enumerate(values)
                ]
                holding.finish_population(transaction, lease, outcomes)


def test_a_job_keeps_its_floors(database, database_url):
    job_id = submitting.submit(database, trials=24, search=SEARCH)
    with database.reading() as transaction:
        job = lookups.find_job(transaction, job_id)
    storage = RDBStorage(database_url)
    study = optuna.load_study(study_name=job.study, storage=storage)

    def counts() -> list[int]:
        with database.reading() as transaction:
            own = own_numbers(transaction, job_id)
        names = [t.params["penalty"] for t in study.get_trials() if t.number in own]
        return [names.count(penalty) for penalty in PENALTIES]

    asked = [study.ask(search_space(job.spec, None)) for _ in range(5)]  # of no worker's
    work_off(database, job.spec, study._study_id)
    assert sum(counts()) == 24
    assert min(counts()) >= 24 // 2 // 3
    with database.transaction() as transaction:
        extend_job(transaction, job_id, 36)
    work_off(database, job.spec, study._study_id)
    assert sum(counts()) == 60
    assert min(counts()) >= 60 // 2 // 3
    for trial in [*asked, study.ask(search_space(job.spec, None))]:
        study.tell(trial, 0.5)
    storage.remove_session()
    storage.engine.dispose()
