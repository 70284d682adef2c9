"""Optuna's tables: the only file that knows them. Whole populations in, whole populations out.

Stock Optuna reads and continues these studies, so every row is written as `RDBStorage` (Optuna
5.0, schema v3.2.0.a) writes it. The study's row is locked around the allocation of ids and
numbers: Optuna's cache misses a lower id that is committed after a higher one.
"""

from __future__ import annotations

import json
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
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Row

from ridgeway.database import current_time
from ridgeway.views import Params

_studies: sa.Table = models.StudyModel.__table__
_directions: sa.Table = models.StudyDirectionModel.__table__
_study_attributes: sa.Table = models.StudyUserAttributeModel.__table__
_trials: sa.Table = models.TrialModel.__table__
_params: sa.Table = models.TrialParamModel.__table__
_values: sa.Table = models.TrialValueModel.__table__
_curves: sa.Table = models.TrialIntermediateValueModel.__table__
_attributes: sa.Table = models.TrialUserAttributeModel.__table__

_FINITE = models.TrialValueModel.TrialValueType.FINITE
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
    transaction: Connection, name: str, maximise: bool, attributes: Mapping[str, Any]
) -> int:
    """An empty study; its id. `attributes` are shown by the dashboard."""
    study_id = transaction.execute(
        sa.insert(_studies).values(study_name=name).returning(_studies.c.study_id)
    ).scalar_one()
    direction = StudyDirection.MAXIMIZE if maximise else StudyDirection.MINIMIZE
    transaction.execute(
        sa.insert(_directions).values(study_id=study_id, direction=direction, objective=0)
    )
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
    counted = sa.select(sa.func.count()).where(_trials.c.study_id == study_id)
    first = int(transaction.execute(counted).scalar_one())
    ids = _new_trial_ids(transaction, len(params))
    started = _datetime(current_time(transaction))
    transaction.execute(
        sa.insert(_trials),
        [
            {
                "trial_id": trial_id,
                "number": first + index,
                "study_id": study_id,
                "state": TrialState.RUNNING,
                "datetime_start": started,
            }
            for index, trial_id in enumerate(ids)
        ],
    )
    texts = {name: distribution_to_json(item) for name, item in distributions.items()}
    rows = [
        {
            "trial_id": trial_id,
            "param_name": name,
            "param_value": distributions[name].to_internal_repr(value),
            "distribution_json": texts[name],
        }
        for trial_id, configuration in zip(ids, params, strict=True)
        for name, value in configuration.items()
    ]
    if rows:
        transaction.execute(sa.insert(_params), rows)
    return first


def finish_trials(transaction: Connection, study_id: int, outcomes: Sequence[Outcome]) -> set[int]:
    """Finish those of the trials that are still RUNNING; the numbers of those."""
    by_number = {outcome.number: outcome for outcome in outcomes}
    finished = _datetime(current_time(transaction))
    changed: dict[int, Outcome] = {}
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        numbers = [outcome.number for outcome in outcomes if outcome.state == state]
        if not numbers:
            continue
        rows = transaction.execute(
            sa.update(_trials)
            .where(
                _trials.c.study_id == study_id,
                _trials.c.number.in_(numbers),
                _trials.c.state == TrialState.RUNNING,
            )
            .values(state=state, datetime_complete=finished)
            .returning(_trials.c.trial_id, _trials.c.number)
        )
        changed |= {trial_id: by_number[number] for trial_id, number in rows}
    _insert_results(transaction, changed)
    return {outcome.number for outcome in changed.values()}


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
    rows = transaction.execute(
        sa.select(_trials.c.trial_id, _trials.c.number, sa.func.max(_curves.c.step).label("last"))
        .select_from(_trials.outerjoin(_curves, _curves.c.trial_id == _trials.c.trial_id))
        .where(
            _trials.c.study_id == study_id,
            _trials.c.number.in_(list(curves)),
            _trials.c.state == TrialState.RUNNING,
        )
        .group_by(_trials.c.trial_id, _trials.c.number)
    ).all()
    points = [
        {"trial_id": row.trial_id, "step": step, **_stored_point(point)}
        for row in rows
        for step, point in enumerate(curves[row.number], start=1)
        if step > (row.last or 0)
    ]
    if points:
        transaction.execute(sa.insert(_curves), points)


def _insert_results(transaction: Connection, outcomes: Mapping[int, Outcome]) -> None:
    # Reports of a trial in training are replaced by its whole curve: settling moves a point of it.
    transaction.execute(sa.delete(_curves).where(_curves.c.trial_id.in_(list(outcomes))))
    values = [
        {"trial_id": id_, "objective": 0, "value": outcome.value, "value_type": _FINITE}
        for id_, outcome in outcomes.items()
        if outcome.value is not None
    ]
    curves = [
        {"trial_id": id_, "step": step, **_stored_point(point)}
        for id_, outcome in outcomes.items()
        for step, point in enumerate(outcome.curve, start=1)
    ]
    attributes = [
        {"trial_id": id_, "key": key, "value_json": json.dumps(value)}
        for id_, outcome in outcomes.items()
        for key, value in _attributes_of(outcome).items()
    ]
    for table, rows in ((_values, values), (_curves, curves), (_attributes, attributes)):
        if rows:
            transaction.execute(sa.insert(table), rows)


def _attributes_of(outcome: Outcome) -> dict[str, Any]:
    reason = {"reason": outcome.reason} if outcome.reason else {}
    return {**outcome.attributes, **reason}


def _stored_point(point: float) -> dict[str, Any]:
    value, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(point)
    return {"intermediate_value": value, "intermediate_value_type": kind}


def _lock(transaction: Connection, study_id: int) -> None:
    """Hold the study's row until the commit; on SQLite the transaction holds everything."""
    query = sa.select(_studies.c.study_id).where(_studies.c.study_id == study_id)
    transaction.execute(query.with_for_update()).scalar_one()


def _new_trial_ids(transaction: Connection, count: int) -> list[int]:
    if transaction.dialect.name == "sqlite":
        highest = transaction.execute(sa.select(sa.func.max(_trials.c.trial_id))).scalar() or 0
        return list(range(highest + 1, highest + 1 + count))
    sequence = sa.func.pg_get_serial_sequence("trials", "trial_id")
    series = sa.func.generate_series(1, count).table_valued("n")
    return list(
        transaction.execute(sa.select(sa.func.nextval(sequence)).select_from(series)).scalars()
    )


def _datetime(seconds: float) -> datetime:
    """Optuna keeps naive UTC."""
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


# --- reading ----------------------------------------------------------------------------------


def trials_in(transaction: Connection, study_id: int, first: int, size: int) -> list[StudyTrial]:
    """The trials with numbers first ... first + size - 1, in the order of their numbers."""
    inside = _trials.c.number.between(first, first + size - 1)
    return _read(transaction, study_id, inside)


def new_trials(
    transaction: Connection, study_id: int, after_id: int, unfinished: Iterable[int]
) -> list[StudyTrial]:
    """Trials that a mirror lacks: created after `after_id`, or seen unfinished and now finished."""
    fresh = _read(transaction, study_id, _trials.c.trial_id > after_id)
    ended = _trials.c.trial_id.in_(list(unfinished)) & _trials.c.state.in_(
        [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    )
    return _read(transaction, study_id, ended) + fresh


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


def trial_page(
    transaction: Connection,
    study_id: int,
    *,
    state: TrialState | None,
    order: TrialOrder,
    after: Sequence[float] | None,
    limit: int,
) -> tuple[list[StudyTrial], list[float] | None]:
    """Up to `limit` trials past the place `after`, and the place to go on from, if there is more.

    Ordered by number, or from the best value to the worst with the valueless last. A place is
    (number,) or (valueless, signed value, number).
    """
    columns = _order_columns(transaction, study_id, order)
    query = _trials_with_values(study_id).order_by(*columns).limit(limit + 1)
    if state is not None:
        query = query.where(_trials.c.state == state)
    if after is not None:
        query = query.where(sa.tuple_(*columns) > sa.tuple_(*map(sa.literal, after)))
    rows = transaction.execute(
        query.add_columns(*(c.label(f"k{i}") for i, c in enumerate(columns)))
    ).all()
    page = rows[:limit]
    more = len(rows) > limit
    place = [getattr(page[-1], f"k{i}") for i in range(len(columns))] if more else None
    return _assemble(transaction, page, attributes=True), place


def _order_columns(
    transaction: Connection, study_id: int, order: TrialOrder
) -> list[sa.ColumnElement[Any]]:
    if order == "number":
        return [_trials.c.number]
    direction = transaction.execute(
        sa.select(_directions.c.direction).where(_directions.c.study_id == study_id)
    ).scalar_one()
    sign = -1.0 if direction == StudyDirection.MAXIMIZE else 1.0
    valueless = sa.case((_values.c.value.is_(None), 1), else_=0)
    return [valueless, sa.func.coalesce(_values.c.value * sign, 0.0), _trials.c.number]


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
