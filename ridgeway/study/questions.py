"""Questions about a study as a whole, answered from Optuna's tables without reading its trials."""

from __future__ import annotations

import json
from collections import Counter

import sqlalchemy as sa
from optuna.distributions import BaseDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.database.tables import ranked_trials
from ridgeway.study.distributions import read_distribution
from ridgeway.study.optuna_tables import attributes as _attributes
from ridgeway.study.optuna_tables import directions as _directions
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import studies as _studies
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values


def complete_values(transaction: Connection, study_id: int) -> dict[int, list[float]]:
    """Return the values of every COMPLETE trial that has all of them finite, by number."""
    objectives = sa.select(sa.func.count()).where(_directions.c.study_id == study_id)
    count = int(transaction.execute(objectives).scalar_one())
    found: dict[int, list[float]] = {}
    rows = transaction.execute(
        sa.select(_trials.c.number, _values.c.value)
        .join(_values, _values.c.trial_id == _trials.c.trial_id)
        .where(
            _trials.c.study_id == study_id,
            _trials.c.state == TrialState.COMPLETE,
            _values.c.value.is_not(None),
        )
        .order_by(_trials.c.number, _values.c.objective)
    )
    for number, value in rows:
        found.setdefault(number, []).append(value)
    return {number: values for number, values in found.items() if len(values) == count}


def param_names(transaction: Connection, study_id: int) -> list[str]:
    """Return the names of all parameters of the trials, in the order in which they came."""
    first = sa.func.min(_params.c.param_id)
    rows = transaction.execute(
        sa.select(_params.c.param_name)
        .join(_trials, _trials.c.trial_id == _params.c.trial_id)
        .where(_trials.c.study_id == study_id)
        .group_by(_params.c.param_name)
        .order_by(first)
    )
    return list(rows.scalars())


def find_study(transaction: Connection, name: str) -> int | None:
    """Return the id of the study with this name; None where there is none."""
    query = sa.select(_studies.c.study_id).where(_studies.c.study_name == name)
    return transaction.execute(query).scalar_one_or_none()


def count_trials(transaction: Connection, study_id: int) -> int:
    """Return how many trials the study has, at the same cost whatever that is; 0 for no study.

    Optuna numbers them without gaps, and the index on the numbers ends with the last.
    """
    last = sa.select(sa.func.max(_trials.c.number)).where(_trials.c.study_id == study_id)
    number = transaction.execute(last).scalar_one()
    return 0 if number is None else int(number) + 1


def directions(transaction: Connection, study_id: int) -> list[bool]:
    """Return for each objective whether more of it is better."""
    rows = transaction.execute(
        sa.select(_directions.c.direction)
        .where(_directions.c.study_id == study_id)
        .order_by(_directions.c.objective)
    )
    return [direction == StudyDirection.MAXIMIZE for direction in rows.scalars()]


def distributions_of(transaction: Connection, study_id: int) -> dict[str, list[BaseDistribution]]:
    """Return every distribution that COMPLETE trials have, by parameter."""
    rows = transaction.execute(
        sa.select(_params.c.param_name, _params.c.distribution_json)
        .join(_trials, _trials.c.trial_id == _params.c.trial_id)
        .where(_trials.c.study_id == study_id, _trials.c.state == TrialState.COMPLETE)
        .distinct()
    )
    found: dict[str, list[BaseDistribution]] = {}
    for row in rows:
        found.setdefault(row.param_name, []).append(read_distribution(row.distribution_json))
    return found


def ranked_trial_ids(transaction: Connection, study_id: int) -> list[int]:
    """Return the ids of the COMPLETE trials that have every value finite, from the best on."""
    unbounded = sa.exists().where(
        _values.c.trial_id == _trials.c.trial_id, _values.c.value.is_(None)
    )
    rows = transaction.execute(
        sa.select(_trials.c.trial_id)
        .join(ranked_trials, ranked_trials.c.trial_id == _trials.c.trial_id)
        .where(
            ranked_trials.c.study_id == study_id,
            _trials.c.state == TrialState.COMPLETE,
            ~unbounded,
        )
        .order_by(ranked_trials.c.signed_value, ranked_trials.c.trial_id)
    )
    return list(rows.scalars())


def commonest_reason(transaction: Connection, study_id: int) -> str | None:
    """Return the reason that most of the failed trials give; None where none gives one."""
    rows = transaction.execute(
        sa.select(_attributes.c.value_json)
        .join(_trials, _trials.c.trial_id == _attributes.c.trial_id)
        .where(_trials.c.study_id == study_id, _attributes.c.key == "reason")
    )
    counts = Counter(json.loads(text) for text in rows.scalars())
    return counts.most_common(1)[0][0] if counts else None
