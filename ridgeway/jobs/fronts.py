"""The Pareto front of a job: the trials that no other beats in every objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from sqlalchemy.engine import Connection

from ridgeway.jobs.own_trials import own_numbers
from ridgeway.jobs.rows import read_job
from ridgeway.jobs.stored import read_spec
from ridgeway.spec.directions import as_loss
from ridgeway.study import questions, reading
from ridgeway.views import Front, FrontTrial


def find_front(transaction: Connection, job_id: str) -> Front:
    """Return the job's own COMPLETE trials on the front, from the best in the first objective.

    Unreadable for a job whose spec another release wrote.
    """
    row = read_job(transaction, job_id)
    spec, study_id = read_spec(row.spec), row.study_id
    own = own_numbers(transaction, job_id)
    values = questions.complete_values(transaction, study_id)
    losses = {
        number: tuple(map(as_loss, of_trial, spec.directions))
        for number, of_trial in values.items()
        if number in own
    }
    front = pareto_front(losses)
    params = reading.params_of(transaction, study_id, front)
    return Front(
        objectives=[spec.objective, *spec.further_objectives],
        trials=[
            FrontTrial(number=number, values=values[number], params=params[number])
            for number in front
        ],
    )


def pareto_front(losses: Mapping[int, Sequence[float]]) -> list[int]:
    """Return the numbers whose losses, one or two each, none other dominates; the lowest first.

    A point is dominated where another is no worse in every objective and better in one; equal
    points stay together.
    """
    front: list[int] = []
    lowest = inf  # second loss of the points so far, whose first losses are no higher
    last: Sequence[float] | None = None
    for number in sorted(losses, key=lambda number: (*losses[number], number)):
        point = losses[number]
        second = point[1] if len(point) > 1 else 0.0
        if second < lowest or point == last:
            front.append(number)
            lowest, last = second, point
    return front
