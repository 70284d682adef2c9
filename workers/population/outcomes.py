"""What the study keeps of a trained population: a value and facts, or why a trial failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ridgeway.spec.spec import JobSpec
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from workers.optimizers.schedules import factors
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult

LEVEL = 1e-3


def failed_outcomes(first_number: int, size: int, reason: str) -> list[Outcome]:
    """Return the outcomes of a population whose every trial failed, for one reason."""
    return [Outcome(first_number + index, None, reason=reason) for index in range(size)]


def outcomes_of(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    result: PopulationResult,
    first_number: int,
) -> list[Outcome]:
    """Return each member's outcome, in the order of the configurations."""
    whole_steps = _whole_steps(spec, result)
    return [
        _outcome(spec, configuration, result, index, first_number + index, whole_steps)
        for index, configuration in enumerate(configurations)
    ]


def _whole_steps(spec: JobSpec, result: PopulationResult) -> np.ndarray:
    """Return by epoch, (E,), how many steps at a trial's own rate the schedule has come to."""
    if spec.optimizer == "fista":
        return np.zeros(result.epochs)  # it finds its own
    each = result.updates // result.epochs
    return np.cumsum(factors(spec, 0, result.updates, each)[1:])[each - 1 :: each]


def _outcome(
    spec: JobSpec,
    configuration: Configuration,
    result: PopulationResult,
    index: int,
    number: int,
    whole_steps: np.ndarray,
) -> Outcome:
    epochs = int(result.member_epochs[index])
    curve = result.curves[index, :epochs].tolist()
    diverged = int(result.diverged_at[index])
    if diverged:
        reason = f"diverged in epoch {diverged}: the loss was no longer finite"
        return Outcome(number, None, curve[:diverged], TrialFacts(epochs=diverged), reason)
    value = float(result.values[index])
    if result.pruned_at is not None and result.pruned_at[index]:
        # As Optuna has it: the last report is the value, unless it is NaN.
        last = None if math.isnan(value) else value
        reason = f"pruned after epoch {epochs} of {result.epochs}"
        return Outcome(number, last, curve, TrialFacts(epochs=epochs), reason, pruned=True)
    if not math.isfinite(value):
        reason = f"the {spec.objective} was not finite after epoch {_value_epoch(result, index)}"
        return Outcome(number, None, curve, TrialFacts(epochs=epochs), reason)
    facts = _facts(spec, configuration, result, index, whole_steps)
    known = facts.attributes()
    further = [float(known[name]) for name in spec.further_objectives]
    return Outcome(number, value, curve, facts, further_values=further)


def _value_epoch(result: PopulationResult, index: int) -> int:
    """Return the epoch that the member's value is of."""
    epochs = result.member_epochs if result.value_epochs is None else result.value_epochs
    return int(epochs[index])


def _facts(
    spec: JobSpec,
    configuration: Configuration,
    result: PopulationResult,
    index: int,
    whole_steps: np.ndarray,
) -> TrialFacts:
    """Return what a person or the recommendation asks of a complete trial; finite numbers only."""
    error = float(result.standard_errors[index])
    epochs, epoch = int(result.member_epochs[index]), _value_epoch(result, index)
    facts = TrialFacts(
        standard_error=error if math.isfinite(error) else None,
        nonzero_weights=float(result.nonzero_weights[index].mean()),
        weights=result.weights,
        epochs=epochs,
        converged=_converged(result.curves[index, :epochs].tolist())
        if result.converged is None
        else bool(result.converged[index]),
        fold_values=result.fold_values[index].tolist(),
        fold_nonzero_weights=result.nonzero_weights[index].tolist(),
        best_epoch=epoch if spec.early_stopping is not None else None,
    )
    penalty = PENALTIES[configuration.penalty]
    if penalty.has_strength and spec.optimizer != "fista":
        # λ is not comparable between learning rates when training is short: how far could it pull?
        pull = configuration.strength * configuration.learning_rate * whole_steps[epoch - 1]
        facts = replace(facts, lambda_lr_updates=float(pull))
    if penalty.sparse:
        facts = replace(facts, settled=bool(result.settled[index]))
    if spec.optimizer != "adamw" and configuration.weight_decay > 0:
        # Coupled weight decay IS an l2 term of half its strength.
        note = None if penalty.has_strength else "weight decay only"
        facts = replace(facts, lambda_l2_effective=_l2_strength(configuration), note=note)
    return facts


def _converged(curve: Sequence[float]) -> bool:
    """Return True where the curve moved by less than 0.1 % over its last tenth."""
    before = curve[-1 - max(1, len(curve) // 10)] if len(curve) > 1 else math.inf
    return abs(curve[-1] - before) < LEVEL * max(abs(curve[-1]), abs(before))


def _l2_strength(configuration: Configuration) -> float:
    """Return the strength of Σ w² in the penalty and in weight decay together."""
    penalty = PENALTIES[configuration.penalty]
    own = penalty.components(configuration.strength, configuration.l1_ratio).l2
    return own + configuration.weight_decay / 2
