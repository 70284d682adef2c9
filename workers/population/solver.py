"""One interface for the ways to train: minibatches for any model, full batches for linear ones.

A run asks a solver which members fit into memory together, and has it train them part by part:

    solver = solver_of(problem)
    roll = solver.scored_roll(len(members))
    Run(solver, members, roll, watch).finish()
    solver.result(roll)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from ridgeway.jobs.plan import Engine
from workers.backends import Backend, Buffers
from workers.models.layout import Layout
from workers.population.configuration import Configuration
from workers.population.judging import Judge
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels, models_of, result_of
from workers.population.roll import Roll, ScoredRoll
from workers.population.state import PartState

MEMORY_FLOATS = 2**27  # 512 MiB of float32, which members trained at one time may take


class InTraining(Protocol):
    """Members that train side by side until each has left.

    The roll may hear what an epoch came to while the next one is trained; after `catch_up` and in
    `frozen` it knows all.
    """

    epoch: int

    @property
    def members(self) -> tuple[int, ...]: ...
    def train_epoch(self) -> None: ...
    def catch_up(self) -> None: ...
    def compact(self) -> None: ...
    def frozen(self, decided: int) -> PartState: ...


class Solver(ABC):
    """A way to train any members of one problem, and what all of them share.

    engine: the one that it follows, which is the problem's where that can be followed. together:
    members that share a step at most, which for full batches are those that fit into memory; may
    be set, and changes nobody's bits. buffers (F, ...) by name: what a model has beside its trained
    parameters. notes: what the job should warn of.
    """

    problem: Problem
    engine: Engine
    layout: Layout
    backend: Backend
    judge: Judge
    buffers: Buffers
    together: int
    notes: Sequence[str]

    @property
    @abstractmethod
    def most_in_memory(self) -> int:
        """The number of members that fit into memory at one time."""

    @property
    @abstractmethod
    def member_bytes(self) -> int:
        """The bytes of the host's memory that one member takes that trains alone."""

    @abstractmethod
    def begin(self, members: Sequence[Configuration], state: PartState, roll: Roll) -> InTraining:
        """Return a part in training, where its state left off; it tells the roll who leaves.

        members: the configurations of the whole population.
        """

    @abstractmethod
    def rate_steps(self) -> np.ndarray | None:
        """Return how many steps at a member's own learning rate each epoch has added up to, (E,).

        None where the solver finds its own steps.
        """

    def closing_notes(self, roll: Roll) -> list[str]:
        """Return what the job should warn of when all members have left."""
        return []

    # --- how far it is ------------------------------------------------------------------------

    def work(self, members: Sequence[Configuration]) -> Sequence[float]:
        """Return about how much training each member takes, in any unit; for what is told alone."""
        return [1.0] * len(members)

    def share(self, epochs: int, within: float) -> float:
        """Return how much of a member's training whole epochs and a part of the next one are."""
        return (epochs + within) / self.problem.spec.epochs

    # --- planning -----------------------------------------------------------------------------

    def worth_measuring(self, members: int) -> bool:
        """Return whether a population of so many members shows how many should share a step."""
        return False

    def shape(self) -> str:
        """Return a digest of what the best `together` depends on beside the device."""
        return ""

    def measured_together(self, members: Sequence[Configuration]) -> int | None:
        """Measure how many members should share a step; None where it is not worth measuring."""
        return None

    def engine_for(self, population: int) -> Engine:
        """Return the engine for a job whose populations have so many members."""
        return self.engine

    # --- what is known and what comes of it ---------------------------------------------------

    def roll_bytes(self, members: int) -> int:
        """Return what is kept of so many members takes, and as much again to make results of it."""
        floats = self.layout.columns * len(self.problem.folds)
        floats += sum(value.numel() for value in self.buffers.values())
        return 2 * members * floats * self.problem.dtype.itemsize

    def parts(self, members: int) -> list[range]:
        """Return members that fit into memory together, in order."""
        size = self.most_in_memory
        return [range(start, min(start + size, members)) for start in range(0, members, size)]

    def roll(self, epochs: Sequence[int]) -> Roll:
        """Return the empty roll of members that train so long, and are scored by nobody."""
        return Roll(self.judge, self.layout, self.buffers, epochs)

    def scored_roll(self, members: int) -> ScoredRoll:
        """Return the empty roll of so many members that are scored after each epoch."""
        return ScoredRoll(self.judge, self.layout, self.buffers, members)

    def models(self, roll: Roll) -> TrainedModels:
        """Return the models of members that have all left."""
        return models_of(roll, (*self.notes, *roll.notes, *self.closing_notes(roll)))

    def result(self, roll: ScoredRoll) -> PopulationResult:
        """Return the models and scores of members that have all left."""
        return result_of(roll, self.models(roll), self.rate_steps())
