"""Whether a spec fits a data set, and what it leaves to be told from that."""

from __future__ import annotations

from collections.abc import Mapping

from ridgeway.errors import FieldError, InvalidInput, refuse
from ridgeway.spec.apart import drop_errors, group_errors
from ridgeway.spec.bounds import bound_errors
from ridgeway.spec.by_column import column_errors
from ridgeway.spec.columns import JobKind, left_out, with_kinds
from ridgeway.spec.combinations import combination_errors, task_errors
from ridgeway.spec.forward import forward_errors
from ridgeway.spec.losses import target_errors
from ridgeway.spec.models import MlpModel, PluginModel
from ridgeway.spec.names import OPTIMIZER_ROWS, Task
from ridgeway.spec.profiles import (
    ColumnProfile,
    DatasetProfile,
    encoded_width,
    held_out,
    infer_task,
    is_identifier,
)
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.validation import FoldsValidation, ForwardValidation, HoldoutValidation
from ridgeway.spec.weights import weight_errors

MAX_CLASSES = 1000
MAX_CELLS = 100_000_000  # numbers of the encoded table: 400 MB in single precision
MAX_STREAMED_CELLS = 1_000_000_000  # where training in steps can leave them in a file
# Each fold standardises the table anew, and the refit once more: 2 GB in single precision.
MAX_FOLD_CELLS = 500_000_000
# A trial's models are trained together: 0.8 GB in single precision, before gradients and moments.
MAX_FOLD_WEIGHTS = 200_000_000
MAX_MODELS = 1000  # of a trial: the study keeps each one's value and zeros
MAX_CURVE_POINTS = 100_000_000  # trials x epochs: rows of the study's curves in the database


def check_spec(spec: JobSpec) -> None:
    """Raise InvalidInput for what no data set could make right: the first check at the door."""
    refuse(_spec_errors(spec))


def resolve_spec(spec: JobSpec, profile: DatasetProfile) -> JobSpec:
    """Fill in the target, the task and the kinds of columns of a spec that `check_spec` accepted.

    Raises InvalidInput where the data can't carry it. What passes can be split and encoded by
    workers, save that groups may happen to hold a class together: only the rows tell.
    """
    target = _target(spec, profile)
    if spec.missing_target == "drop":
        profile = profile.where_known(target)
        target = _target(spec, profile)
    told = infer_task(target) if spec.loss is None else "regression"
    task, columns = spec.task or told, _columns(profile)
    asked = spec.columns
    spec, profile, kind_errors = with_kinds(spec, profile, target, columns)
    errors = [
        *kind_errors,
        *_target_errors(spec, target, task),
        *target_errors(spec.loss, target),
        *group_errors(spec, profile, target, columns),
        *weight_errors(spec, profile, target, columns),
        *_order_errors(spec, profile, target, columns),
        *drop_errors(spec, profile, target, columns),
        *column_errors(spec, profile, target, columns),
        *bound_errors(spec, profile, target, task),
        *_input_errors(spec, profile, target, asked),
    ]
    if not errors:
        errors += _split_errors(spec, profile, target, task)
        errors += _size_errors(spec, profile, target, task)
    if spec.task is None:
        errors += task_errors(spec, task, f"a {task} target ('{target.name}')")
    refuse(errors)
    return spec.model_copy(update={"target": target.name, "task": task})


def _spec_errors(spec: JobSpec) -> list[FieldError]:
    """Return the errors that the spec alone tells."""
    errors = combination_errors(spec)
    if spec.task is not None:
        errors += task_errors(spec, spec.task, f"the task {spec.task}")
    if spec.trials * spec.epochs > MAX_CURVE_POINTS:
        message = (
            f"makes {spec.trials * spec.epochs:,} curve points in {spec.trials:,} trials; "
            f"at most {MAX_CURVE_POINTS:,}: up to {MAX_CURVE_POINTS // spec.trials:,} epochs"
        )
        errors.append(FieldError("epochs", spec.epochs, message))
    if spec.folds > MAX_MODELS:
        field, value, fewer = _fewer_folds(spec, MAX_MODELS)
        message = f"makes {spec.folds:,} folds in all; at most {MAX_MODELS:,}: {fewer}"
        errors.append(FieldError(field, value, message))
    return errors + _weight_errors(spec, inputs=1, outputs=1)


def _target(spec: JobSpec, profile: DatasetProfile) -> ColumnProfile:
    if spec.target is None:
        return profile.columns[-1]
    column = profile.column(spec.target)
    if column is None:
        raise InvalidInput.of("target", spec.target, f"no such column; {_columns(profile)}")
    return column


def _columns(profile: DatasetProfile) -> str:
    names = [column.name for column in profile.columns]
    return "columns: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _target_errors(spec: JobSpec, target: ColumnProfile, task: Task) -> list[FieldError]:
    errors: list[FieldError] = []
    if target.missing:
        message = (
            f"has {target.missing} missing values; every row needs a target, or "
            '"missing_target": "drop" leaves such rows out'
        )
        errors.append(FieldError("target", target.name, message))
    if target.distinct < 2:
        message = "holds one value only; there is nothing to predict"
        errors.append(FieldError("target", target.name, message))
    if task == "regression" and not target.is_numeric:
        message = "holds categories; regression needs numbers"
        errors.append(FieldError("target", target.name, message))
    if task == "classification" and target.is_numeric and not target.integral:
        message = f"column '{target.name}' holds real numbers, which are no classes; accepted: "
        errors.append(FieldError("task", spec.task, message + "regression"))
    elif task == "classification" and target.distinct > MAX_CLASSES:
        message = f"column '{target.name}' has {target.distinct} classes; at most {MAX_CLASSES}"
        errors.append(FieldError("target", target.name, message))
    return errors


def _order_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, columns: str
) -> list[FieldError]:
    if not isinstance(spec.validation, ForwardValidation):
        return []
    return forward_errors(spec.validation, profile, target.name, columns)


def _input_errors(
    spec: JobSpec,
    profile: DatasetProfile,
    target: ColumnProfile,
    asked: Mapping[str, JobKind],
) -> list[FieldError]:
    """Refuse inputs that encode to too much: categories become a column for each level."""
    inputs = _inputs(spec, profile, target)
    if not inputs:
        message = f"has no input column{_besides(spec)}"
        return [FieldError("dataset", spec.dataset, message)]
    for column in inputs:
        if column.name not in asked and _is_identifier(column, profile.rows):
            message = (
                f"column '{column.name}' holds {column.distinct:,} different texts in "
                f"{profile.rows:,} rows: an identifier or free text, no input for new rows; "
                "name it in `drop`, in `columns`, or as `groups`"
            )
            return [FieldError("dataset", spec.dataset, message)]
    if OPTIMIZER_ROWS[spec.optimizer].has_rates:
        return _cell_errors(spec, profile, target, MAX_STREAMED_CELLS)
    more = f", or {MAX_STREAMED_CELLS:,} by an optimizer that takes steps, such as adamw"
    return _cell_errors(spec, profile, target, MAX_CELLS, more)


def require_in_memory(spec: JobSpec, profile: DatasetProfile) -> None:
    """Raise InvalidInput where a resolved spec's inputs are too many to be kept in memory."""
    target = _target(spec, profile)
    spec, profile, _ = with_kinds(spec, profile, target, _columns(profile))
    refuse(_cell_errors(spec, profile, target, MAX_CELLS))


def _cell_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, most: int, more: str = ""
) -> list[FieldError]:
    width = _inputs_width(spec, profile, target)
    if profile.rows * width <= most:
        return []
    message = f"encodes to {profile.rows:,} rows of {width:,} inputs; at most {most:,} numbers"
    return [FieldError("dataset", spec.dataset, message + more)]


def _besides(spec: JobSpec) -> str:
    """Return what the columns are that could have been inputs."""
    columns = [
        "the groups" if spec.groups else None,
        "the weights" if spec.weights else None,
        f"'{spec.order}'" if spec.order else None,
        "what `drop` names" if spec.drop else None,
        "what was left out as told at upload (`columns` takes it in)" if left_out(spec) else None,
    ]
    named = " and ".join(column for column in columns if column)
    return f" besides {named}" if named else ""


def _is_identifier(column: ColumnProfile, rows: int) -> bool:
    """Return True for a category by default of too many levels, as earlier releases stored it."""
    return column.kind == "category" and is_identifier(column, rows)


def _inputs(spec: JobSpec, profile: DatasetProfile, target: ColumnProfile) -> list[ColumnProfile]:
    apart = {target.name, *spec.apart}
    return [column for column in profile.columns if column.name not in apart]


def _inputs_width(spec: JobSpec, profile: DatasetProfile, target: ColumnProfile) -> int:
    """Return how many numbers a row is encoded to."""
    return sum(encoded_width(column) for column in _inputs(spec, profile, target))


def _split_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, task: Task
) -> list[FieldError]:
    """Refuse data of which too little is left for the folds, after the sealed test set is taken."""
    validation, needed = spec.validation, spec.validation.parts
    if isinstance(validation, HoldoutValidation):
        field, value = "validation.fraction", validation.fraction
    else:
        field, value = "validation.folds", validation.folds
    left = profile.rows - held_out(profile.rows, spec.test_fraction)
    if left < 2 * needed:
        message = f"needs at least {2 * needed} rows beside the test set; there are {left}"
        return [FieldError(field, value, message)]
    if task != "classification" or isinstance(validation, ForwardValidation):
        return []  # which block holds which classes, only the rows tell
    count = target.rarest_count
    left = count - held_out(count, spec.test_fraction)
    if left >= needed:
        return []
    rows = "row" if count == 1 else "rows"
    message = (
        f"class '{target.rarest}' of '{target.name}' has {count} {rows}, {left} of them "
        f"beside the test set; at least {needed} are needed, or none: leave the class out"
    )
    return [FieldError(field, value, message)]


def _size_errors(
    spec: JobSpec, profile: DatasetProfile, target: ColumnProfile, task: Task
) -> list[FieldError]:
    """Refuse a trial whose folds' rows and models don't fit into a worker's memory."""
    width = _inputs_width(spec, profile, target)
    outputs = target.distinct if task == "classification" else 1
    errors = _weight_errors(spec, width, outputs)
    cells, room = profile.rows * width, _room(spec, MAX_FOLD_CELLS)
    if cells * (spec.folds + 1) > room and not isinstance(spec.validation, HoldoutValidation):
        field, value, fewer = _fewer_folds(spec, room // cells - 1)
        message = (
            f"needs {spec.folds + 1} tables of {cells:,} encoded numbers; at most "
            f"{room:,} in all: {fewer}"
        )
        errors.append(FieldError(field, value, message))
    return errors


def _fewer_folds(spec: JobSpec, most: int) -> tuple[str, int, str]:
    """Return the field that makes too many folds, its value, and what makes at most so many."""
    validation = spec.validation
    assert not isinstance(validation, HoldoutValidation)
    folds = validation.folds
    if isinstance(validation, FoldsValidation) and validation.repeats > 1 and most >= folds:
        return "validation.repeats", validation.repeats, f"up to {most // folds} of {folds} folds"
    fewer = f"up to {most} folds of this data" if most >= 2 else "a holdout fits"
    return "validation.folds", folds, fewer


def _room(spec: JobSpec, numbers: int) -> int:
    """Return how many numbers fit where so many of single precision do."""
    return numbers // 2 if spec.precision == "float64" else numbers


def _weight_errors(spec: JobSpec, inputs: int, outputs: int) -> list[FieldError]:
    """Refuse models with too many weights in all folds; a plug-in's size is its own business."""
    if isinstance(spec.model, PluginModel):
        return []
    weights = spec.model.weights(inputs, outputs)
    room = _room(spec, MAX_FOLD_WEIGHTS)
    if weights * spec.folds <= room:
        return []
    each = f" in each of {spec.folds} folds" if spec.folds > 1 else ""
    most = room // weights
    fewer = f"up to {most} folds, or " if most >= 2 and spec.folds > 1 else ""
    message = (
        f"makes {weights:,} weights{each}; at most {room:,} in all: "
        f"{fewer}a model of up to {room // spec.folds:,} weights"
    )
    if isinstance(spec.model, MlpModel):
        return [FieldError("model.hidden", spec.model.hidden, message)]
    if isinstance(spec.validation, HoldoutValidation):
        return [FieldError("dataset", spec.dataset, message)]
    field, value, _ = _fewer_folds(spec, most)
    return [FieldError(field, value, message)]
