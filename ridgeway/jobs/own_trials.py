"""A job's own trials: those that its workers trained.

Any Optuna process may add trials to a job's study, and a warm start copies some into it. Those
teach the sampler, but are in no budget, progress, best, front or answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.database.tables import leases
from ridgeway.study import pages, reading
from ridgeway.study.reading import StudyTrial

PAGE = 100  # trials looked through at a time


def own_numbers(transaction: Connection, job_id: str) -> set[int]:
    """Return the numbers of the trials that the job's workers trained."""
    query = sa.select(leases.c.first_number, leases.c.size).where(
        leases.c.job_id == job_id, leases.c.first_number.is_not(None)
    )
    rows = transaction.execute(query)
    return {number for first, size in rows for number in range(first, first + size)}


def own_complete_trials(transaction: Connection, job_id: str, study_id: int) -> list[StudyTrial]:
    """Read the COMPLETE trials that the job's workers trained, in the order of numbers."""
    own = own_numbers(transaction, job_id)
    return only_own(reading.complete_trials(transaction, study_id), own)


def best_own_trial(transaction: Connection, job_id: str, study_id: int) -> StudyTrial | None:
    """Find the best COMPLETE trial that the job's workers trained; None where there is none."""
    own, place = own_numbers(transaction, job_id), None
    while True:
        found, place = pages.trial_page(
            transaction,
            study_id,
            state=TrialState.COMPLETE,
            order="value",
            after=place,
            limit=PAGE,
        )
        if (best := next(iter(only_own(found, own)), None)) is not None or place is None:
            return best


def only_own(trials: Iterable[StudyTrial], own: Set[int]) -> list[StudyTrial]:
    """Return the trials whose numbers are among the job's own: one look-up for each."""
    return [trial for trial in trials if trial.number in own]
