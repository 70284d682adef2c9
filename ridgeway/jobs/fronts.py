"""The Pareto front of a job: the trials that no other beats in every objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from sqlalchemy.engine import Connection

from ridgeway.jobs.holding import own_numbers
from ridgeway.jobs.lookups import find_job, study_of
from ridgeway.study import questions, reading
from ridgeway.views import Front, FrontTrial


def find_front(transaction: Connection, job_id: str) -> Front:
    """The job's own COMPLETE trials on the front, from the best in the first objective on."""
    spec = find_job(transaction, job_id).spec
    study_id = study_of(transaction, job_id)
    own = {number for numbers in own_numbers(transaction, job_id) for number in numbers}
    values = questions.complete_values(transaction, study_id)
    signs = [-1.0 if maximise else 1.0 for maximise in spec.directions]
    losses = {
        number: tuple(sign * value for sign, value in zip(signs, of_trial, strict=True))
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
    """Numbers whose losses, one or two each, are dominated by none other's; the lowest first.

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
