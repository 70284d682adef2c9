"""A study taken out of the database, as an Optuna study in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import optuna
import sqlalchemy as sa
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial
from sqlalchemy.engine import Connection

from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import directions as _directions
from ridgeway.study.optuna_tables import point_of, studies
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values
from ridgeway.study.reading import StudyTrial, assemble, trials_with_values


def study_in_memory(transaction: Connection, name: str) -> optuna.Study:
    """Return a study in memory with the trials that have ended of the study of this name."""
    query = sa.select(studies.c.study_id).where(studies.c.study_name == name)
    study_id = int(transaction.execute(query).scalar_one())
    study = _silently_created(name, _directions_of(transaction, study_id))
    rows = transaction.execute(trials_with_values(study_id).order_by(_trials.c.number)).all()
    trials = assemble(transaction, rows, attributes=True)
    values, curves = _values_of(transaction, study_id), _curves_of(transaction, study_id)
    ended = [trial for trial in trials if trial.state.is_finished()]
    study.add_trials([_frozen(each, values.get(each.id), curves[each.id]) for each in ended])
    return study


def _silently_created(name: str, directions: Sequence[StudyDirection]) -> optuna.Study:
    told = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it announces each new study
    try:
        return optuna.create_study(study_name=name, directions=directions)
    finally:
        optuna.logging.set_verbosity(told)


def _frozen(
    trial: StudyTrial, values: Sequence[float] | None, curve: Mapping[int, float]
) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=trial.state,
        values=values,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        user_attrs=dict(trial.attributes),
        intermediate_values=dict(curve),
    )


def _directions_of(transaction: Connection, study_id: int) -> list[StudyDirection]:
    query = sa.select(_directions.c.direction).where(_directions.c.study_id == study_id)
    return list(transaction.execute(query.order_by(_directions.c.objective)).scalars())


def _values_of(transaction: Connection, study_id: int) -> Mapping[int, list[float]]:
    """Return the values of each trial that has some, by its id, in the order of objectives."""
    values: defaultdict[int, list[float]] = defaultdict(list)
    query = sa.select(_values).join(_trials, _trials.c.trial_id == _values.c.trial_id)
    query = query.where(_trials.c.study_id == study_id).order_by(_values.c.objective)
    for row in transaction.execute(query):
        values[row.trial_id].append(row.value)
    return values


def _curves_of(transaction: Connection, study_id: int) -> Mapping[int, dict[int, float]]:
    """Return what each trial reported, by its id and the step."""
    curves: defaultdict[int, dict[int, float]] = defaultdict(dict)
    query = sa.select(_curves).join(_trials, _trials.c.trial_id == _curves.c.trial_id)
    for row in transaction.execute(query.where(_trials.c.study_id == study_id)):
        point = point_of(row.intermediate_value, row.intermediate_value_type)
        curves[row.trial_id][row.step] = point
    return curves
