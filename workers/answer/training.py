"""The ways into training that an answer takes, and what finalists are trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels

# Trains members on a problem's folds and scores them; None where the model would not be trained.
Train: TypeAlias = Callable[[Problem, Sequence[Configuration]], PopulationResult | None]
# Trains members on a problem's one fold, each for so many epochs.
Refitting: TypeAlias = Callable[
    [Problem, Sequence[Configuration], Sequence[int] | None], TrainedModels
]


@dataclass(frozen=True)
class Training:
    """The two doors, and the job's problem, whose engine finalists are trained by.

    strengths: lowest and highest λ of the search, where they are known.
    """

    problem: Problem
    train: Train
    refit: Refitting
    strengths: tuple[float, float] | None = None
