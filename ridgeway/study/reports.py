"""Reports of trials in training, at the steps that a pruner looks at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.study.optuna_tables import curves as _curves
from ridgeway.study.optuna_tables import point_of
from ridgeway.study.optuna_tables import trials as _trials


@dataclass(frozen=True)
class Reported:
    """A trial's state and what it reported, by step."""

    id: int
    number: int
    state: TrialState
    points: dict[int, float]


def new_reports(
    transaction: Connection,
    study_id: int,
    steps: Sequence[int],
    after_id: int,
    unfinished: Iterable[int],
) -> list[Reported]:
    """Read reports at these steps, of trials created after `after_id` and of the `unfinished`."""
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
