"""The problem that is being trained: one job's spec on its folds, on a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from ridgeway.jobs.plan import Engine
from ridgeway.spec.descent import can_descend
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.models.by_input import ByInput
from workers.objectives.losses import Kind, kind_of
from workers.optimizers.precision import dtype_of

if TYPE_CHECKING:
    from workers.population.solver import Solver

TRIALS_SETTLING_SHARE = 0.1
SETTLING_SHARE = 1.0  # of what is told: finalists, refits, and paths


@dataclass(frozen=True, eq=False)
class Problem:
    """All that decides a member's bits beside its configuration.

    outputs: 1 for a regression and for two classes, else the number of classes. engine: the one
    that the job's plan names; whatever fits by default. sources: the source column of each input,
    where the model's first layer tells which inputs it uses. settling_share: of the samples that
    training sees, how many sparse members may see at its end for their zeros to come to rest.
    descends: whether members of every penalty come down from a dense net.
    beside: the same splits with other validation rows, scored after each epoch as well; their
    scores are kept and decide nothing.
    """

    spec: JobSpec
    folds: Sequence[Fold]
    outputs: int
    device: torch.device
    engine: Engine = field(default_factory=Engine)
    sources: tuple[str, ...] | None = None
    settling_share: float = TRIALS_SETTLING_SHARE
    descends: bool = False
    beside: Sequence[Fold] = ()

    @property
    def seed(self) -> int:
        """The job's seed, from which every draw is derived."""
        return self.spec.seed

    @property
    def kind(self) -> Kind:
        """The meaning of the logits, and so the loss that is trained."""
        return kind_of(self.spec, self.outputs)

    @property
    def dtype(self) -> torch.dtype:
        """The type of weights, data, losses and optimiser states."""
        return dtype_of(self.spec)

    @cached_property
    def fold_rows(self) -> list[int]:
        """The number of rows that each fold trains on."""
        return [len(fold.train_targets) for fold in self.folds]

    @property
    def steps_per_epoch(self) -> int:
        """The number of steps that a member trained in minibatches takes in an epoch."""
        return math.ceil(max(self.fold_rows) / self.spec.batch_size)

    @property
    def inputs(self) -> int:
        """The number of inputs of a row."""
        return self.folds[0].train_inputs.shape[1]

    @cached_property
    def by_input(self) -> ByInput:
        """What the job says of the penalty of single inputs."""
        return ByInput.of(self.spec, self.sources)

    @property
    def made_solver(self) -> Solver | None:
        """The problem's solver, if it has been made."""
        return self.__dict__.get("_solver")

    def solver(self, make: Callable[[Problem], Solver]) -> Solver:
        """Return the problem's solver: what `make` gives at the first call, kept for later ones."""
        if self.made_solver is None:
            # Of a copy: a solver holds memory of the device, which a cycle would not free at once.
            self.__dict__["_solver"] = make(replace(self))
        return self.__dict__["_solver"]


def problem_of(prepared: Prepared, device: torch.device) -> Problem:
    """Return the problem of a job's trials: every fold of its data."""
    known = isinstance(prepared.spec.model, LinearModel | MlpModel)
    problem = Problem(
        prepared.spec,
        prepared.folds,
        prepared.outputs,
        device,
        sources=prepared.source_columns if known else None,
    )
    return path_problem(problem) if prepared.spec.kind == "path" else problem


def path_problem(problem: Problem) -> Problem:
    """Return the problem with members on a path: nets come down, and zeros may settle."""
    return replace(problem, settling_share=SETTLING_SHARE, descends=can_descend(problem.spec))
