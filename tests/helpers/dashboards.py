"""A study with trials in it, for the dashboard to show."""

from __future__ import annotations

from dataclasses import replace

from simulated import SPACE, outcome_of
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes


def searched(database: Database, name: str = "my job") -> str:
    """A job of which a population has been trained; its id."""
    job_id = submit(database, 40, name=name)
    claimant = Claimant("w", frozenset({"mlp"}), frozenset({"digits"}), Sizes(4, 64), 3600.0, 5)
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
    assert lease is not None
    params = [{"penalty": "l1", "lambda": 10.0**-place} for place in range(lease.size)]
    with database.transaction() as transaction:
        first = holding.reserve(transaction, lease, params, SPACE)
    outcomes = [outcome_of(first + i, float(own["lambda"])) for i, own in enumerate(params)]
    with database.transaction() as transaction:
        holding.finish_population(transaction, replace(lease, first_number=first), outcomes)
    return job_id
