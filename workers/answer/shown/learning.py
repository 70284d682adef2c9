"""Learning curves: the answer's configurations once more on one split, judged on both its parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ridgeway.shown import Learning, LearningCurve
from ridgeway.spec.names import OPTIMIZER_ROWS, UNPENALISED
from ridgeway.study.reading import StudyTrial
from workers.answer.choice import Role
from workers.answer.evidence import Evidence
from workers.answer.shown.parts import Absent, sampled, shorts_or_none
from workers.answer.training import Training
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.objectives.losses import of_classes
from workers.population.results import PopulationResult

MOST_ROWS = 2000  # that judge an epoch, of each part
MOST_EPOCHS = 200  # that are kept of a curve


def learning(evidence: Evidence, prepared: Prepared, training: Training) -> Learning:
    """Train the trials of the roles on the job's last split, as one population."""
    spec = evidence.spec
    if not OPTIMIZER_ROWS[spec.optimizer].has_rates:
        raise Absent(f"`{spec.optimizer}` goes to the optimum in one go: there are no epochs.")
    split = prepared.folds[-1]  # in an order of time, the one with the most rows
    judged = _fewer(split, spec.seed)
    classes = of_classes(training.problem.kind)
    trials = {trial.number: trial for trial in evidence.chosen.values()}
    # A seed of its own: a checkpoint is told by it from that of other trainings.
    seed = derived_seed(spec.seed, "learning") % 2**32
    problem = replace(
        training.problem,
        spec=training.problem.spec.model_copy(update={"seed": seed}),
        folds=[judged],
        beside=[_judged_by_training(judged, classes, spec.seed)],
    )
    result = training.train(problem, [evidence.member(trial) for trial in trials.values()])
    if result is None:
        raise Absent("The model could not be trained once more.")
    return Learning(
        objective=spec.objective,
        loss=spec.loss_name,
        training_rows=len(problem.beside[0].valid_targets),
        validation_rows=len(judged.valid_targets),
        curves=[
            _curve(evidence, trial, result, place) for place, trial in enumerate(trials.values())
        ],
    )


def _fewer(split: Fold, seed: int) -> Fold:
    """Return the split judged by a sample of its validation rows."""
    kept = torch.from_numpy(sampled(len(split.valid_targets), MOST_ROWS, seed, "validation"))
    weights = split.valid_weights
    return replace(
        split,
        valid_inputs=split.valid_inputs[kept],
        valid_targets=split.valid_targets[kept],
        valid_groups=None,
        valid_weights=None if weights is None else weights[kept],
    )


def _judged_by_training(split: Fold, classes: bool, seed: int) -> Fold:
    """Return the split judged by a sample of the rows that it trains on, in their own units."""
    kept = torch.from_numpy(sampled(len(split.train_targets), MOST_ROWS, seed, "training"))
    targets, weights = split.train_targets[kept], split.train_weights
    if not classes:
        targets = split.target_mean + split.target_scale * targets.double()
    return replace(
        split,
        valid_inputs=split.train_inputs[kept],
        valid_targets=targets,
        valid_groups=None,
        valid_weights=None if weights is None else weights[kept],
    )


def _curve(
    evidence: Evidence, trial: StudyTrial, result: PopulationResult, place: int
) -> LearningCurve:
    assert result.beside_curves is not None, "the problem has rows beside"
    member = evidence.member(trial)
    epochs = _thinned(int(result.member_epochs[place]))
    after = epochs - 1
    return LearningCurve(
        trial=trial.number,
        roles=_roles(evidence, trial),
        penalty=member.penalty,
        strength=None if member.penalty == UNPENALISED else member.strength,
        epochs=epochs.tolist(),
        training=shorts_or_none(result.beside_curves[place, after]),
        validation=shorts_or_none(result.curves[place, after]),
        refit_epochs=trial.facts.best_epoch or evidence.spec.epochs,
    )


def _roles(evidence: Evidence, trial: StudyTrial) -> list[Role]:
    return [role for role, own in evidence.chosen.items() if own.number == trial.number]


def _thinned(epochs: int) -> np.ndarray:
    """Return at most MOST_EPOCHS of the epochs 1 ... epochs, evenly, both ends among them."""
    count = min(MOST_EPOCHS, epochs)
    return np.unique(np.linspace(1, epochs, count).round().astype(int))
