"""Optuna's tables, cleared of a study a slice at a time: a large one must not hold others up."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from ridgeway.study.bulk import delete_rows
from ridgeway.study.optuna_tables import of_studies, of_trials, studies, trials


def hide_study(transaction: Connection, study_id: int, name: str) -> None:
    """Give a study that is to be deleted another name, so that nobody finds it by its own."""
    query = sa.update(studies).where(studies.c.study_id == study_id).values(study_name=name)
    transaction.execute(query)


def delete_trials(transaction: Connection, study_id: int, most: int) -> int:
    """Delete the study's oldest trials, at most so many; return how many there were."""
    oldest = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
    query = oldest.order_by(trials.c.trial_id).limit(most)
    ids = list(transaction.execute(query).scalars())
    if ids:
        for table in (*of_trials, trials):
            delete_rows(transaction, table, "trial_id", ids)
    return len(ids)


def delete_study(transaction: Connection, study_id: int) -> None:
    """Delete a study that has no trial left."""
    for table in (*of_studies, studies):
        transaction.execute(sa.delete(table).where(table.c.study_id == study_id))
