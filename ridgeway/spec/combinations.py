"""Fields of a spec that don't go together: each alone is fine, no worker could train them all."""

from __future__ import annotations

from typing import Any

from ridgeway.errors import FieldError
from ridgeway.spec.bounds import bound_combination_errors
from ridgeway.spec.by_column import model_errors
from ridgeway.spec.forward import group_errors
from ridgeway.spec.grids import grid_errors
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.names import (
    OPTIMIZER_ROWS,
    SAMPLER_ROWS,
    Task,
    objectives_of,
    penalty_row,
)
from ridgeway.spec.paths import path_errors
from ridgeway.spec.penalties import penalty_errors
from ridgeway.spec.refits import refit_errors
from ridgeway.spec.spec import JobSpec
from ridgeway.spec.steps import WITHOUT_STEPS, value_at
from ridgeway.spec.validation import ForwardValidation
from ridgeway.spec.weights import weights_used_twice

REGRESSION_ACCEPTS: dict[str, tuple[Any, ...]] = {
    "class_weights": ("none",),
    "label_smoothing": (0,),
    "search.label_smoothing": (None,),
}


def combination_errors(spec: JobSpec) -> list[FieldError]:
    """Return what contradicts itself whatever the data and the task."""
    errors = [
        *_objective_errors(spec),
        *_stop_errors(spec),
        *_limit_errors(spec),
        *_warmup_errors(spec),
        *_twice_given_errors(spec),
        *_skip_errors(spec),
        *weights_used_twice(spec),
        *path_errors(spec),
        *grid_errors(spec),
        *model_errors(spec),
        *bound_combination_errors(spec),
        *penalty_errors(spec),
        *refit_errors(spec),
    ]
    if isinstance(spec.validation, ForwardValidation):
        errors += group_errors(spec.groups)
    if not OPTIMIZER_ROWS[spec.optimizer].has_rates:
        return [*_optimum_errors(spec), *errors]
    if isinstance(spec.model, LinearModel):
        whose = "a linear model, which has no dropout layer"
        errors += _refusals(spec, {"search.dropout": (None,)}, whose)
    return errors


def objective_warnings(spec: JobSpec) -> list[str]:
    """Return what a client should know of a search for two objectives at once."""
    if not spec.further_objectives or not SAMPLER_ROWS[spec.sampler].learns:
        return []
    return [
        f"The sampler {spec.sampler} learns from {spec.objective} alone: the front is what the "
        "search met on its way."
    ]


def _objective_errors(spec: JobSpec) -> list[FieldError]:
    if spec.objectives is None:
        return []
    errors: list[FieldError] = []
    if spec.objective != spec.objectives[0]:
        message = (
            f"is not the first of the objectives; accepted: {spec.objectives[0]}, or leave it out"
        )
        errors.append(FieldError("objective", spec.objective, message))
    if spec.further_objectives and spec.pruner != "none":
        message = "judges by one objective, and the job has two; accepted: none"
        errors.append(FieldError("pruner", spec.pruner, message))
    return errors


def _stop_errors(spec: JobSpec) -> list[FieldError]:
    if spec.stop == "never":
        return []
    if spec.further_objectives:
        message = "judges by one objective, and the job has two; accepted: never"
        return [FieldError("stop", spec.stop, message)]
    if spec.folds == 1:
        message = "compares trials fold by fold, and a holdout has one split; accepted: never"
        return [FieldError("stop", spec.stop, message)]
    return []


def _limit_errors(spec: JobSpec) -> list[FieldError]:
    features = None if spec.at_most is None else spec.at_most.features
    if features is None or isinstance(spec.model, LinearModel | MlpModel):
        return []
    message = "can't be told of a plug-in's model; accepted: null, or a model that is linear or mlp"
    return [FieldError("at_most.features", features, message)]


def task_errors(spec: JobSpec, task: Task, whose: str) -> list[FieldError]:
    """Return what does not fit the task; `whose` says where the task comes from."""
    accepted: dict[str, tuple[Any, ...]] = {"objective": objectives_of(task)}
    accepted |= REGRESSION_ACCEPTS if task == "regression" else {"loss": (None,)}
    return _refusals(spec, accepted, whose)


def _optimum_errors(spec: JobSpec) -> list[FieldError]:
    errors = _refusals(spec, WITHOUT_STEPS, "the optimizer exact")
    if isinstance(spec.model, LinearModel):
        return errors
    message = (
        f"solves models of the kind linear, and this one is of the kind '{spec.model.kind}'; "
        "accepted: adam, adamw, sgd"
    )
    return [FieldError("optimizer", spec.optimizer, message), *errors]


def _warmup_errors(spec: JobSpec) -> list[FieldError]:
    if spec.warmup_epochs == 0 or spec.warmup_epochs < spec.epochs:
        return []
    message = f"leaves none of {spec.epochs} epochs; accepted: at most {spec.epochs - 1}"
    return [FieldError("warmup_epochs", spec.warmup_epochs, message)]


def _twice_given_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse what has both one value for every trial and a dimension of the search."""
    fixed = {"label_smoothing": spec.label_smoothing, "input_noise": spec.input_noise}
    if isinstance(spec.model, MlpModel):
        fixed["model.dropout"] = spec.model.dropout
    return [
        FieldError(field, value, f"is searched too, by {searched}; accepted: 0, or no {searched}")
        for field, value in fixed.items()
        if value
        and value_at(spec, searched := f"search.{field.removeprefix('model.')}") is not None
    ]


def _skip_errors(spec: JobSpec) -> list[FieldError]:
    """Refuse penalties of a skip layer's weights where the model has none."""
    if isinstance(spec.model, MlpModel) and spec.model.skip:
        return []
    message = (
        "shrinks the weights of a skip layer, which the model has not; accepted: beside "
        '"model": {"kind": "mlp", "skip": true}'
    )
    field = "penalty" if spec.kind == "path" else "search.penalty"
    names = [name for name in spec.search.penalty if penalty_row(name).needs_skip]
    return [FieldError(field, name, message) for name in names]


def _refusals(spec: JobSpec, accepted: dict[str, tuple[Any, ...]], whose: str) -> list[FieldError]:
    """Return an error for each field whose value is none of those accepted."""
    return [
        FieldError(field, value, f"does not fit {whose}; accepted: {_listed(values)}")
        for field, values in accepted.items()
        if (value := value_at(spec, field)) not in values
    ]


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join("null" if value is None else str(value) for value in values)
