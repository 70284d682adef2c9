"""The choice of the trials that the answer names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ridgeway.answers import Choice
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import OPTIMIZER_ROWS, UNPENALISED
from ridgeway.spec.spec import JobSpec, Rule
from ridgeway.study.reading import StudyTrial
from workers.population.results import TrainedModel, fold_errors

Role: TypeAlias = Literal["simplest", "best", "none"]


@dataclass(frozen=True)
class Refit:
    """One named model of the answer: its role, the trial that has it, the model as refitted."""

    role: Role
    trial: StudyTrial
    model: TrainedModel


def choose(trials: Sequence[StudyTrial], spec: JobSpec) -> dict[Role, StudyTrial]:
    """Return the trials of the roles.

    `best` has the best value. `none` is the best without a penalty, if there is one. `simplest` is
    what the job's rule takes, among the trials within its limits; without one there, the best.
    Ties go by value, then by number.
    """
    best = best_of(trials, spec)
    chosen: dict[Role, StudyTrial] = {"simplest": best, "best": best}
    allowed = [trial for trial in trials if within_limits(trial, spec)]
    if allowed:
        chosen["simplest"] = RULES[spec.rule](allowed, best_of(allowed, spec), spec)
    unpenalised = [trial for trial in trials if trial.params["penalty"] == UNPENALISED]
    if unpenalised:
        chosen["none"] = best_of(unpenalised, spec)
    return chosen


def role_of(choice: Choice) -> Role:
    """Return the trial that is recommended; beside the constant, the best, which it was against."""
    return "simplest" if choice == "simplest" else "best"


def best_of(trials: Sequence[StudyTrial], spec: JobSpec) -> StudyTrial:
    """Return the trial with the best value, of equals the first."""
    return min(trials, key=lambda trial: (loss_of(trial, spec), trial.number))


def loss_of(trial: StudyTrial, spec: JobSpec) -> float:
    """Return a complete trial's value in the direction of a loss."""
    assert trial.value is not None
    return as_loss(trial.value, spec.maximise)


def within_limits(trial: StudyTrial, spec: JobSpec) -> bool:
    """Return whether a trial keeps to what the answer may use at most; unknown features do not."""
    if spec.at_most is None:
        return True
    features, weights = spec.at_most.features, spec.at_most.nonzero_weights
    known = math.inf if trial.facts.features is None else trial.facts.features
    few = features is None or known <= features
    return few and (weights is None or nonzero_weights(trial) <= weights)


def paired_differences(trial: StudyTrial, other: StudyTrial, spec: JobSpec) -> np.ndarray | None:
    """Return by how much a trial is worse than the other on each fold: (F,), None for a holdout."""
    own, others = trial.facts.fold_values, other.facts.fold_values
    if own is None or others is None or len(own) != len(others) or len(own) < 2:
        return None
    return as_loss(np.array(own) - np.array(others), spec.maximise)


def paired_error(differences: np.ndarray, spec: JobSpec) -> float:
    """Return the standard error of the mean of paired differences over folds (F,)."""
    return float(fold_errors(differences[None], spec.validation)[0])


def nonzero_weights(trial: StudyTrial) -> float:
    """Return a complete trial's nonzero weights, the mean over its folds."""
    assert trial.facts.nonzero_weights is not None, "workers write it for every complete trial"
    return trial.facts.nonzero_weights


# --- rules ------------------------------------------------------------------------------------


def _best(trials: Sequence[StudyTrial], best: StudyTrial, spec: JobSpec) -> StudyTrial:
    """Take the best, however complex."""
    return best


def _one_standard_error(
    trials: Sequence[StudyTrial], best: StudyTrial, spec: JobSpec
) -> StudyTrial:
    """Take the fewest nonzeros within one standard error of the best (Breiman et al. 1984)."""
    return min(
        _near(trials, best, spec),
        key=lambda trial: (nonzero_weights(trial), loss_of(trial, spec), trial.number),
    )


def _simplest(trials: Sequence[StudyTrial], best: StudyTrial, spec: JobSpec) -> StudyTrial:
    """Take the fewest features, then nonzeros, among those that can't be told from the best.

    Neither the value, by one standard error of the best, nor the mean difference over folds, by
    one standard error of that mean, may tell them apart. The first error is mostly variation
    between folds, which all trials share: alone it costs accuracy (docs/decisions/rule.md).
    """
    return min(
        (trial for trial in _near(trials, best, spec) if _is_level(trial, best, spec)),
        key=lambda trial: (
            trial.facts.features or 0.0,
            _settled_weights(trial, best, spec),
            loss_of(trial, spec),
            trial.number,
        ),
    )


def _near(trials: Sequence[StudyTrial], best: StudyTrial, spec: JobSpec) -> list[StudyTrial]:
    limit = loss_of(best, spec) + (best.facts.standard_error or 0.0)
    return [trial for trial in trials if loss_of(trial, spec) <= limit]


def _is_level(trial: StudyTrial, best: StudyTrial, spec: JobSpec) -> bool:
    worse = paired_differences(trial, best, spec)
    if worse is None:
        return True
    return bool(worse.mean() <= paired_error(worse, spec))


def _settled_weights(trial: StudyTrial, best: StudyTrial, spec: JobSpec) -> float:
    """Return the nonzero weights that a trial can be said to have.

    Zeros that have not come to rest, or come of a larger learning rate, are no simplicity: they
    measure λ times rate times steps.
    """
    if OPTIMIZER_ROWS[spec.optimizer].has_rates:
        rate, its = trial.params.get("learning_rate", 0.0), best.params.get("learning_rate", 0.0)
        if not trial.facts.settled or float(rate) > float(its):
            return float(trial.facts.weights or math.inf)
    return nonzero_weights(trial)


RULES: Mapping[Rule, Callable[[Sequence[StudyTrial], StudyTrial, JobSpec], StudyTrial]] = {
    "simplest": _simplest,
    "one_standard_error": _one_standard_error,
    "best": _best,
}
