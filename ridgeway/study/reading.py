"""A study's trials, read from Optuna's tables: pages, curves, what mirrors and answers ask."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Connection, Row

from ridgeway.database.tables import ranked_trials
from ridgeway.study.optuna_tables import attributes as _attributes
from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import directions as _directions
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import point_of
from ridgeway.study.optuna_tables import studies as _studies
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values
from ridgeway.views import Params

TrialOrder: TypeAlias = Literal["number", "value"]


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


@dataclass(frozen=True)
class Reported:
    """A trial's state and what it reported, by step."""

    id: int
    number: int
    state: TrialState
    points: dict[int, float]


def trials_in(transaction: Connection, study_id: int, first: int, size: int) -> list[StudyTrial]:
    """The trials with numbers first ... first + size - 1, in the order of their numbers."""
    inside = _trials.c.number.between(first, first + size - 1)
    return _read(transaction, study_id, inside)


def new_reports(
    transaction: Connection,
    study_id: int,
    steps: Sequence[int],
    after_id: int,
    unfinished: Iterable[int],
) -> list[Reported]:
    """What trials created after `after_id`, or among the `unfinished`, reported at these steps."""
    query = (
        sa.select(
            _trials.c.trial_id,
            _trials.c.number,
            _trials.c.state,
            _curves.c.step,
            _curves.c.intermediate_value,
            _curves.c.intermediate_value_type,
        )
        .select_from(
            _trials.outerjoin(
                _curves, (_curves.c.trial_id == _trials.c.trial_id) & _curves.c.step.in_(steps)
            )
        )
        .where(_trials.c.study_id == study_id)
        .order_by(_trials.c.trial_id)
    )
    found: dict[int, Reported] = {}
    for which in (_trials.c.trial_id > after_id, _trials.c.trial_id.in_(list(unfinished))):
        for id_, number, state, step, value, kind in transaction.execute(query.where(which)):
            trial = found.setdefault(id_, Reported(id_, number, state, {}))
            if step is not None:
                trial.points[step] = point_of(value, kind)
    return list(found.values())


def complete_trials(transaction: Connection, study_id: int) -> list[StudyTrial]:
    """Every COMPLETE trial with its attributes, in the order of numbers."""
    complete = _trials.c.state == TrialState.COMPLETE
    return _read(transaction, study_id, complete, attributes=True)


def complete_values(transaction: Connection, study_id: int) -> dict[int, list[float]]:
    """The values of every COMPLETE trial that has all of them finite, by number."""
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


def params_of(transaction: Connection, study_id: int, numbers: Sequence[int]) -> dict[int, Params]:
    """The parameters of some trials, by number."""
    found: dict[int, Params] = {}
    for start in range(0, len(numbers), _CHUNK):
        inside = _trials.c.number.in_(numbers[start : start + _CHUNK])
        for trial in _read(transaction, study_id, inside):
            found[trial.number] = trial.params
    return found


def param_names(transaction: Connection, study_id: int) -> list[str]:
    """Every parameter that a trial of the study has, in the order in which they came."""
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
    """The id of the study with this name."""
    query = sa.select(_studies.c.study_id).where(_studies.c.study_name == name)
    return transaction.execute(query).scalar_one_or_none()


def directions(transaction: Connection, study_id: int) -> list[bool]:
    """Whether more is better, for each objective."""
    rows = transaction.execute(
        sa.select(_directions.c.direction)
        .where(_directions.c.study_id == study_id)
        .order_by(_directions.c.objective)
    )
    return [direction == StudyDirection.MAXIMIZE for direction in rows.scalars()]


def distributions_of(transaction: Connection, study_id: int) -> dict[str, list[BaseDistribution]]:
    """Every distribution that a parameter of a COMPLETE trial has."""
    rows = transaction.execute(
        sa.select(_params.c.param_name, _params.c.distribution_json)
        .join(_trials, _trials.c.trial_id == _params.c.trial_id)
        .where(_trials.c.study_id == study_id, _trials.c.state == TrialState.COMPLETE)
        .distinct()
    )
    found: dict[str, list[BaseDistribution]] = {}
    for row in rows:
        found.setdefault(row.param_name, []).append(_distribution(row.distribution_json))
    return found


def ranked_numbers(transaction: Connection, study_id: int) -> list[int]:
    """Numbers of the COMPLETE trials with a finite value, from the best on."""
    rows = transaction.execute(
        sa.select(_trials.c.number)
        .join(ranked_trials, ranked_trials.c.trial_id == _trials.c.trial_id)
        .where(ranked_trials.c.study_id == study_id, _trials.c.state == TrialState.COMPLETE)
        .order_by(ranked_trials.c.signed_value, ranked_trials.c.trial_id)
    )
    return list(rows.scalars())


def frozen_trials(
    transaction: Connection, study_id: int, numbers: Sequence[int], attributes: Mapping[str, Any]
) -> list[FrozenTrial]:
    """Params and values of COMPLETE trials, with these attributes instead of their own."""
    values = complete_values(transaction, study_id)
    found: list[FrozenTrial] = []
    for start in range(0, len(numbers), _CHUNK):
        inside = _trials.c.number.in_(numbers[start : start + _CHUNK])
        found += [
            create_trial(
                values=values[trial.number],
                params=dict(trial.params),
                distributions=dict(trial.distributions),
                user_attrs=dict(attributes),
            )
            for trial in _read(transaction, study_id, inside)
            if trial.number in values
        ]
    return found


def trial_page(
    transaction: Connection,
    study_id: int,
    *,
    state: TrialState | None,
    order: TrialOrder,
    after: Sequence[float] | None,
    limit: int,
) -> tuple[list[StudyTrial], Sequence[float] | None]:
    """Up to `limit` trials past the place `after`, and the place to go on from, if there is more.

    Ordered by number, or from the best value to the worst with the valueless last. A place is
    (number,) or (valueless, signed value, id).
    """
    query = _trials_with_values(study_id)
    if state is not None:
        query = query.where(_trials.c.state == state)
    if order == "number":
        past = None if after is None else after[0]
        rows = _numbered(transaction, query, past, limit + 1)
        places: list[Sequence[float]] = [(row.number,) for row in rows]
    else:
        rows, places = _ranked(transaction, study_id, query, state, after, limit + 1)
    place = places[limit - 1] if len(rows) > limit else None
    return _assemble(transaction, rows[:limit], attributes=True), place


def _numbered(
    transaction: Connection, query: sa.Select[Any], past: float | None, limit: int
) -> list[Row[Any]]:
    if past is not None:
        query = query.where(_trials.c.number > past)
    return list(transaction.execute(query.order_by(_trials.c.number).limit(limit)))


def _ranked(
    transaction: Connection,
    study_id: int,
    query: sa.Select[Any],
    state: TrialState | None,
    after: Sequence[float] | None,
    limit: int,
) -> tuple[list[Row[Any]], list[Sequence[float]]]:
    """Trials from the best value on, then those without one by id, each with its place."""
    valued: list[Row[Any]] = []
    past: float | None = None
    if after is None or not after[0]:
        beyond = None if after is None else sa.tuple_(*map(sa.literal, after[1:]))
        valued = list(transaction.execute(_best_trials(study_id, state, beyond, limit)))
    else:
        past = after[2]
    places: list[Sequence[float]] = [(0, row.signed_value, row.trial_id) for row in valued]
    if len(valued) == limit:
        return valued, places
    is_ranked = sa.exists().where(ranked_trials.c.trial_id == _trials.c.trial_id)
    rest = query.where(~is_ranked).order_by(_trials.c.trial_id).limit(limit - len(valued))
    if past is not None:
        rest = rest.where(_trials.c.trial_id > past)
    valueless = list(transaction.execute(rest))
    return valued + valueless, [*places, *((1, 0.0, row.trial_id) for row in valueless)]


def _best_trials(
    study_id: int, state: TrialState | None, beyond: sa.Tuple | None, limit: int
) -> sa.Select[Any]:
    """Those with a value, from the best on, past the place (signed value, id).

    The index finds the ids first, by themselves: a planner without statistics would join the whole
    study and sort it.
    """
    rank = (ranked_trials.c.signed_value, ranked_trials.c.trial_id)
    ids = sa.select(*rank).where(ranked_trials.c.study_id == study_id)
    if state is not None:
        ids = ids.join(_trials, _trials.c.trial_id == ranked_trials.c.trial_id)
        ids = ids.where(_trials.c.state == state)
    if beyond is not None:
        ids = ids.where(sa.tuple_(*rank) > beyond)
    best = ids.order_by(*rank).limit(limit).subquery()
    is_first = (_values.c.trial_id == best.c.trial_id) & (_values.c.objective == 0)
    return (
        sa.select(_trials, _values.c.value, best.c.signed_value)
        .select_from(
            best.join(_trials, _trials.c.trial_id == best.c.trial_id).join(_values, is_first)
        )
        .order_by(best.c.signed_value, best.c.trial_id)
    )


def trial_curve(transaction: Connection, trial_id: int) -> list[float | None]:
    """The intermediate values in the order of steps; None where a value was not finite."""
    rows = transaction.execute(
        sa.select(_curves.c.intermediate_value)
        .where(_curves.c.trial_id == trial_id)
        .order_by(_curves.c.step)
    )
    return list(rows.scalars())


def all_attributes(transaction: Connection, study_id: int, number: int) -> StudyTrial | None:
    """One trial with every attribute, or None."""
    found = _read(transaction, study_id, _trials.c.number == number, attributes=True)
    return found[0] if found else None


def commonest_reason(transaction: Connection, study_id: int) -> str | None:
    """Why most of the failed trials failed."""
    rows = transaction.execute(
        sa.select(_attributes.c.value_json)
        .join(_trials, _trials.c.trial_id == _attributes.c.trial_id)
        .where(_trials.c.study_id == study_id, _attributes.c.key == "reason")
    )
    counts = Counter(json.loads(text) for text in rows.scalars())
    return counts.most_common(1)[0][0] if counts else None


def _trials_with_values(study_id: int) -> sa.Select[Any]:
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
    query = _trials_with_values(study_id).where(which).order_by(_trials.c.number)
    return _assemble(transaction, transaction.execute(query).all(), attributes=attributes)


_CHUNK = 500  # trials whose details are read in one statement


def _assemble(
    transaction: Connection, rows: Sequence[Row[Any]], *, attributes: bool
) -> list[StudyTrial]:
    params: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    distributions: defaultdict[int, dict[str, BaseDistribution]] = defaultdict(dict)
    attached: defaultdict[int, dict[str, Any]] = defaultdict(dict)
    for start in range(0, len(rows), _CHUNK):
        ids = [row.trial_id for row in rows[start : start + _CHUNK]]
        found = transaction.execute(
            sa.select(_params).where(_params.c.trial_id.in_(ids)).order_by(_params.c.param_id)
        )
        for row in found:
            distribution = _distribution(row.distribution_json)
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


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
