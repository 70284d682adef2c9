"""A path job beside a job that has succeeded: another penalty on the same folds."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection, Row

from ridgeway.answers import Params
from ridgeway.errors import Conflict, NotFound
from ridgeway.jobs.datasets import name_now
from ridgeway.jobs.rows import read_job, require_state
from ridgeway.jobs.stored import read_recommended, read_spec
from ridgeway.spec.notify import Notification
from ridgeway.spec.paths import PathRequest, mixing, path_of
from ridgeway.spec.refits import refit_beside
from ridgeway.spec.space import OF_PENALTIES, dimensions
from ridgeway.spec.spec import JobSpec, Search
from ridgeway.study.reading import trials_numbered


def path_beside(transaction: Connection, job_id: str, asked: PathRequest) -> JobSpec:
    """Return the spec of a path of this penalty, with all else as in the job and its answer.

    Rate, decay and whatever else the job searched are those of its best trial of the penalty, or of
    the best of all where the penalty was not searched. InvalidInput for a penalty without a path,
    Conflict for a job that has not succeeded, or whose data are gone.
    """
    row = read_job(transaction, job_id)
    require_state(row, "trace a path of", "succeeded")
    ratio = mixing(asked.penalty, asked.l1_ratio)
    spec = read_spec(row.spec)
    refit = refit_beside(spec.refit, asked.penalty)
    spec = spec.model_copy(update={"refit": refit, "notify": list[Notification]()})
    try:
        spec = spec.model_copy(update={"dataset": name_now(transaction, row)})
    except NotFound as error:
        raise Conflict(f"The job's data set is gone: {error}") from None
    params = _best_params(transaction, row, asked.penalty)
    held: dict[str, Any] = {
        name: float(params[name])
        for name in dimensions(spec.search)
        if name in params and name not in OF_PENALTIES
    }
    search = Search(
        penalty=[asked.penalty],
        l1_ratio=float(params.get("l1_ratio", ratio)) if asked.l1_ratio is None else ratio,
        **held,
    )
    return path_of(spec, search, asked.strengths)


def _best_params(transaction: Connection, row: Row[Any], penalty: str) -> Params:
    """Return the parameters of the answer's best trial of the penalty, else of its best trial."""
    answer = read_recommended(row.recommended)
    assert answer is not None, "a job that has succeeded has an answer"
    numbers = {own.penalty: own.number for own in answer.penalties}
    number = numbers.get(penalty)
    number = answer.best.number if number is None else number
    (trial,) = trials_numbered(transaction, row.study_id, [number])
    return trial.params
