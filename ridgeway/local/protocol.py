"""A protocol for few rows: as many folds as they are enough for, where they are too few."""

from __future__ import annotations

from ridgeway.spec.names import Task
from ridgeway.spec.profiles import ColumnProfile, DatasetProfile, held_out, infer_task
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import FoldsValidation

FEWEST_FOLDS = 2


def fitted(spec: JobSpec, profile: DatasetProfile) -> tuple[JobSpec, list[str]]:
    """Return the spec with no more folds than the rows are enough for, and a note if they are less.

    What even two folds can't be made of is left as it is, for `resolve_spec` to refuse.
    """
    target = profile.columns[-1] if spec.target is None else profile.column(spec.target)
    if target is None or not isinstance(spec.validation, FoldsValidation):
        return spec, []
    if spec.missing_target == "drop":
        profile = profile.where_known(target)
    wanted, most = spec.validation.folds, most_folds(spec, profile, target)
    if most >= wanted or most < FEWEST_FOLDS:
        return spec, []
    validation = spec.validation.model_copy(update={"folds": most})
    note = (
        f"{wanted} folds need more rows than there are beside the sealed test set: "
        f"the job has {most} folds."
    )
    return spec.model_copy(update={"validation": validation}), [note]


def most_folds(spec: JobSpec, profile: DatasetProfile, target: ColumnProfile) -> int:
    """Return how many folds the rows beside the test set are enough for.

    Two rows a fold, a row of each class in each, and a group more than folds.
    """
    most = _beside_test(profile.rows, spec) // 2
    told: Task = infer_task(target) if spec.loss is None else "regression"
    if (spec.task or told) == "classification":
        most = min(most, _beside_test(target.rarest_count, spec))
    groups = None if spec.groups is None else profile.column(spec.groups)
    return most if groups is None else min(most, groups.distinct - 1)


def _beside_test(rows: int, spec: JobSpec) -> int:
    return rows - held_out(rows, spec.test_fraction)
