"""Warm starts: a new job learns from the complete trials of another study.

They are copied into the job's own study, so that every sampler, stock Optuna's too, finds them
there. They are in no lease, so they count in no budget, progress, best or front; the user
attribute `warm_start` names where each came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from optuna.distributions import BaseDistribution, check_distribution_compatibility
from sqlalchemy.engine import Connection

from ridgeway.database.tables import jobs
from ridgeway.errors import InvalidInput, Unreadable
from ridgeway.jobs.datasets import jobs_of
from ridgeway.jobs.seals import fields_that_seal_others
from ridgeway.jobs.stored import read_spec
from ridgeway.keys.caller import LOCAL, Caller
from ridgeway.keys.owners import seen_studies
from ridgeway.spec.space import OF_PENALTIES
from ridgeway.spec.spec import JobSpec
from ridgeway.study import questions
from ridgeway.study.copying import copy_trials
from ridgeway.study.distributions import search_space

MOST = 10_000  # trials copied; of more, every k-th in the order of their values
ATTRIBUTE = "warm_start"
NO_JOB = "is no job of this service"
NO_STUDY = "is no study of this service's database"
ANY_RANGE = (1e-6, 1.0)  # for an automatic λ, whose range the door does not know; any is compatible


@dataclass(frozen=True)
class Lessons:
    """The trials that a new job starts with: the study's name and id, and the trials' ids."""

    field: str  # of the spec that names the study
    name: str
    study_id: int
    trial_ids: Sequence[int]


def find_lessons(
    transaction: Connection, spec: JobSpec, dataset_id: str | None, caller: Caller = LOCAL
) -> Lessons | None:
    """Find what the spec's warm start names; None where it has none. A look, which blocks nobody.

    dataset_id: of the upload that the spec's `dataset` is; None where it is no upload.

    InvalidInput unless the study exists, is one that the caller sees, has the job's objectives, and
    only parameters that its trials have too.
    """
    if spec.warm_start is None:
        return None
    field, name = spec.warm_start.named
    source = questions.find_study(transaction, name)
    if source is not None and not seen_studies(transaction, caller, {source}):
        raise InvalidInput.of(field, name, NO_JOB if field == "warm_start.job" else NO_STUDY)
    _check_job(transaction, spec, dataset_id, field, name)
    if source is None:
        raise InvalidInput.of(field, name, NO_STUDY)
    _check_study(transaction, spec, field, name, source)
    ranked = questions.ranked_trial_ids(transaction, source)
    if not ranked:
        raise InvalidInput.of(field, name, "has no complete trial to learn from")
    return Lessons(field, name, source, sorted(ranked[:: -(-len(ranked) // MOST)]))


def copy_lessons(transaction: Connection, lessons: Lessons, study_id: int) -> None:
    """Copy the lessons into the job's empty study; InvalidInput where theirs is gone by now."""
    if questions.find_study(transaction, lessons.name) != lessons.study_id:
        raise InvalidInput.of(lessons.field, lessons.name, NO_STUDY)
    copy_trials(transaction, study_id, lessons.trial_ids, {ATTRIBUTE: lessons.name})


def _check_job(
    transaction: Connection, spec: JobSpec, dataset_id: str | None, field: str, name: str
) -> None:
    """Refuse a job with another objective, or with other sealed rows of the same data.

    A study may be a job's, which goes by the job's id.
    """
    same_data = jobs_of(dataset_id, spec.dataset).label("same_data")
    query = sa.select(jobs.c.spec, same_data).where(jobs.c.id == name)
    row = transaction.execute(query).one_or_none()
    if row is None and field == "warm_start.job":
        raise InvalidInput.of(field, name, NO_JOB)
    if row is None:
        return
    try:
        theirs = read_spec(row.spec)
    except Unreadable as error:
        raise InvalidInput.of(field, name, f"is no job to learn from. {error}") from None
    objective = theirs.objective
    if objective != spec.objective:
        message = f"has another objective; accepted: a job whose objective is {spec.objective}"
        raise InvalidInput.of(field, name, f"{message}, met {objective}")
    if objective == "loss" and theirs.loss != spec.loss:
        met = "null" if theirs.loss is None else theirs.loss.model_dump_json()
        message = "has another loss, which its trials are judged by; accepted: a job with this one"
        raise InvalidInput.of(field, name, f"{message}, met {met}")
    if theirs.weights != spec.weights:
        message = "has other sample weights, by which its trials are judged; accepted: a job with"
        raise InvalidInput.of(field, name, f"{message} {spec.weights}, met {theirs.weights}")
    if row.same_data and (others := fields_that_seal_others(theirs, spec)):
        wanted = ", ".join(f"{each} {value}" for each, value in others.items())
        message = "has trained on rows that this job would seal; accepted: a job on the same data"
        raise InvalidInput.of(field, name, f"{message} with its own sealed rows, here {wanted}")


def _check_study(
    transaction: Connection, spec: JobSpec, field: str, name: str, source: int
) -> None:
    """Refuse a study with other directions, or whose trials have other parameters."""
    if questions.directions(transaction, source) != spec.directions:
        wanted = ", ".join("maximize" if more else "minimize" for more in spec.directions)
        message = f"has other directions; accepted: a study with {wanted}"
        raise InvalidInput.of(field, name, message)
    space = search_space(spec, ANY_RANGE)
    found = questions.distributions_of(transaction, source)
    for param, distributions in found.items():
        if param not in space:
            accepted = ", ".join(space)
            message = f"has the parameter {param}, which this job has not; accepted: {accepted}"
            raise InvalidInput.of(field, name, message)
        for distribution in distributions:
            _check_distribution(field, name, param, space[param], distribution)
    missing = [param for param in space if param not in {*found, *OF_PENALTIES}]
    if found and missing:
        message = f"has no parameter {missing[0]}, which every trial of this job has"
        raise InvalidInput.of(field, name, message)


def _check_distribution(
    field: str, name: str, param: str, ours: BaseDistribution, theirs: BaseDistribution
) -> None:
    """Refuse a parameter that the study has searched in a way that Optuna can't mix with ours."""
    try:
        check_distribution_compatibility(ours, theirs)
    except ValueError:
        message = f"searches {param} otherwise: {theirs}; accepted: like {ours}"
        raise InvalidInput.of(field, name, message) from None
