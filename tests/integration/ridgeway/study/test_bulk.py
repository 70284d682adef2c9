"""Rows of several tables in one statement are the rows of one statement each."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import ProgrammingError

from ridgeway.database.engine import Database
from ridgeway.study.bulk import Batch
from ridgeway.study.optuna_tables import params, trials, values
from ridgeway.study.writing import create_study

TRIAL = ("trial_id", "number", "study_id", "state")
PARAM = ("trial_id", "param_name", "param_value", "distribution_json")
VALUE = ("trial_id", "objective", "value", "value_type")


def test_a_batch_writes_what_its_parts_would(database: Database) -> None:
    with database.transaction() as transaction:
        study = create_study(transaction, "batched", [False], {})
        with Batch(transaction) as batch:
            batch.insert(trials, TRIAL, [(7, 0, study, "RUNNING"), (8, 1, study, "RUNNING")])
            batch.insert(params, PARAM, [(7, "λ 'quoted'", 0.1 + 0.2, "{}"), (8, "b", -1e-9, "%s")])
            batch.insert(values, VALUE, [])
        with Batch(transaction) as batch:
            batch.update(trials, ("state", "trial_id"), [("COMPLETE", 7)])
            batch.insert(values, VALUE, [(7, 0, 1 / 3, "FINITE"), (7, 1, None, "INF_POS")])
    with database.reading() as look:
        states = look.execute(sa.select(trials.c.trial_id, trials.c.state).order_by("trial_id"))
        assert [(row[0], row[1].name) for row in states] == [(7, "COMPLETE"), (8, "RUNNING")]
        columns = (params.c.param_name, params.c.param_value, params.c.distribution_json)
        found = look.execute(sa.select(*columns).order_by(params.c.trial_id)).all()
        assert [tuple(row) for row in found] == [
            ("λ 'quoted'", 0.1 + 0.2, "{}"),
            ("b", -1e-9, "%s"),
        ]
        held = look.execute(sa.select(values.c.value).order_by(values.c.objective)).scalars().all()
        assert held == [1 / 3, None]


def test_a_batch_that_is_left_by_an_error_sends_nothing(empty_postgres_url: str) -> None:
    database = Database(empty_postgres_url)  # without any table: what is sent is refused
    with database.transaction() as transaction:
        batch = Batch(transaction)
        batch.insert(trials, TRIAL, [(7, 0, 1, "RUNNING")])
        batch.__exit__(KeyError, KeyError(), None)
        with pytest.raises(ProgrammingError):
            batch.__exit__(None, None, None)
    database.close()
