"""Looks at sealed rows are counted over all jobs that seal the same ones."""

from __future__ import annotations

import sqlalchemy as sa
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.database.tables import jobs
from ridgeway.jobs.seals import earlier_looks


def looked(database: Database, job_id: str, times: int) -> None:
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(evaluations=times))


def test_looks_are_counted_by_data_set_and_rows_not_by_job(database: Database) -> None:
    mine = submit(database, seed=7)
    same_rows = submit(database, seed=7, trials=5, model={"kind": "linear"})
    for other, times in (
        (mine, 2),
        (same_rows, 3),
        (submit(database, seed=8), 10),
        (submit(database, seed=7, test_fraction=0.3), 10),
        (submit(database, seed=7, dataset="wine"), 10),
    ):
        looked(database, other, times)
    with database.reading() as look:
        assert earlier_looks(look, mine) == 5
        assert earlier_looks(look, same_rows) == 5
        assert earlier_looks(look, "nobody") == 0


def test_a_spec_that_cannot_be_read_is_passed_over(database: Database) -> None:
    mine, strange = submit(database), submit(database)
    looked(database, strange, 1)
    with database.transaction() as transaction:
        other = (
            sa.update(jobs).where(jobs.c.id == strange).values(spec=["of", "another", "release"])
        )
        transaction.execute(other)
    with database.reading() as look:
        assert earlier_looks(look, mine) == 0
