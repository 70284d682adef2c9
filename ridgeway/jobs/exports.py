"""Every trial of a job as lines: CSV for spreadsheets, JSON Lines for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

from ridgeway.database.engine import Database
from ridgeway.jobs.lookups import list_trials, study_of
from ridgeway.study import questions
from ridgeway.views import Trial

Format: TypeAlias = Literal["csv", "jsonl"]
PAGE = 1000  # trials read at a time: however many there are, memory stays small

BEFORE = ("number", "state", "value", "standard_error", "nonzero_weights")
AFTER = ("reason", "warm_start", "started_at", "finished_at")


def exported(database: Database, job_id: str, kind: Format) -> Iterator[str]:
    """Write the job's trials by number, a page of lines at a time; NotFound before the first."""
    with database.reading() as transaction:
        study_id = study_of(transaction, job_id)
    return _csv(database, job_id, study_id) if kind == "csv" else _json_lines(database, job_id)


def _json_lines(database: Database, job_id: str) -> Iterator[str]:
    for trials in _pages(database, job_id):
        yield "".join(f"{trial.model_dump_json()}\n" for trial in trials)


def _csv(database: Database, job_id: str, study_id: int) -> Iterator[str]:
    """Write a table with a column for each parameter that any trial has."""
    with database.reading() as transaction:
        params = questions.param_names(transaction, study_id)
    yield _lines([[*BEFORE, *params, *AFTER]])
    for trials in _pages(database, job_id):
        yield _lines([_cells(trial, params) for trial in trials])


def _cells(trial: Trial, params: Sequence[str]) -> list[Any]:
    fields = trial.model_dump(mode="json")
    own = [trial.params.get(name) for name in params]
    return [*(fields[name] for name in BEFORE), *own, *(fields[name] for name in AFTER)]


def _lines(rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _pages(database: Database, job_id: str) -> Iterator[list[Trial]]:
    cursor: str | None = None
    while True:
        with database.reading() as transaction:
            page = list_trials(
                transaction, job_id, state=None, order="number", cursor=cursor, limit=PAGE
            )
        yield page.trials
        cursor = page.next
        if cursor is None:
            return
