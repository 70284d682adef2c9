"""Outcomes of a trained population: values and facts, or why a trial failed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from ridgeway.spec.names import OPTIMIZER_ROWS
from ridgeway.spec.spec import JobSpec
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.results import PopulationResult

LEVEL = 1e-3


def failed_outcomes(first_number: int, size: int, reason: str) -> list[Outcome]:
    """Return the outcomes of a population whose every trial failed, for one reason."""
    return [Outcome(first_number + index, None, reason=reason) for index in range(size)]


def outcomes_of(
    spec: JobSpec,
    members: Sequence[Configuration],
    result: PopulationResult,
    first_number: int,
) -> list[Outcome]:
    """Return each member's outcome, in the order of the members."""
    return [
        _outcome(spec, member, result, place, first_number + place)
        for place, member in enumerate(members)
    ]


def _outcome(
    spec: JobSpec, member: Configuration, result: PopulationResult, place: int, number: int
) -> Outcome:
    """Return what became of the member at a place of the population."""
    epochs = int(result.member_epochs[place])
    curve = result.curves[place, :epochs].tolist()
    diverged = int(result.diverged_at[place])
    if diverged:
        reason = f"diverged in epoch {diverged}: the loss was no longer finite"
        return Outcome(number, None, curve[:diverged], TrialFacts(epochs=diverged), reason)
    value = float(result.values[place])
    if result.pruned_at[place]:
        # As Optuna has it: the last report is the value, unless it is NaN.
        last = None if math.isnan(value) else value
        reason = f"pruned after epoch {epochs} of {result.epochs}"
        return Outcome(number, last, curve, TrialFacts(epochs=epochs), reason, pruned=True)
    if not math.isfinite(value):
        reason = f"the {spec.objective} was not finite after epoch {result.value_epochs[place]}"
        return Outcome(number, None, curve, TrialFacts(epochs=epochs), reason)
    facts = _facts(spec, member, result, place)
    known = facts.attributes()
    further = [float(known[name]) for name in spec.further_objectives]
    return Outcome(number, value, curve, facts, further_values=further)


def _facts(
    spec: JobSpec, member: Configuration, result: PopulationResult, place: int
) -> TrialFacts:
    """Return what a person or the recommendation asks of a complete trial; finite numbers only."""
    error, penalty = float(result.standard_errors[place]), PENALTIES[member.penalty]
    epochs, epoch = int(result.member_epochs[place]), int(result.value_epochs[place])
    facts = TrialFacts(
        standard_error=error if math.isfinite(error) else None,
        nonzero_weights=float(result.nonzero_weights[place].mean()),
        weights=result.weights,
        epochs=epochs,
        converged=_converged(result.curves[place, :epochs].tolist())
        if result.converged is None
        else bool(result.converged[place]),
        fold_values=result.fold_values[place].tolist(),
        fold_nonzero_weights=result.nonzero_weights[place].tolist(),
        features=None if result.features is None else float(result.features[place].mean()),
        best_epoch=epoch if spec.early_stopping is not None else None,
        settled=bool(result.settled[place]) if penalty.sparse else None,
    )
    if result.residuals is not None and result.separated is not None:
        residual, separated = float(result.residuals[place]), int(result.separated[place])
        finite = residual if math.isfinite(residual) else None
        facts = replace(facts, residual=finite, separated_folds=separated or None)
    if penalty.has_strength and result.rate_steps is not None:
        # λ is not comparable between learning rates when training is short: how far could it pull?
        pull = member.strength * member.learning_rate * result.rate_steps[epoch - 1]
        facts = replace(facts, lambda_lr_updates=float(pull))
    if not OPTIMIZER_ROWS[spec.optimizer].decoupled and member.weight_decay > 0:
        # Coupled weight decay IS an l2 term of half its strength.
        note = None if penalty.has_strength else "weight decay only"
        facts = replace(facts, lambda_l2_effective=_l2_strength(member), note=note)
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
