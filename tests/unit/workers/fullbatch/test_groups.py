"""Groups of several inputs in linear models: by what an optimum must meet, and λ_max."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from populations import CPU, configuration, job, made_up_fold
from torch import Tensor

from workers.data.folds import Fold
from workers.fullbatch.exact import Exact, ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.solver import Rounds
from workers.fullbatch.terms import Strengths
from workers.kernels import load
from workers.models.by_input import ByInput
from workers.objectives.losses import Kind, row_losses
from workers.penalties.components import Components
from workers.strength.range import critical_strength

GROUPS = ((0, 4, 5), (1,), (2, 8), (3, 6, 7))
FACTORS = torch.tensor([1.0, 0.0, 0.4, 2.0, 1.0, 1.0, 2.0, 2.0, 0.4], dtype=torch.float64)
FOLDS: dict[str, tuple[Kind, int, Fold]] = {
    "numbers": ("regression", 1, made_up_fold(60, inputs=9, classes=0)),
    "two classes": ("binary", 1, made_up_fold(60, inputs=9, classes=2)),
    "three classes": ("multiclass", 3, made_up_fold(60, inputs=9, classes=3)),
}


def solved(way: str, name: str, strength: float, **options: Any) -> Rounds:
    kind, outputs, fold = FOLDS[name]
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    fit = LinearFit([rows], kind, outputs, torch.float64, CPU, **options)
    own = Strengths.of([Components(group=strength)])
    solver: Rounds = Fista(fit, own)
    if way == "exact":
        library = load(torch.float64)
        if isinstance(library, str):
            pytest.skip(library)
        solver = Exact(fit, own, [ExactFold(fit, rows, library)])
    for _ in range(60):
        if not solver.active.any():
            break
        solver.advance()
    assert solver.converged.all()
    return solver


def violation(solver: Rounds, name: str, strength: float, factors: Tensor) -> float:
    """The largest entry of the smallest subgradient, group by group."""
    kind, outputs, fold = FOLDS[name]
    weights = solver.weights[0, 0].clone().requires_grad_()
    logits = fold.train_inputs.double() @ weights.T + solver.intercepts[0, 0]
    loss = row_losses(kind, logits, fold.train_targets, torch.zeros(1, dtype=torch.float64)).mean()
    (slope,) = torch.autograd.grad(loss, weights)
    largest = 0.0
    for group in map(list, GROUPS):
        found, pull = weights.detach()[:, group], slope[:, group]
        limit = strength * float(factors[group[0]]) * math.sqrt(outputs * len(group))
        if found.any():
            left = pull + limit * found / found.norm()
            largest = max(largest, left.abs().max().item())
        else:
            largest = max(largest, (pull.norm() - limit).item())
    return largest


@pytest.mark.parametrize("way", ["side by side", "exact"])
@pytest.mark.parametrize("name", FOLDS)
def test_groups_of_several_inputs_are_at_their_optimum(way: str, name: str) -> None:
    factors = torch.ones(9, dtype=torch.float64) if way == "exact" else FACTORS
    strength = 0.08
    solver = solved(way, name, strength, groups=GROUPS, factors=factors)
    assert violation(solver, name, strength, factors) < 1e-8
    used = (solver.weights[0, 0] != 0).any(0)
    assert {len(set(used[list(group)].tolist())) for group in GROUPS} == {1}  # in or out together
    assert not used.all()
    assert used.any()


@pytest.mark.parametrize("name", FOLDS)
def test_lambda_max_knows_groups_and_their_factors(name: str) -> None:
    kind, outputs, fold = FOLDS[name]
    task = "regression" if kind == "regression" else "classification"
    spec = job(task=task, model={"kind": "linear"}, precision="float64")
    inputs, member = ByInput(FACTORS, GROUPS), configuration("group_lasso")
    largest = critical_strength(spec, fold, outputs, inputs, (member.penalty, 1.0))
    enters = []
    for strength in (largest * (1 + 1e-5), largest * (1 - 1e-3)):
        found = solved("side by side", name, strength, groups=GROUPS, factors=FACTORS)
        used = (found.weights[0, 0] != 0).any(0)
        assert used[1]  # its factor is 0
        enters.append(bool(used[FACTORS > 0].any()))
    assert enters == [False, True]
