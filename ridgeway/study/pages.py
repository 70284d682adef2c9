"""Pages of a study's trials, by number or from the best value to the worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from optuna.trial import TrialState
from sqlalchemy.engine import Connection, Row

from ridgeway.database.tables import ranked_trials
from ridgeway.study.optuna_tables import trials as _trials
from ridgeway.study.optuna_tables import values as _values
from ridgeway.study.reading import StudyTrial, assemble, trials_with_values

TrialOrder: TypeAlias = Literal["number", "value"]


def trial_page(
    transaction: Connection,
    study_id: int,
    *,
    state: TrialState | None,
    order: TrialOrder,
    after: Sequence[float] | None,
    limit: int,
) -> tuple[list[StudyTrial], Sequence[float] | None]:
    """Read up to `limit` trials past the place `after`; return the place to go on from, too.

    Ordered by number, or from the best value to the worst with the valueless last. A place is
    (number,) or (valueless, signed value, id).
    """
    query = trials_with_values(study_id)
    if state is not None:
        query = query.where(_trials.c.state == state)
    if order == "number":
        past = None if after is None else after[0]
        rows = _numbered(transaction, query, past, limit + 1)
        places: list[Sequence[float]] = [(row.number,) for row in rows]
    else:
        rows, places = _ranked(transaction, study_id, query, state, after, limit + 1)
    place = places[limit - 1] if len(rows) > limit else None
    return assemble(transaction, rows[:limit], attributes=True), place


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
    """Read trials from the best value on, then those without one by id, each with its place."""
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
    """Select trials with a value, from the best on, past the place (signed value, id).

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
