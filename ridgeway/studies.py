"""Optuna's tables: the only file that knows them. Whole populations in, whole populations out.

Stock Optuna reads and continues these studies, so every row is written as `RDBStorage` (Optuna
5.0, schema v3.2.0.a) writes it. The study's row is locked around the allocation of ids and
numbers: Optuna's cache misses a lower id that is committed after a higher one.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages._rdb import models
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.engine import Connection, Row

from ridgeway.bulk import delete_rows, insert_rows, moment_text, update_rows
from ridgeway.database import current_time, ranked_trials
from ridgeway.views import Params

_studies: sa.Table = models.StudyModel.__table__
_directions: sa.Table = models.StudyDirectionModel.__table__
_study_attributes: sa.Table = models.StudyUserAttributeModel.__table__
_trials: sa.Table = models.TrialModel.__table__
_params: sa.Table = models.TrialParamModel.__table__
_values: sa.Table = models.TrialValueModel.__table__
_curves: sa.Table = models.TrialIntermediateValueModel.__table__
_attributes: sa.Table = models.TrialUserAttributeModel.__table__

_CurveType = models.TrialIntermediateValueModel.TrialIntermediateValueType

TrialOrder: TypeAlias = Literal["number", "value"]


@dataclass(frozen=True)
class Outcome:
    """What became of one trial: a failed one has no `value`, and `reason` says why.

    A pruned one's value is its last report, None where that was NaN, as Optuna has it.
    """

    number: int
    value: float | None
    curve: Sequence[float] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    reason: str | None = None
    pruned: bool = False
    further_values: Sequence[float] = ()  # of the objectives after the first

    @property
    def state(self) -> TrialState:
        """As what the study keeps it."""
        if self.pruned:
            return TrialState.PRUNED
        return TrialState.FAIL if self.value is None else TrialState.COMPLETE


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


def create_study(
    transaction: Connection, name: str, maximise: Sequence[bool], attributes: Mapping[str, Any]
) -> int:
    """An empty study with as many objectives as `maximise` is long; its id.

    `attributes` are shown by the dashboard.
    """
    study_id = transaction.execute(
        sa.insert(_studies).values(study_name=name).returning(_studies.c.study_id)
    ).scalar_one()
    directions = [
        {
            "study_id": study_id,
            "direction": StudyDirection.MAXIMIZE if more else StudyDirection.MINIMIZE,
            "objective": objective,
        }
        for objective, more in enumerate(maximise)
    ]
    transaction.execute(sa.insert(_directions), directions)
    rows = [
        {"study_id": study_id, "key": key, "value_json": json.dumps(value)}
        for key, value in attributes.items()
    ]
    if rows:
        transaction.execute(sa.insert(_study_attributes), rows)
    return int(study_id)


def reserve_trials(
    transaction: Connection,
    study_id: int,
    params: Sequence[Params],
    distributions: Mapping[str, BaseDistribution],
) -> int:
    """Write one RUNNING trial for each set of parameters; the first of their numbers."""
    _lock(transaction, study_id)
    highest = transaction.execute(_HIGHEST_NUMBER, {"study": study_id}).scalar()
    first = 0 if highest is None else int(highest) + 1
    ids = _new_trial_ids(transaction, len(params))
    started = moment_text(current_time(transaction))
    insert_rows(
        transaction,
        _trials,
        ("trial_id", "number", "study_id", "state", "datetime_start"),
        [
            (trial_id, first + index, study_id, TrialState.RUNNING.name, started)
            for index, trial_id in enumerate(ids)
        ],
    )
    texts = {name: _distribution_text(item) for name, item in distributions.items()}
    insert_rows(
        transaction,
        _params,
        ("trial_id", "param_name", "param_value", "distribution_json"),
        [
            (trial_id, name, float(distributions[name].to_internal_repr(value)), texts[name])
            for trial_id, configuration in zip(ids, params, strict=True)
            for name, value in configuration.items()
        ],
    )
    return first


def add_trials(transaction: Connection, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    """Finished trials from elsewhere, with the next numbers, in their order."""
    _lock(transaction, study_id)
    highest = transaction.execute(_HIGHEST_NUMBER, {"study": study_id}).scalar()
    first = 0 if highest is None else int(highest) + 1
    ids = _new_trial_ids(transaction, len(trials))
    known = list(zip(ids, trials, strict=True))
    insert_rows(
        transaction,
        _trials,
        ("trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"),
        [
            (id_, first + index, study_id, trial.state.name, *_moments(trial))
            for index, (id_, trial) in enumerate(known)
        ],
    )
    params = [
        (id_, name, float(item.to_internal_repr(trial.params[name])), _distribution_text(item))
        for id_, trial in known
        for name, item in trial.distributions.items()
    ]
    columns = ("trial_id", "param_name", "param_value", "distribution_json")
    insert_rows(transaction, _params, columns, params)
    values = [
        (id_, objective, *_stored(value))
        for id_, trial in known
        for objective, value in enumerate(trial.values or ())
    ]
    insert_rows(transaction, _values, ("trial_id", "objective", "value", "value_type"), values)
    points = [
        (id_, step, point)
        for id_, trial in known
        for step, point in trial.intermediate_values.items()
    ]
    _insert_points(transaction, points)
    attributes = [
        (id_, key, json.dumps(value))
        for id_, trial in known
        for key, value in trial.user_attrs.items()
    ]
    insert_rows(transaction, _attributes, ("trial_id", "key", "value_json"), attributes)


def _moments(trial: FrozenTrial) -> list[str | None]:
    """Optuna shows local times and keeps naive UTC."""
    moments = (trial.datetime_start, trial.datetime_complete)
    return [moment_text(moment.timestamp()) if moment else None for moment in moments]


def finish_trials(transaction: Connection, study_id: int, outcomes: Sequence[Outcome]) -> set[int]:
    """Finish those of the trials that are still RUNNING; the numbers of those."""
    by_number = {outcome.number: outcome for outcome in outcomes}
    if not by_number:
        return set()
    ids = {
        trial_id: by_number[number]
        for trial_id, number in _running(transaction, study_id, min(by_number), max(by_number))
        if number in by_number
    }
    finished = moment_text(current_time(transaction))
    update_rows(
        transaction,
        _trials,
        ("state", "datetime_complete", "trial_id"),
        [(outcome.state.name, finished, trial_id) for trial_id, outcome in ids.items()],
    )
    _insert_results(transaction, ids)
    return {outcome.number for outcome in ids.values()}


def fail_running(transaction: Connection, study_id: int, first: int, size: int, reason: str) -> int:
    """FAIL every trial of the population that is still RUNNING; how many there were."""
    numbers = range(first, first + size)
    outcomes = [Outcome(number, None, reason=reason) for number in numbers]
    return len(finish_trials(transaction, study_id, outcomes))


def report_trials(
    transaction: Connection, study_id: int, curves: Mapping[int, Sequence[float]]
) -> None:
    """What trials that are still RUNNING have reached so far, by number, from step 1 on.

    Steps that are in the study stay as they are.
    """
    if not curves:
        return
    running = _running(transaction, study_id, min(curves), max(curves))
    numbers = {trial_id: number for trial_id, number in running if number in curves}
    last_steps = transaction.execute(
        sa.select(_curves.c.trial_id, sa.func.max(_curves.c.step).label("step"))
        .where(_curves.c.trial_id.in_(list(numbers)))
        .group_by(_curves.c.trial_id)
    )
    reported: dict[int, int] = {row.trial_id: row.step for row in last_steps}
    points = [
        (trial_id, step, point)
        for trial_id, number in numbers.items()
        for step, point in enumerate(curves[number], start=1)
        if step > reported.get(trial_id, 0)
    ]
    _insert_points(transaction, points)


def _insert_results(transaction: Connection, outcomes: Mapping[int, Outcome]) -> None:
    # Reports of a trial in training are replaced by its whole curve: settling moves a point of it.
    delete_rows(transaction, _curves, "trial_id", list(outcomes))
    insert_rows(
        transaction,
        _values,
        ("trial_id", "objective", "value", "value_type"),
        [
            (trial_id, objective, *_stored(value))
            for trial_id, outcome in outcomes.items()
            if outcome.value is not None
            for objective, value in enumerate((outcome.value, *outcome.further_values))
        ],
    )
    points = [
        (trial_id, step, point)
        for trial_id, outcome in outcomes.items()
        for step, point in enumerate(outcome.curve, start=1)
    ]
    _insert_points(transaction, points)
    insert_rows(
        transaction,
        _attributes,
        ("trial_id", "key", "value_json"),
        [
            (trial_id, key, json.dumps(value))
            for trial_id, outcome in outcomes.items()
            for key, value in _attributes_of(outcome).items()
        ],
    )


def _insert_points(transaction: Connection, points: Iterable[tuple[int, int, float]]) -> None:
    insert_rows(
        transaction,
        _curves,
        ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
        [(trial_id, step, *_stored(value)) for trial_id, step, value in points],
    )


def _attributes_of(outcome: Outcome) -> Mapping[str, Any]:
    return (
        {**outcome.attributes, "reason": outcome.reason} if outcome.reason else outcome.attributes
    )


def _stored(value: float) -> tuple[float | None, str]:
    """A number and its kind, as both of Optuna's tables of numbers keep them."""
    if math.isfinite(value):
        return float(value), "FINITE"
    if math.isnan(value):
        return None, "NAN"
    return None, "INF_POS" if value > 0 else "INF_NEG"


def _running(
    transaction: Connection, study_id: int, first: int, last: int
) -> list[tuple[int, int]]:
    """Id and number of the RUNNING trials among these numbers, held until the commit."""
    found = transaction.execute(_RUNNING, {"study": study_id, "first": first, "last": last})
    return [(row.trial_id, row.number) for row in found]


def _lock(transaction: Connection, study_id: int) -> None:
    """Hold the study's row until the commit; on SQLite the transaction holds everything."""
    transaction.execute(_LOCKED_STUDY, {"study": study_id}).scalar_one()


def _new_trial_ids(transaction: Connection, count: int) -> list[int]:
    if transaction.dialect.name == "sqlite":
        highest = transaction.execute(_HIGHEST_ID).scalar() or 0
        return list(range(highest + 1, highest + 1 + count))
    return list(transaction.execute(_NEXT_IDS, {"count": count}).scalars())


@lru_cache(maxsize=1024)
def _distribution_text(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)


# Built once: to build a statement takes SQLAlchemy longer than to run it.
_study = sa.bindparam("study", type_=sa.Integer)
_LOCKED_STUDY = (
    sa.select(_studies.c.study_id).where(_studies.c.study_id == _study).with_for_update()
)
# Optuna numbers a trial by counting those before it; numbers have no gaps.
_HIGHEST_NUMBER = sa.select(sa.func.max(_trials.c.number)).where(_trials.c.study_id == _study)
_HIGHEST_ID = sa.select(sa.func.max(_trials.c.trial_id))
_NEXT_IDS = sa.select(
    sa.func.nextval(sa.func.pg_get_serial_sequence("trials", "trial_id"))
).select_from(sa.func.generate_series(1, sa.bindparam("count", type_=sa.Integer)).table_valued("n"))
_RUNNING = (
    sa.select(_trials.c.trial_id, _trials.c.number)
    .where(
        _trials.c.study_id == _study,
        _trials.c.number.between(
            sa.bindparam("first", type_=sa.Integer), sa.bindparam("last", type_=sa.Integer)
        ),
        _trials.c.state == TrialState.RUNNING,
    )
    .order_by(_trials.c.number)
    .with_for_update()
)


# --- reading ----------------------------------------------------------------------------------


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
                trial.points[step] = _point(value, kind)
    return list(found.values())


_point = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value


def complete_trials(transaction: Connection, study_id: int) -> list[StudyTrial]:
    """Every COMPLETE trial with its attributes, in the order of numbers."""
    complete = _trials.c.state == TrialState.COMPLETE
    return _read(transaction, study_id, complete, attributes=True)


def _best_trials(study_id: int, state: TrialState | None) -> sa.Select[Any]:
    is_first = (_values.c.trial_id == _trials.c.trial_id) & (_values.c.objective == 0)
    query = (
        sa.select(_trials, _values.c.value, ranked_trials.c.signed_value)
        .select_from(
            ranked_trials.join(_trials, _trials.c.trial_id == ranked_trials.c.trial_id).join(
                _values, is_first
            )
        )
        .where(ranked_trials.c.study_id == study_id)
    )
    return query if state is None else query.where(_trials.c.state == state)


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
    rank = (ranked_trials.c.signed_value, ranked_trials.c.trial_id)
    valued: list[Row[Any]] = []
    past: float | None = None
    if after is None or not after[0]:
        # Their order comes first: SQLite moves no table to the other side of an outer join.
        best = _best_trials(study_id, state).order_by(*rank).limit(limit)
        if after is not None:
            best = best.where(sa.tuple_(*rank) > sa.tuple_(*map(sa.literal, after[1:])))
        valued = list(transaction.execute(best))
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
