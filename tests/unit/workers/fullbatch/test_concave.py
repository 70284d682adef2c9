"""Concave penalties by both solvers of linear models: stationary, downhill from the lasso."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
import pytest
import torch
from populations import CPU, job, made_up_fold, one_fold
from torch import Tensor

from ridgeway.spec.names import PenaltyName
from workers.fullbatch.exact import Exact, ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.links import link_of
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.solver import Rounds
from workers.fullbatch.terms import Strengths
from workers.kernels import Library, load
from workers.models.by_input import ByInput
from workers.objectives.losses import Kind, row_losses
from workers.penalties.components import Components, value
from workers.penalties.concave import concave_threshold, pull
from workers.penalties.penalties import PENALTIES
from workers.strength.range import critical_strength

NAMES = ["mcp", "scad", "l0.5"]
REGRESSION = {"task": "regression"}
WAYS = ("side by side", "one by one")
KINDS: list[tuple[Kind, int]] = [("regression", 0), ("binary", 2), ("multiclass", 3)]


def parts_of(name: str, strength: float) -> Components:
    return PENALTIES[cast("PenaltyName", name)].components(strength, 0.5)


def solved(
    way: str,
    rows: TrainingRows,
    kind: Kind,
    parts: Sequence[Components],
    outputs: int = 1,
    rounds: int = 60,
) -> Rounds:
    """Members when all have arrived, or after some rounds: side by side, or one by one."""
    fit, own = LinearFit([rows], kind, outputs, torch.float64, CPU), Strengths.of(parts)
    solver = Fista(fit, own)
    if way == "one by one":
        library = load(torch.float64)
        if not isinstance(library, Library):
            pytest.skip(library)
        solver = Exact(fit, own, [ExactFold(fit, rows, library)])
    for _ in range(rounds):
        if not solver.active.any():
            break
        solver.advance()
    return solver


def rows_of(classes: int, seed: int = 0) -> TrainingRows:
    fold = made_up_fold(80, inputs=6, classes=classes, seed=seed)
    return TrainingRows(fold.train_inputs, fold.train_targets)


def tensors(own: Components) -> list[Tensor]:
    shape = (own.l1, own.concavity, own.knee, own.half)
    return [torch.tensor(each, dtype=torch.float64) for each in shape]


def loss_of(rows: TrainingRows, kind: Kind, weights: Tensor, intercepts: Tensor) -> Tensor:
    return row_losses(kind, rows.inputs.double() @ weights.T + intercepts, rows.targets).mean()


def left(solver: Rounds, rows: TrainingRows, kind: Kind, member: int, own: Components) -> float:
    """The largest entry of the smallest limiting subgradient, by autograd on the loss."""
    weights = solver.weights[0, member].clone().requires_grad_()
    intercepts = solver.intercepts[0, member].clone().requires_grad_()
    slope, free = torch.autograd.grad(
        loss_of(rows, kind, weights, intercepts), (weights, intercepts)
    )
    found, own_pull = weights.detach(), pull(weights.detach(), *tensors(own))
    at_zero = slope - slope.clamp(-own_pull, own_pull)
    slope = torch.where(found == 0, at_zero, slope + own_pull * found.sign())
    return max(slope.abs().max().item(), free.abs().max().item())


@pytest.mark.parametrize(("kind", "classes"), KINDS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_found_is_stationary_and_no_higher_than_the_lasso(
    name: str, way: str, kind: Kind, classes: int
) -> None:
    rows = rows_of(classes)
    values = [0.15, 0.05, 0.015]
    parts = [parts_of(name, each) for each in values]
    outputs = classes if classes > 2 else 1
    straight = [own.straight(link_of(kind).bound) for own in parts]
    both = solved(way, rows, kind, [*parts, *straight], outputs)
    assert both.converged.all()
    for member, own in enumerate(parts):
        assert left(both, rows, kind, member, own) < 1e-8
        reached = [
            loss_of(rows, kind, both.weights[0, each], both.intercepts[0, each])
            + value(own, both.weights[0, each].flatten(), ())
            for each in (member, member + len(parts))
        ]
        assert reached[0] <= reached[1] + 1e-12
    assert (both.weights[0, 0] == 0).any()
    assert any((both.weights[0, i] != both.weights[0, i + 3]).any() for i in range(3))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_orthogonal_columns_are_thresholded_one_by_one(way: str, name: str) -> None:
    draw = np.random.default_rng(0)
    orthogonal, _ = np.linalg.qr(np.c_[np.ones(64), draw.normal(size=(64, 8))])
    inputs = torch.tensor(orthogonal[:, 1:] * 8)  # mean 0, mean square 1
    weights = torch.tensor([3.0, -1.5, 0.8, 0.4, 0.2, -0.1, 0.05, 0.0], dtype=torch.float64)
    targets = inputs @ weights
    own = parts_of(name, 0.5)
    solver = solved(way, TrainingRows(inputs, targets), "regression", [own])
    expected = concave_threshold(weights, torch.tensor(2.0).double(), *tensors(own))
    assert solver.converged.all()
    assert solver.weights[0, 0, 0].numpy() == pytest.approx(expected.numpy(), abs=1e-9)
    if name != "l0.5":
        assert solver.weights[0, 0, 0, 0].item() == pytest.approx(3.0, abs=1e-9)  # not shrunk
    assert (solver.weights[0, 0, 0] == 0).sum() >= 4


def descended(inputs: Tensor, targets: Tensor, start: Tensor, own: Components) -> Tensor:
    """Coordinate descent on the mean squared error plus penalty (Breheny & Huang 2011)."""
    weights, curvature = start.clone(), 2 * inputs.square().mean(0)
    for _ in range(2000):
        before = weights.clone()
        for j in range(len(weights)):
            slope = 2 * (inputs[:, j] * (inputs @ weights - targets)).mean()
            point = weights[j] - slope / curvature[j]
            weights[j] = concave_threshold(point, curvature[j], *tensors(own))
        if (weights - before).abs().max() < 1e-13:
            break
    return weights


def correlated_rows() -> TrainingRows:
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(60, 1, generator=draw)
    inputs = (torch.randn(60, 20, generator=draw) + shared).double()
    signal = inputs[:, :4] @ torch.tensor([2.0, -1.5, 1.0, 0.5], dtype=torch.float64)
    targets = signal + torch.randn(60, generator=draw)
    return TrainingRows(inputs - inputs.mean(0), targets - targets.mean())


@pytest.mark.parametrize("name", ["mcp", "scad"])
def test_correlated_columns_end_where_coordinate_descent_ends(name: str) -> None:
    own, rows = parts_of(name, 0.3), correlated_rows()
    both = [solved(way, rows, "regression", [own, own.straight(2.0)]) for way in WAYS]
    start = both[1].weights[0, 1, 0]
    reference = descended(rows.inputs, rows.targets, start, own)
    for solver in both:
        assert solver.converged.all()
        assert solver.weights[0, 0, 0].numpy() == pytest.approx(reference.numpy(), abs=1e-7)
    assert (reference != start).any()


@pytest.mark.parametrize("way", WAYS)
def test_coordinate_descent_can_not_leave_what_is_found_with_the_root_of_sizes(way: str) -> None:
    """Any choice of weights is stationary: what tells a good one is that no single move helps."""
    rows, values = correlated_rows(), (1.0, 0.3, 0.1, 0.03)
    parts = [parts_of("l0.5", own) for own in values]
    solver = solved(way, rows, "regression", parts)
    assert solver.converged.all()
    for member, own in enumerate(parts):
        found = solver.weights[0, member, 0]
        expected = descended(rows.inputs, rows.targets, found, own)
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-7)
    assert solver.weights[0, :, 0].count_nonzero(1).unique().numel() == len(values)


@pytest.mark.parametrize(("kind", "classes"), KINDS)
def test_from_its_largest_strength_on_the_root_of_sizes_leaves_no_weight(
    kind: Kind, classes: int
) -> None:
    fold, outputs = made_up_fold(80, inputs=6, classes=classes), classes if classes > 2 else 1
    inputs = fold.train_inputs.double()
    inputs = (inputs - inputs.mean(0)) / inputs.std(0, correction=0)
    fold, spec = (
        replace(fold, train_inputs=inputs),
        job(model={"kind": "linear"}, **({} if classes else REGRESSION)),
    )
    factors = torch.tensor([1, 3, 0.5, 1, 2, 1]).double()
    for own in (None, factors):
        fit = LinearFit(
            [TrainingRows(inputs, fold.train_targets)],
            kind,
            outputs,
            torch.float64,
            CPU,
            factors=own,
        )
        largest = critical_strength(spec, fold, outputs, ByInput(own), ("l0.5", 0.5))
        parts = [parts_of("l0.5", largest * by) for by in (1 + 1e-6, 0.99)]
        solver = Fista(fit, Strengths.of(parts))
        for _ in range(60):
            solver.advance()
        assert solver.converged.all()
        assert not solver.weights[0, 0].any()
        assert solver.weights[0, 1].any()


def test_what_bends_down_is_left_behind_within_a_jobs_rounds() -> None:
    """Of more columns than rows, all correlated, mcp goes a long way where the objective bends."""
    draw = np.random.default_rng(2)
    shared = draw.normal(size=(100, 1))
    inputs = math.sqrt(0.5) * (shared + draw.normal(size=(100, 300)))
    targets = inputs[:, :5] @ [2, -1.5, 1, 0.7, 0.5] + draw.normal(size=100)
    fold = one_fold(inputs, targets)
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    slope = 2 * (rows.inputs.T @ rows.targets).abs().max().item() / len(targets)
    own = parts_of("mcp", 0.03 * slope)
    solver = solved("one by one", rows, "regression", [own], rounds=30)
    assert solver.converged.all()
    assert left(solver, rows, "regression", 0, own) < 1e-8


def test_a_softmax_that_creeps_ends_with_its_rounds_and_says_so() -> None:
    """With next to no penalty classes that a line separates have weights without much of an end."""
    inputs = torch.randn(30, 8, dtype=torch.float64, generator=torch.manual_seed(3))
    targets = inputs[:, :3].argmax(1)
    fit = LinearFit([TrainingRows(inputs, targets)], "multiclass", 3, torch.float64, CPU)
    solver = Fista(fit, Strengths.of([parts_of("l0.5", 1e-6)]))
    for _ in range(2):
        solver.advance()
    assert not solver.converged.any()
    assert solver.residuals.isfinite().all()
    assert solver.weights.isfinite().all()


def test_a_member_is_the_same_alone_and_after_a_rest() -> None:
    rows = [rows_of(2, seed) for seed in (1, 2)]
    fit = LinearFit(rows, "binary", 1, torch.float64, CPU)
    parts = [
        parts_of("mcp", 0.05),
        parts_of("l1", 0.05),
        parts_of("scad", 0.02),
        parts_of("mcp", 0.01),
    ]
    together, alone, begun = (
        Fista(fit, Strengths.of(own)) for own in (parts, parts[2:3], parts[2:3])
    )
    for _ in range(60):
        for solver in (together, alone):
            solver.advance()
        if not together.active.any():
            break
    for _ in range(60):
        if not begun.active.any():
            break
        state, begun = begun.state([0]), Fista(fit, Strengths.of(parts[2:3]))
        begun.take(state)
        begun.advance()
    assert together.converged.all()
    assert torch.equal(together.weights[:, 2], alone.weights[:, 0])
    assert torch.equal(begun.weights, alone.weights)


def test_without_its_concavity_a_penalty_is_the_lasso() -> None:
    own = parts_of("scad", 0.3)
    assert own.straight(2.0) == Components(l1=0.3)
    with pytest.raises(ValueError, match="group"):
        replace(own, group=1.0)
    with pytest.raises(ValueError, match="half"):
        Components(l1=1.0, half=1.0)
