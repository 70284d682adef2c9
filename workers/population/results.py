"""Results of training a population: models, and what they reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ridgeway.spec.validation import FoldsValidation, Validation
from workers.population.roll import Roll, ScoredRoll, fold_means


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """One model as training left it.

    parameters: with its buffers, by name, all zeros where it diverged. nonzero_weights: penalised
    weights that are not exactly zero, of `weights`. diverged_at: epoch, 0 if it did not diverge.
    features: source columns that it uses; None where that isn't known.
    converged: None where only a curve can tell. separated: it has no finite optimum.
    """

    parameters: Mapping[str, Tensor] = field(repr=False)
    nonzero_weights: int
    weights: int
    diverged_at: int
    settled: bool
    features: int | None
    converged: bool | None
    separated: bool


@dataclass(frozen=True, kw_only=True)
class TrainedModels:
    """The models of P members on F folds, as training left them.

    nonzero_weights (P, F): penalised weights that are not exactly zero, of `weights` in one model.
    diverged_at (P,): epoch, counted from 1; 0 for members that did not diverge.
    settled (P,): the support stayed the same for 20 steps; True for penalties that set no zeros.
    features (P, F): source columns with a nonzero outgoing weight; None where the model's first
    layer isn't known.
    converged, residuals, separated (P,): as in a roll; None where only a curve can tell.
    notes: what the job should warn of.
    """

    nonzero_weights: np.ndarray
    weights: int
    diverged_at: np.ndarray
    settled: np.ndarray
    features: np.ndarray | None = None
    converged: np.ndarray | None = None
    residuals: np.ndarray | None = None
    separated: np.ndarray | None = None
    notes: tuple[str, ...]
    states: Mapping[str, Tensor] = field(repr=False)  # parameters and buffers, (P, F, ...)

    def parameters(self, member: int, fold: int) -> dict[str, Tensor]:
        """Return parameters and buffers of one trained model.

        All zeros where the member diverged or was pruned.
        """
        return {name: value[member, fold].clone() for name, value in self.states.items()}

    def model(self, member: int, fold: int = 0) -> TrainedModel:
        """Return one trained model with what is known of it."""
        return TrainedModel(
            parameters=self.parameters(member, fold),
            nonzero_weights=int(self.nonzero_weights[member, fold]),
            weights=self.weights,
            diverged_at=int(self.diverged_at[member]),
            settled=bool(self.settled[member]),
            features=None if self.features is None else int(self.features[member, fold]),
            converged=None if self.converged is None else bool(self.converged[member]),
            separated=self.separated is not None and bool(self.separated[member]),
        )


@dataclass(frozen=True, kw_only=True)
class PopulationResult(TrainedModels):
    """The models of P members on F folds, and what they reached in E epochs.

    curves (P, E): mean over folds of the objective after each epoch, NaN from divergence on.
    values (P,), fold_values (P, F), standard_errors (P,). member_epochs (P,): what each member took
    of the epochs. value_epochs (P,): the epoch whose point of the curve is the value, of settled
    weights where the penalty is sparse. pruned_at (P,): epoch, 0 for members that were not pruned.
    beside_curves (P, E): on the rows that the problem has scored beside; None where it has none.
    rate_steps (E,): how many steps at a member's own rate each epoch has added up to; None where a
    solver finds its own steps.
    """

    curves: np.ndarray
    values: np.ndarray
    fold_values: np.ndarray
    standard_errors: np.ndarray
    epochs: int
    member_epochs: np.ndarray
    value_epochs: np.ndarray
    pruned_at: np.ndarray
    rate_steps: np.ndarray | None = None
    beside_curves: np.ndarray | None = None


def models_of(roll: Roll, notes: tuple[str, ...]) -> TrainedModels:
    """Return the models that a roll knows when all members have left."""
    return TrainedModels(
        nonzero_weights=roll.layout.nonzero(roll.weights).numpy(),
        weights=roll.layout.weights,
        diverged_at=roll.diverged_at,
        settled=roll.settled,
        features=_features(roll),
        converged=roll.converged,
        residuals=roll.residuals,
        separated=roll.separated,
        notes=notes,
        states={**roll.layout.views(roll.weights), **roll.buffers},
    )


def _features(roll: Roll) -> np.ndarray | None:
    sources = roll.judge.problem.sources
    if sources is None:
        return None
    used = roll.layout.used_inputs(roll.weights).numpy()  # (P, F, inputs)
    _, column = np.unique(sources, return_inverse=True)
    # Sorted by their source columns, the inputs of each are one slice.
    order = np.argsort(column, kind="stable")
    starts = np.flatnonzero(np.diff(column[order], prepend=-1))
    return np.logical_or.reduceat(used[..., order], starts, axis=-1).sum(-1)


def result_of(
    roll: ScoredRoll, models: TrainedModels, rate_steps: np.ndarray | None
) -> PopulationResult:
    """Return the models with their scores, when all members have left."""
    folds, epochs = roll.fold_values.shape[1], roll.fold_curves.shape[2]
    values, curves = fold_means(roll.fold_values), roll.curves(epochs)
    errors = roll.standard_errors
    if folds > 1:
        errors = fold_errors(roll.fold_values, roll.judge.problem.spec.validation)
    # Settling moved the weights after their epoch's point was taken.
    members = np.flatnonzero(roll.alive)
    curves[members, roll.value_epochs[members] - 1] = values[members]
    return PopulationResult(
        **vars(models),
        curves=curves,
        values=values,
        fold_values=roll.fold_values,
        standard_errors=errors,
        epochs=epochs,
        member_epochs=roll.ended_at,
        value_epochs=roll.value_epochs,
        pruned_at=roll.pruned_at,
        rate_steps=rate_steps,
        beside_curves=None if roll.beside_curves is None else fold_means(roll.beside_curves),
    )


def fold_errors(values: np.ndarray, validation: Validation) -> np.ndarray:
    """Return the standard errors (P,) of means over folds of values (P, F).

    Of one partition std / √F. Repeats judge the same rows again by models that share most of
    theirs, so they are not so many times the evidence: of K folds in all, sqrt((1/K + n_valid /
    n_train) var), which does not go to zero with more repeats. Source: Nadeau & Bengio, Inference
    for the Generalization Error (2003); for repeated folds Bouckaert & Frank (2004).
    """
    folds = values.shape[1]
    independent = float(folds)
    if isinstance(validation, FoldsValidation) and validation.repeats > 1:
        judged = 1 / (validation.folds - 1)  # rows that judge over rows that train
        independent = 1 / (1 / folds + judged)
    return values.std(axis=1, ddof=1) / np.sqrt(independent)


def error_of_differences(fold_values: Sequence[Sequence[float]], validation: Validation) -> float:
    """Return the median standard error of the mean difference to the first trial, fold by fold.

    fold_values (n, F): of trials, the best first; those that equal it in each fold are left out,
    and without any other there is no error, 0.
    """
    differences = np.asarray(fold_values[1:]).reshape(-1, len(fold_values[0])) - fold_values[0]
    errors = fold_errors(differences, validation)
    told = errors[errors > 0]
    return float(np.median(told)) if len(told) else 0.0
