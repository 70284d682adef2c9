"""Histories for samplers, read from Optuna's tables in slices: no object per trial outlives it.

Values and parameters are as the tables keep them, parameters in Optuna's internal representation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import params as _params
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values

SLICE = 2000  # trials read by one statement
_INFINITE = {"INF_POS": float("inf"), "INF_NEG": float("-inf")}


@dataclass(frozen=True)
class Taught:
    """A trial: `params` are (name, internal value, distribution as JSON).

    `value` is None where there is none; `last_step` is the last one that a pruned trial reported.
    """

    id: int
    number: int
    state: TrialState
    value: float | None
    last_step: int
    params: Sequence[tuple[str, float, str]]


def new_lessons(
    transaction: Connection, study_id: int, after_id: int, unfinished: Iterable[int]
) -> Iterator[Taught]:
    """Read those of `unfinished` that have ended, then the trials created after `after_id`."""
    rest = iter(sorted(unfinished))
    while ids := list(islice(rest, SLICE)):
        ended = _trials.c.state.in_([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
        yield from _lessons(transaction, study_id, _trials.c.trial_id.in_(ids) & ended)
    while True:
        lessons = _lessons(transaction, study_id, _trials.c.trial_id > after_id)
        yield from lessons
        if len(lessons) < SLICE:
            return
        after_id = lessons[-1].id


def _lessons(transaction: Connection, study_id: int, which: sa.ColumnElement[bool]) -> list[Taught]:
    found = (_trials.c.study_id == study_id) & which
    rows = transaction.execute(_SLICE.where(found)).all()
    if not rows:
        return []
    inside = found & _trials.c.trial_id.between(rows[0].trial_id, rows[-1].trial_id)
    params: defaultdict[int, list[tuple[str, float, str]]] = defaultdict(list)
    for id_, name, value, text in transaction.execute(_PARAMS.where(inside)):
        params[id_].append((name, value, text))
    pruned = inside & (_trials.c.state == TrialState.PRUNED)
    steps: dict[int, int] = {
        id_: step for id_, step in transaction.execute(_LAST_STEPS.where(pruned))
    }
    return [
        Taught(
            id=row.trial_id,
            number=row.number,
            state=TrialState[row.state],
            value=_INFINITE.get(row.value_type, row.value),
            last_step=steps.get(row.trial_id, 0),
            params=params[row.trial_id],
        )
        for row in rows
    ]


# Built once: to build a statement takes SQLAlchemy longer than to run it. Enums come as their
# names: to make an object of each costs more than to read it.
_SLICE = (
    sa.select(
        _trials.c.trial_id,
        _trials.c.number,
        sa.type_coerce(_trials.c.state, sa.String).label("state"),
        _values.c.value,
        sa.type_coerce(_values.c.value_type, sa.String).label("value_type"),
    )
    .select_from(
        _trials.outerjoin(
            _values, (_values.c.trial_id == _trials.c.trial_id) & (_values.c.objective == 0)
        )
    )
    .order_by(_trials.c.trial_id)
    .limit(SLICE)
)
_PARAMS = (
    sa.select(
        _params.c.trial_id, _params.c.param_name, _params.c.param_value, _params.c.distribution_json
    )
    .join_from(_params, _trials, _params.c.trial_id == _trials.c.trial_id)
    .order_by(_params.c.param_id)
)
_LAST_STEPS = (
    sa.select(_curves.c.trial_id, sa.func.max(_curves.c.step))
    .join_from(_curves, _trials, _curves.c.trial_id == _trials.c.trial_id)
    .group_by(_curves.c.trial_id)
)
