"""Trials of a study, read from Optuna's tables with their parameters and attributes."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Row

from ridgeway.answers import Params
from ridgeway.study.distributions import read_distribution
from ridgeway.study.facts import TrialFacts
from ridgeway.study.optuna_tables import attributes as _attributes
from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values

CHUNK = 500  # trials whose details are read in one statement


@dataclass(frozen=True)
class StudyTrial:
    """A trial as the study holds it."""

    id: int
    number: int
    state: TrialState
    value: float | None
    params: Params
    distributions: Mapping[str, BaseDistribution]
    started_at: datetime | None
    finished_at: datetime | None
    attributes: Mapping[str, Any]

    @cached_property
    def facts(self) -> TrialFacts:
        """Return what the attributes tell of the trial."""
        return TrialFacts.read(self.attributes)


def trials_in(transaction: Connection, study_id: int, first: int, size: int) -> list[StudyTrial]:
    """Read the trials first ... first + size - 1 by number, without their attributes."""
    inside = _trials.c.number.between(first, first + size - 1)
    return _read(transaction, study_id, inside)


def complete_trials(transaction: Connection, study_id: int) -> list[StudyTrial]:
    """Read every COMPLETE trial with its attributes, in the order of numbers."""
    complete = _trials.c.state == TrialState.COMPLETE
    return _read(transaction, study_id, complete, attributes=True)


def trials_numbered(
    transaction: Connection, study_id: int, numbers: Sequence[int]
) -> list[StudyTrial]:
    """Read a few trials with their attributes, in the order of numbers."""
    return _read(transaction, study_id, _trials.c.number.in_(numbers), attributes=True)


def every_nth_trial(
    transaction: Connection, study_id: int, nth: int, also: Sequence[int]
) -> list[StudyTrial]:
    """Read the trials whose numbers `nth` divides, and a few others, with their attributes."""
    return _read(
        transaction,
        study_id,
        sa.or_(_trials.c.number % nth == 0, _trials.c.number.in_(also)),
        attributes=True,
    )


def params_of(transaction: Connection, study_id: int, numbers: Sequence[int]) -> dict[int, Params]:
    """Read the parameters of these trials, by number."""
    found: dict[int, Params] = {}
    for start in range(0, len(numbers), CHUNK):
        inside = _trials.c.number.in_(numbers[start : start + CHUNK])
        for trial in _read(transaction, study_id, inside):
            found[trial.number] = trial.params
    return found


def trial_curve(transaction: Connection, trial_id: int) -> list[float | None]:
    """Read what a trial reported, in the order of steps; None where it was not finite."""
    rows = transaction.execute(
        sa.select(_curves.c.intermediate_value)
        .where(_curves.c.trial_id == trial_id)
        .order_by(_curves.c.step)
    )
    return list(rows.scalars())


def find_trial(transaction: Connection, study_id: int, number: int) -> StudyTrial | None:
    """Read one trial with its attributes; None where there is none of this number."""
    found = _read(transaction, study_id, _trials.c.number == number, attributes=True)
    return found[0] if found else None


def trials_with_values(study_id: int) -> sa.Select[Any]:
    """Select a study's trials, each with its value of the first objective."""
    return (
        sa.select(_trials, _values.c.value)
        .select_from(
            _trials.outerjoin(
                _values,
                (_values.c.trial_id == _trials.c.trial_id) & (_values.c.objective == 0),
            )
        )
        .where(_trials.c.study_id == study_id)
    )


def _read(
    transaction: Connection,
    study_id: int,
    which: sa.ColumnElement[bool],
    attributes: bool = False,
) -> list[StudyTrial]:
    query = trials_with_values(study_id).where(which).order_by(_trials.c.number)
    return assemble(transaction, transaction.execute(query).all(), attributes=attributes)


def assemble(
    transaction: Connection, rows: Sequence[Row[Any]], *, attributes: bool
) -> list[StudyTrial]:
    """Read the details of trials whose rows are `trials_with_values`'s."""
    params: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    distributions: defaultdict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    attached: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for start in range(0, len(rows), CHUNK):
        ids = [row.trial_id for row in rows[start : start + CHUNK]]
        found = transaction.execute(
            sa.select(_params).where(_params.c.trial_id.in_(ids)).order_by(_params.c.param_id)
        )
        for row in found:
            distribution = read_distribution(row.distribution_json)
            params[row.trial_id][row.param_name] = distribution.to_external_repr(row.param_value)
            distributions[row.trial_id][row.param_name] = distribution
        if attributes:
            for row in transaction.execute(
                sa.select(_attributes).where(_attributes.c.trial_id.in_(ids))
            ):
                attached[row.trial_id][row.key] = json.loads(row.value_json)
    return [
        StudyTrial(
            id=row.trial_id,
            number=row.number,
            state=row.state,
            value=row.value,
            params=params[row.trial_id],
            distributions=distributions[row.trial_id],
            started_at=_aware(row.datetime_start),
            finished_at=_aware(row.datetime_complete),
            attributes=attached[row.trial_id],
        )
        for row in rows
    ]


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
