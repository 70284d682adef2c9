"""Optuna's tables, written: whole populations at a time.

Stock Optuna reads and continues these studies, so every row is written as `RDBStorage` (Optuna
5.0, schema v3.2.0.a) writes it. The study's row is locked around the allocation of ids and
numbers: Optuna's cache misses a lower id that is committed after a higher one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import Connection

from ridgeway.answers import Params
from ridgeway.database.clock import now
from ridgeway.study.bulk import Batch, delete_rows, insert_rows, moment_text
from ridgeway.study.facts import NO_FACTS, TrialFacts
from ridgeway.study.optuna_tables import attributes as _attributes
from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import directions as _directions
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import studies as _studies
from ridgeway.study.optuna_tables import study_attributes as _study_attributes
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values

_POINT = ("trial_id", "step", "intermediate_value", "intermediate_value_type")


@dataclass(frozen=True)
class Outcome:
    """The result of one trial: a failed one has no `value`, and `reason` says why.

    A pruned one's value is its last report, None where that was NaN, as Optuna has it. What
    Optuna's tables keep of it is laid out at once, not while a transaction makes others wait.
    """

    number: int
    value: float | None
    curve: Sequence[float] = ()
    facts: TrialFacts = NO_FACTS
    reason: str | None = None
    pruned: bool = False
    further_values: Sequence[float] = ()  # of the objectives after the first
    value_rows: Sequence[tuple[Any, ...]] = field(init=False, repr=False, compare=False)
    curve_rows: Sequence[tuple[Any, ...]] = field(init=False, repr=False, compare=False)
    attribute_rows: Sequence[tuple[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        values = () if self.value is None else (self.value, *self.further_values)
        reason = {"reason": self.reason} if self.reason else {}
        attributes = {**self.facts.attributes(), **reason}
        rows = {
            "value_rows": [(index, *_stored(value)) for index, value in enumerate(values)],
            "curve_rows": _points(self.curve),
            "attribute_rows": [(key, json.dumps(value)) for key, value in attributes.items()],
        }
        for name, laid_out in rows.items():
            object.__setattr__(self, name, laid_out)  # the dataclass is frozen

    @property
    def state(self) -> TrialState:
        """Return the state in which the study keeps the trial."""
        if self.pruned:
            return TrialState.PRUNED
        return TrialState.FAIL if self.value is None else TrialState.COMPLETE


def create_study(
    transaction: Connection, name: str, maximise: Sequence[bool], attributes: Mapping[str, Any]
) -> int:
    """Make an empty study with as many objectives as `maximise` is long; return its id.

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
    """Write one RUNNING trial for each set of parameters; return the first of their numbers."""
    ids, first, started = places(transaction, study_id, len(params))
    texts = {name: _distribution_text(item) for name, item in distributions.items()}
    running = TrialState.RUNNING.name
    with Batch(transaction) as batch:
        batch.insert(
            _trials,
            ("trial_id", "number", "study_id", "state", "datetime_start"),
            [(id_, first + index, study_id, running, started) for index, id_ in enumerate(ids)],
        )
        batch.insert(
            _params,
            ("trial_id", "param_name", "param_value", "distribution_json"),
            [
                (id_, name, float(distributions[name].to_internal_repr(value)), texts[name])
                for id_, configuration in zip(ids, params, strict=True)
                for name, value in configuration.items()
            ],
        )
    return first


def add_trials(transaction: Connection, study_id: int, trials: Sequence[FrozenTrial]) -> None:
    """Add finished trials from elsewhere, with the next numbers, in their order."""
    ids, first, _ = places(transaction, study_id, len(trials))
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
        (id_, step, *_stored(point))
        for id_, trial in known
        for step, point in trial.intermediate_values.items()
    ]
    insert_rows(transaction, _curves, _POINT, points)
    attributes = [
        (id_, key, json.dumps(value))
        for id_, trial in known
        for key, value in trial.user_attrs.items()
    ]
    insert_rows(transaction, _attributes, ("trial_id", "key", "value_json"), attributes)


def _moments(trial: FrozenTrial) -> list[str | None]:
    """Return when the trial began and ended; Optuna shows local times and keeps naive UTC."""
    moments = (trial.datetime_start, trial.datetime_complete)
    return [moment_text(moment.timestamp()) if moment else None for moment in moments]


def finish_trials(transaction: Connection, study_id: int, outcomes: Sequence[Outcome]) -> set[int]:
    """Finish those of the trials that are still RUNNING; return their numbers."""
    by_number = {outcome.number: outcome for outcome in outcomes}
    if not by_number:
        return set()
    running = _running(transaction, study_id, min(by_number), max(by_number))
    ids = {row.trial_id: by_number[row.number] for row in running if row.number in by_number}
    if not ids:
        return set()
    finished = moment_text(running[0].now)
    # Reports of a trial in training are replaced by its whole curve: settling moves a point of it.
    delete_rows(transaction, _curves, "trial_id", list(ids))
    with Batch(transaction) as batch:
        states = [(outcome.state.name, finished, id_) for id_, outcome in ids.items()]
        batch.update(_trials, ("state", "datetime_complete", "trial_id"), states)
        _insert_results(batch, ids)
    return {outcome.number for outcome in ids.values()}


def fail_running(transaction: Connection, study_id: int, first: int, size: int, reason: str) -> int:
    """Fail every trial of the population that is still RUNNING; return how many there were."""
    numbers = range(first, first + size)
    outcomes = [Outcome(number, None, reason=reason) for number in numbers]
    return len(finish_trials(transaction, study_id, outcomes))


def report_trials(
    transaction: Connection, study_id: int, curves: Mapping[int, Sequence[float]]
) -> None:
    """Write what trials still RUNNING have reached so far, by number, from step 1 on.

    Steps that are in the study stay as they are.
    """
    if not curves:
        return
    running = _running(transaction, study_id, min(curves), max(curves))
    numbers = {row.trial_id: row.number for row in running if row.number in curves}
    last_steps = transaction.execute(
        sa.select(_curves.c.trial_id, sa.func.max(_curves.c.step).label("step"))
        .where(_curves.c.trial_id.in_(list(numbers)))
        .group_by(_curves.c.trial_id)
    )
    reported: dict[int, int] = {row.trial_id: row.step for row in last_steps}
    points = [
        (trial_id, *point)
        for trial_id, number in numbers.items()
        for point in _points(curves[number])[reported.get(trial_id, 0) :]
    ]
    insert_rows(transaction, _curves, _POINT, points)


def _insert_results(batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
    known = outcomes.items()
    values = [(trial_id, *row) for trial_id, outcome in known for row in outcome.value_rows]
    batch.insert(_values, ("trial_id", "objective", "value", "value_type"), values)
    points = [(trial_id, *row) for trial_id, outcome in known for row in outcome.curve_rows]
    batch.insert(_curves, _POINT, points)
    texts = [(trial_id, *row) for trial_id, outcome in known for row in outcome.attribute_rows]
    batch.insert(_attributes, ("trial_id", "key", "value_json"), texts)


def _points(curve: Sequence[float]) -> list[tuple[Any, ...]]:
    """Return the steps, from 1 on, with what was reported at them."""
    return [(step, *_stored(point)) for step, point in enumerate(curve, start=1)]


def _stored(value: float) -> tuple[float | None, str]:
    """Return a number and its kind, as both of Optuna's tables of numbers keep them."""
    if math.isfinite(value):
        return float(value), "FINITE"
    if math.isnan(value):
        return None, "NAN"
    return None, "INF_POS" if value > 0 else "INF_NEG"


def _running(transaction: Connection, study_id: int, first: int, last: int) -> Sequence[Any]:
    """Lock the RUNNING trials among these numbers; each row has the database's time, too."""
    return transaction.execute(_RUNNING, {"study": study_id, "first": first, "last": last}).all()


def places(transaction: Connection, study_id: int, count: int) -> tuple[list[int], int, str]:
    """Allocate ids of new trials, the first of their numbers and the moment, until the commit."""
    if transaction.dialect.name == "sqlite":  # whose transaction holds everything
        row = transaction.execute(_SQLITE_PLACES, {"study": study_id}).one()
        ids = list(range(row.id, row.id + count))
    else:
        transaction.execute(_LOCKED_STUDY, {"study": study_id})
        row = transaction.execute(_POSTGRESQL_PLACES, {"study": study_id, "count": count}).one()
        ids = list(row.ids)
    return ids, row.number, moment_text(row.now)


@lru_cache(maxsize=1024)
def _distribution_text(distribution: BaseDistribution) -> str:
    return distribution_to_json(distribution)


# Built once: to build a statement takes SQLAlchemy longer than to run it.
_study = sa.bindparam("study", type_=sa.Integer)
_LOCKED_STUDY = (
    sa.select(_studies.c.study_id).where(_studies.c.study_id == _study).with_for_update()
)
# Optuna numbers a trial by counting those before it; numbers have no gaps.
_NUMBER = (
    sa.select((sa.func.coalesce(sa.func.max(_trials.c.number), -1) + 1).label("number"))
    .where(_trials.c.study_id == _study)
    .scalar_subquery()
)
_SQLITE_PLACES = sa.select(
    _NUMBER.label("number"),
    sa.select(sa.func.coalesce(sa.func.max(_trials.c.trial_id), 0) + 1)
    .scalar_subquery()
    .label("id"),
    now().label("now"),
)
# After the study's row is locked: a statement sees what was committed before it began.
_POSTGRESQL_PLACES = sa.select(
    _NUMBER.label("number"),
    sa.func.array(
        sa.select(sa.func.nextval(sa.func.pg_get_serial_sequence("trials", "trial_id")))
        .select_from(
            sa.func.generate_series(1, sa.bindparam("count", type_=sa.Integer)).table_valued("n")
        )
        .scalar_subquery()
    ).label("ids"),
    now().label("now"),
)
_RUNNING = (
    sa.select(_trials.c.trial_id, _trials.c.number, now().label("now"))
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
