"""The two doors to training: members on every fold to be scored, or on one to be used.

problem = Problem(spec, folds, outputs, device)
result = train(problem, members)
models = refit(replace(problem, folds=[development]), members)
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

from workers.fullbatch.solver import FullBatch
from workers.minibatch.trainer import Trainer
from workers.optimizers.precision import exact_products
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels
from workers.population.run import Run
from workers.population.solver import Solver
from workers.population.watch import Watch


@exact_products()
def train(
    problem: Problem, members: Sequence[Configuration], watch: Watch | None = None
) -> PopulationResult:
    """Train every member on every fold. A member is bitwise the same in any company.

    JobUnrunnable where the model can't be built or trained; MemoryError where no member fits alone;
    whatever the watch raises.
    """
    solver = solver_of(problem)
    with _own_generators(problem.device):
        roll = solver.scored_roll(len(members))
        Run(solver, members, roll, watch or Watch()).finish()
        return solver.result(roll)


@exact_products()
def refit(
    problem: Problem,
    members: Sequence[Configuration],
    epochs: Sequence[int] | None = None,
    watch: Watch | None = None,
) -> TrainedModels:
    """Train every member without scoring any: bitwise the models that `train` gives.

    epochs: how long each member trains, under a schedule over the spec's epochs; all of them by
    default. A member whose training loss, or whose logits for a fold's validation rows at the end,
    are not finite has diverged. JobUnrunnable where the model can't be built or trained;
    MemoryError where no member fits alone; whatever the watch raises.
    """
    solver = solver_of(problem)
    with _own_generators(problem.device):
        roll = solver.roll(epochs or [problem.spec.epochs] * len(members))
        Run(solver, members, roll, watch or Watch()).finish()
        return solver.models(roll)


def solver_of(problem: Problem) -> Solver:
    """Return the problem's solver; made at the first call, it lives as long as the problem."""
    with _own_generators(problem.device):
        return problem.solver(_made)


def _made(problem: Problem) -> Solver:
    if problem.spec.optimizer == FullBatch.optimizer:
        return FullBatch(problem)
    return Trainer(problem)


def _own_generators(device: torch.device) -> AbstractContextManager[None]:
    """Undo outside what is seeded inside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
