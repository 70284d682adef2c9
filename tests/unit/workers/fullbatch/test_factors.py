"""Penalty factors of linear models: against scikit-learn, by optimality, and λ_max."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from populations import CPU, job, made_up_fold, one_fold
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from torch import Tensor

from workers.data.folds import Fold
from workers.fullbatch.exact import Exact, ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.solver import Rounds
from workers.fullbatch.terms import Strengths
from workers.kernels import load
from workers.models.by_input import ByInput
from workers.models.layout import Layout
from workers.models.parameters import describe_parameters
from workers.objectives.losses import Kind, row_losses
from workers.penalties.components import Components, value
from workers.penalties.conversions import sklearn_logistic
from workers.penalties.penalties import PENALTIES
from workers.strength.range import critical_strength

WAYS = ("side by side", "one by one")


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@cache
def diabetes() -> Fold:
    return one_fold(*load_diabetes(return_X_y=True))


@cache
def cancer() -> Fold:
    inputs, targets = load_breast_cancer(return_X_y=True)
    return one_fold(inputs[::3, :8], targets[::3])


def factors_of(inputs: int) -> Tensor:
    """Factors of which each fourth is 0, from the second column on."""
    own = torch.logspace(-1, 0.7, inputs, dtype=torch.float64).flip(0)
    own[1::4] = 0
    return own


def solved(
    way: str, fold: Fold, kind: Kind, part: Components, factors: Tensor, outputs: int = 1
) -> Rounds:
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    fit = LinearFit([rows], kind, outputs, torch.float64, CPU, factors=factors)
    solver: Rounds = Fista(fit, Strengths.of([part]))
    if way == "one by one":
        library = load(torch.float64)
        if isinstance(library, str):
            pytest.skip(library)
        solver = Exact(fit, Strengths.of([part]), [ExactFold(fit, rows, library)])
    for _ in range(100):
        if not solver.active.any():
            break
        solver.advance()
    assert solver.converged.all()
    return solver


def arrays(fold: Fold) -> tuple[np.ndarray, np.ndarray]:
    return fold.train_inputs.double().numpy(), fold.train_targets.numpy()


def close(found: Tensor, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=tolerance)


# --- against scikit-learn -----------------------------------------------------------------------


@cache
def scikit_learns_coefficients(name: str, strength: float, scales: tuple[float, ...]) -> np.ndarray:
    """Of a logistic regression on columns over these scales; fitted once for both solvers."""
    x, y = arrays(cancer())
    arguments = sklearn_logistic(name, strength, 0.0, len(y))  # type: ignore[arg-type]
    exact = {"solver": "newton-cg" if name == "l2" else "saga", "tol": 1e-10, "max_iter": 20_000}
    return LogisticRegression(**arguments, **exact).fit(x / np.array(scales), y).coef_[0]


def test_lasso_is_that_of_columns_over_their_factors(way: str) -> None:
    fold, strength = diabetes(), 0.06
    factors = torch.linspace(0.2, 3, 10, dtype=torch.float64)
    x, y = arrays(fold)
    expected = Lasso(alpha=strength / 2, tol=1e-12, max_iter=100_000).fit(x / factors.numpy(), y)
    found = solved(way, fold, "regression", Components(l1=strength), factors).weights[0, 0, 0]
    close(found, expected.coef_ / factors.numpy())
    assert torch.equal(found == 0, torch.tensor(expected.coef_ == 0))
    assert 2 < (found == 0).sum() < 9


def test_ridge_is_that_of_columns_over_the_roots_of_their_factors(way: str) -> None:
    fold = diabetes()
    roots = torch.linspace(0.2, 3, 10, dtype=torch.float64).sqrt()
    x, y = arrays(fold)
    expected = Ridge(alpha=0.3 * len(y), tol=1e-12).fit(x / roots.numpy(), y)
    found = solved(way, fold, "regression", Components(l2=0.3), roots.square())
    close(found.weights[0, 0, 0], expected.coef_ / roots.numpy())


@pytest.mark.parametrize("name", ["l1", "l2"])
def test_logistic_regression_is_that_of_scaled_columns_too(way: str, name: str) -> None:
    fold, strength = cancer(), 0.02
    factors = torch.linspace(0.3, 2, 8, dtype=torch.float64)
    part = PENALTIES[name].components(strength, 0.0)  # type: ignore[index]
    scales = factors.numpy() if name == "l1" else factors.sqrt().numpy()
    expected = scikit_learns_coefficients(name, strength, tuple(scales.tolist()))
    found = solved(way, fold, "binary", part, factors).weights[0, 0, 0]
    close(found, expected / scales)
    assert torch.equal(found == 0, torch.tensor(expected == 0))


def test_columns_of_factor_0_are_fitted_as_without_a_penalty(way: str) -> None:
    fold, factors = diabetes(), torch.zeros(10, dtype=torch.float64)
    factors[3:] = 1e6
    x, y = arrays(fold)
    expected = LinearRegression().fit(x[:, :3], y)
    for part in (Components(l1=0.5), Components(group=0.5)):
        found = solved(way, fold, "regression", part, factors).weights[0, 0, 0]
        close(found[:3], expected.coef_)
        assert torch.equal(found[3:], torch.zeros(7, dtype=torch.float64))


# --- by what an optimum must meet -----------------------------------------------------------------


def violation(solver: Rounds, fold: Fold, kind: Kind, part: Components, factors: Tensor) -> float:
    """The largest entry of the smallest subgradient, by autograd on the loss that jobs train."""
    weights = solver.weights[0, 0].double().requires_grad_()
    intercepts = solver.intercepts[0, 0].double().requires_grad_()
    logits = fold.train_inputs.double() @ weights.T + intercepts
    loss = row_losses(kind, logits, fold.train_targets, torch.zeros(1, dtype=torch.float64)).mean()
    slope, free = torch.autograd.grad(loss, (weights, intercepts))
    found, l1 = weights.detach(), part.l1 * factors
    slope = slope + 2 * part.l2 * factors * found + l1 * found.sign()
    slope = torch.where(found == 0, slope - torch.clamp(slope, -l1, l1), slope)
    norms, limit = found.norm(dim=0), part.group * factors * math.sqrt(len(found))
    pull = slope + limit * found / norms.clamp_min(1e-300)
    beyond = slope * (1 - limit / slope.norm(dim=0).clamp_min(1e-300)).clamp_min(0)
    left = torch.where(norms > 0, pull, beyond)
    return max(left.abs().max().item(), free.abs().max().item())


PARTS = {
    "l1": Components(l1=0.05),
    "l2": Components(l2=0.05),
    "both": Components(l1=0.03, l2=0.02),
    "group": Components(group=0.03),
}
FOLDS: dict[str, tuple[Kind, int, Fold]] = {
    "numbers": ("regression", 1, made_up_fold(60, inputs=9, classes=0)),
    "two classes": ("binary", 1, made_up_fold(60, inputs=9, classes=2)),
    "three classes": ("multiclass", 3, made_up_fold(60, inputs=9, classes=3)),
    "wide": ("regression", 1, made_up_fold(30, inputs=60, classes=0)),
    "wide, classes": ("multiclass", 3, made_up_fold(40, inputs=44, classes=3)),
}


@pytest.mark.parametrize("name", FOLDS)
@pytest.mark.parametrize("penalty", PARTS)
def test_what_is_found_is_an_optimum(way: str, penalty: str, name: str) -> None:
    kind, outputs, fold = FOLDS[name]
    inputs = fold.train_inputs.shape[1]
    if way == "side by side" and inputs > 9:
        return  # it knows of no width, and takes its time
    factors = factors_of(inputs)
    if inputs > 9:  # free columns that fit all rows would leave nothing to penalise
        factors[9:] = factors[9:].clamp_min(0.1)
    part = PARTS[penalty]
    solver = solved(way, fold, kind, part, factors, outputs)
    assert violation(solver, fold, kind, part, factors) < 2e-7
    plain = solved(way, fold, kind, part, torch.ones_like(factors), outputs)
    assert violation(plain, fold, kind, part, factors) > 1e-3  # factors do something


@pytest.mark.parametrize("name", ["l1", "elastic_net", "group_lasso"])
@pytest.mark.parametrize("data", ["numbers", "two classes", "three classes", "wide"])
@pytest.mark.parametrize("penalize", ["weights", "all"])
def test_lambda_max_is_where_the_first_penalised_weight_enters(
    name: str, data: str, penalize: str
) -> None:
    kind, outputs, fold = FOLDS[data]
    factors = factors_of(fold.train_inputs.shape[1])
    if data == "wide":
        factors[9:] = factors[9:].clamp_min(0.1)
    task = "regression" if kind == "regression" else "classification"
    spec = job(task=task, model={"kind": "linear"}, penalize=penalize, precision="float64")
    largest = critical_strength(spec, fold, outputs, ByInput(factors), (name, 0.4))
    library = load(torch.float64)
    assert not isinstance(library, str)
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    fit = LinearFit(
        [rows], kind, outputs, torch.float64, CPU, penalize=spec.penalize, factors=factors
    )
    held = []
    for strength in (largest * (1 + 1e-5), largest * (1 - 1e-3)):
        part = PENALTIES[name].components(strength, 0.4)  # type: ignore[index]
        solver = Exact(fit, Strengths.of([part]), [ExactFold(fit, rows, library)])
        solver.advance()
        used = (solver.weights[0, 0] != 0).any(0)
        assert used[factors == 0].all()
        intercepts = penalize == "all" and bool(solver.intercepts[0, 0].any())
        held.append(bool(used[factors > 0].any()) or intercepts)
    assert held == [False, True]


def test_the_penaltys_value_counts_factors() -> None:
    layout = Layout.of(
        describe_parameters(torch.nn.Linear(3, 2), "weights", "input"),
        ByInput(torch.tensor([0.0, 1.0, 2.5])),
    )
    row = torch.zeros(layout.columns)
    layout.views(row)["weight"].copy_(torch.tensor([[3.0, 0.0, 1.0], [4.0, -2.0, 0.0]]))
    groups, factors = layout.groups, layout.factors
    penalised = row[: layout.penalised_columns]
    assert value(Components(l1=1), penalised, groups, factors) == pytest.approx(2 + 2.5)
    assert value(Components(l2=1), penalised, groups, factors) == pytest.approx(4 + 2.5)
    expected = math.sqrt(2) * (2 + 2.5)
    assert value(Components(group=1), penalised, groups, factors) == pytest.approx(expected)
