"""The choice of the trials that the answer names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import UNPENALISED
from ridgeway.study.reading import StudyTrial
from workers.population.results import TrainedModel

Role: TypeAlias = Literal["simplest", "best", "none"]


@dataclass(frozen=True)
class Refit:
    """One named model of the answer: its role, the trial that has it, the model as refitted."""

    role: Role
    trial: StudyTrial
    model: TrainedModel


def choose(trials: Sequence[StudyTrial], maximise: bool) -> dict[Role, StudyTrial]:
    """Return the trials of the roles.

    `best` has the best value. `simplest` has the fewest nonzeros among those within one standard
    error of it (Breiman et al. 1984, 3.4.3). `none` is the best without a penalty, if there is one.
    Ties go by value, then by number.
    """

    def loss(trial: StudyTrial) -> float:
        assert trial.value is not None
        return as_loss(trial.value, maximise)

    best = min(trials, key=lambda trial: (loss(trial), trial.number))
    limit = loss(best) + (best.facts.standard_error or 0.0)
    simplest = min(
        (trial for trial in trials if loss(trial) <= limit),
        key=lambda trial: (nonzero_weights(trial), loss(trial), trial.number),
    )
    chosen: dict[Role, StudyTrial] = {"simplest": simplest, "best": best}
    unpenalised = [trial for trial in trials if trial.params["penalty"] == UNPENALISED]
    if unpenalised:
        chosen["none"] = min(unpenalised, key=lambda trial: (loss(trial), trial.number))
    return chosen


def nonzero_weights(trial: StudyTrial) -> float:
    """Return a complete trial's nonzero weights, the mean over its folds."""
    assert trial.facts.nonzero_weights is not None, "workers write it for every complete trial"
    return trial.facts.nonzero_weights
