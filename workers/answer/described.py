"""A named model as the answer shows it: its trial, its refit, the features that it uses."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ridgeway.answers import Chosen
from ridgeway.spec.losses import QuantileLoss
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.spec import JobSpec
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Refit, nonzero_weights
from workers.answer.columns import outgoing
from workers.data.prepare import Prepared
from workers.penalties.conversions import (
    convertible,
    glmnet,
    sklearn_least_squares,
    sklearn_logistic,
    sklearn_poisson,
    sklearn_quantile,
    torch_optim,
)
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration


def described(refit: Refit, prepared: Prepared) -> Chosen:
    """Return a named model as the answer shows it."""
    trial, model = refit.trial, refit.model
    assert trial.value is not None
    diverged = model.diverged_at > 0
    own = Configuration.from_params(prepared.spec, trial.params)
    columns = selected_columns(model.parameters, prepared)
    return Chosen(
        number=trial.number,
        value=trial.value,
        standard_error=trial.facts.standard_error,
        params=trial.params,
        nonzero_weights=nonzero_weights(trial),
        refit_nonzero_weights=None if diverged else model.nonzero_weights,
        weights=model.weights,
        settled=model.settled if PENALTIES[own.penalty].sparse and not diverged else None,
        selected_features=None if diverged or columns is None else len(columns),
        equivalents=equivalents(prepared.spec, trial, prepared),
    )


def selected_columns(parameters: Mapping[str, Tensor], prepared: Prepared) -> frozenset[str] | None:
    """Return the source columns with a nonzero outgoing weight.

    None where the model's first layer isn't known.
    """
    if not isinstance(prepared.spec.model, LinearModel | MlpModel):
        return None
    used = (outgoing(parameters) != 0).any(0).tolist()
    columns = zip(prepared.source_columns, used, strict=True)
    return frozenset(column for column, is_used in columns if is_used)


def equivalents(
    spec: JobSpec, trial: StudyTrial, prepared: Prepared
) -> dict[str, dict[str, float]] | None:
    """Return the trial's strength in other libraries' terms, where their objective is the same."""
    own = Configuration.from_params(spec, trial.params)
    if not isinstance(spec.model, LinearModel) or prepared.outputs > 1:
        return None
    if not _is_shared_objective(spec, own):
        return None
    found = _of_task(own, prepared)
    return {name: arguments for name, arguments in found.items() if arguments is not None} or None


def _of_task(own: Configuration, prepared: Prepared) -> dict[str, dict[str, float] | None]:
    """Return the libraries' arguments; None of those that have no such penalty."""
    terms = (own.penalty, own.strength, own.l1_ratio)
    weight = prepared.encoded.weight(prepared.splits.development)
    if prepared.spec.task == "classification":
        return {
            "sklearn": sklearn_logistic(*terms, weight),
            "glmnet": glmnet(*terms, gaussian=False),
            "torch": torch_optim(*terms),
        }
    scale = prepared.development().target_scale
    if prepared.spec.loss_name == "poisson":  # the libraries get counts as they are
        scaled = (own.penalty, scale * own.strength, own.l1_ratio)
        return {
            "sklearn": sklearn_poisson(*terms, scale),
            "glmnet": glmnet(*scaled, gaussian=False),
            "torch": torch_optim(*scaled),
        }
    if isinstance(prepared.spec.loss, QuantileLoss):
        level = prepared.spec.loss.quantile
        return {"sklearn": sklearn_quantile(*terms, level)}
    return {
        "sklearn": sklearn_least_squares(*terms, weight),
        "sklearn_raw_target": sklearn_least_squares(*terms, weight, target_scale=scale),
        "glmnet": glmnet(*terms, gaussian=True),
        "torch": torch_optim(*terms),
    }


def _is_shared_objective(spec: JobSpec, own: Configuration) -> bool:
    """Return whether other libraries minimise the same: they leave the intercept alone."""
    penalised = convertible(own.penalty) and own.strength > 0 and spec.penalize == "weights"
    penalised = penalised and not spec.penalty_factors and not spec.bounds  # they have neither
    if spec.loss_name == "huber":  # whose scale others estimate
        return False
    plain_data = own.label_smoothing == 0 and own.input_noise == 0
    return penalised and plain_data and own.weight_decay == 0 and spec.class_weights == "none"
