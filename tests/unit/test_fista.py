"""The full-batch solver: against scikit-learn, and by the conditions that an optimum meets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from populations import CPU, made_up_fold, one_fold
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from torch import Tensor

from workers.conversions import sklearn_least_squares, sklearn_logistic
from workers.datasets import Fold
from workers.fista import Fista, Strengths
from workers.fullbatch import TrainingRows
from workers.losses import Kind
from workers.penalties import PENALTIES, Parts

COUNT = 64
RATIO = 0.4
ROUNDS = 60


def strengths(parts: list[Parts]) -> Strengths:
    def column(name: str) -> Tensor:
        return torch.tensor([getattr(part, name) for part in parts], dtype=torch.float64)

    return Strengths(column("l1"), column("l2"), column("group"), torch.zeros(len(parts)).double())


def solved(
    fold: Fold,
    kind: Kind,
    parts: list[Parts],
    outputs: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Fista:
    solver = Fista(
        [TrainingRows(fold.train_inputs, fold.train_targets)],
        kind,
        outputs,
        strengths(parts),
        group_by="input",
        penalize="weights",
        dtype=dtype,
        device=CPU,
    )
    for _ in range(ROUNDS):
        if not solver.active.any():
            break
        solver.advance()
    return solver


def path(name: str, largest: float, ratio: float = RATIO) -> tuple[list[float], list[Parts]]:
    """64 strengths from 1e-4 of the largest on."""
    values = (largest * torch.logspace(-4, 0, COUNT, dtype=torch.float64)).tolist()
    return values, [PENALTIES[name].parts(value, ratio) for value in values]  # type: ignore[index]


@pytest.mark.parametrize("name", ["l1", "l2", "elastic_net"])
def test_least_squares_of_64_strengths_are_scikit_learns(name: str) -> None:
    fold = one_fold(*load_diabetes(return_X_y=True))
    inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
    largest = 2 / len(targets) * np.abs(inputs.T @ targets).max()
    values, parts = path(name, largest)
    solver = solved(fold, "regression", parts)
    assert solver.converged.all()
    kinds = {"l1": Lasso, "l2": Ridge, "elastic_net": ElasticNet}
    for member, value in enumerate(values):
        arguments = sklearn_least_squares(name, value, RATIO, len(targets))  # type: ignore[arg-type]
        exact = {"tol": 1e-14, "max_iter": 1_000_000} if name != "l2" else {}
        theirs = kinds[name](**arguments, **exact).fit(inputs, targets).coef_
        assert solver.weights[0, member, 0].numpy() == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(("name", "ratio"), [("l1", 1.0), ("elastic_net", RATIO)])
def test_everything_is_zero_from_the_critical_strength_on(name: str, ratio: float) -> None:
    fold = one_fold(*load_diabetes(return_X_y=True))
    inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
    largest = 2 / len(targets) * np.abs(inputs.T @ targets).max() / ratio
    factors = (1 + 1e-6, 0.99)
    own = [PENALTIES[name].parts(largest * factor, ratio) for factor in factors]  # type: ignore[index]
    solver = solved(fold, "regression", own)
    assert [(row != 0).sum().item() > 0 for row in solver.weights[0, :, 0]] == [False, True]


def breast_cancer(name: str) -> tuple[Fold, list[float], Fista]:
    """64 logistic regressions, from 1e-4 of the strength that crushes all weights on."""
    fold = one_fold(*load_breast_cancer(return_X_y=True))
    inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
    largest = np.abs(inputs.T @ (targets - targets.mean())).max() / len(targets)
    values, parts = path(name, largest)
    return fold, values, solved(fold, "binary", parts)


def test_logistic_regressions_of_64_strengths_are_scikit_learns() -> None:
    fold, values, solver = breast_cancer("l2")
    inputs, targets = fold.train_inputs.numpy(), fold.train_targets.numpy()
    assert solver.converged.all()
    for member, value in enumerate(values):
        arguments = sklearn_logistic("l2", value, RATIO, len(targets))
        exact = {"tol": 1e-10, "max_iter": 10_000, "solver": "newton-cg"}
        theirs = LogisticRegression(**arguments, **exact).fit(inputs, targets).coef_
        assert solver.weights[0, member].numpy() == pytest.approx(theirs, abs=1e-6)


def test_sparse_logistic_regressions_meet_the_conditions_of_an_optimum() -> None:
    # scikit-learn's own solvers reach no 1e-6 here in seconds.
    fold, values, solver = breast_cancer("l1")
    assert solver.converged.all()
    for member, value in enumerate(values):
        weights = solver.weights[0, member].clone().requires_grad_()
        logits = fold.train_inputs @ weights.T + solver.intercepts[0, member]
        truth = fold.train_targets.double().unsqueeze(1)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
        (pull,) = torch.autograd.grad(loss, weights)
        zero, found = weights == 0, weights.detach()
        assert (pull[zero].abs() <= value + 1e-7).all()
        assert (pull + value * found.sign())[~zero].abs().sum().item() < 1e-6


def objective_gradient(fold: Fold, weights: Tensor, intercepts: Tensor) -> Tensor:
    """Of the mean cross entropy, by autograd: (K, d)."""
    leaf = weights.clone().requires_grad_()
    logits = fold.train_inputs @ leaf.T + intercepts
    loss = torch.nn.functional.cross_entropy(logits, fold.train_targets)
    return torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("name", ["l1", "group_lasso"])
def test_softmax_regressions_of_64_strengths_meet_the_conditions_of_an_optimum(name: str) -> None:
    inputs, targets = (np.asarray(part)[::6] for part in load_digits(return_X_y=True))
    fold = one_fold(inputs[:, inputs.std(0) > 0], targets)
    values, parts = path(name, 0.2)
    values, parts = values[24:], parts[24:]
    solver = solved(fold, "multiclass", parts, outputs=10)
    assert solver.converged.all()
    for member, value in enumerate(values):
        weights, intercepts = solver.weights[0, member], solver.intercepts[0, member]
        pull = objective_gradient(fold, weights, intercepts)
        if name == "l1":
            zero = weights == 0
            assert (pull[zero].abs() <= value + 1e-6).all()
            assert (pull[~zero] + value * weights[~zero].sign()).abs().max().item() < 1e-6
            continue
        norms, limit = weights.norm(dim=0), value * math.sqrt(10)
        assert (pull.norm(dim=0)[norms == 0] <= limit + 1e-6).all()
        held = norms > 0
        left = pull + limit * weights / norms.clamp_min(1e-300)
        assert left[:, held].abs().sum().item() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_member_is_bitwise_the_same_in_any_company(dtype: torch.dtype) -> None:
    fold = made_up_fold(80, classes=2)
    _, parts = path("elastic_net", 0.2)
    everyone = solved(fold, "binary", parts, dtype=dtype)
    for chosen in ([5], [3, 40, 63], list(range(20, 37))):
        few = solved(fold, "binary", [parts[member] for member in chosen], dtype=dtype)
        assert torch.equal(few.weights, everyone.weights[:, chosen])


def test_a_broken_fold_ends_and_says_so() -> None:
    fold = made_up_fold(40)
    fold.train_inputs[3, 2] = math.inf
    _, parts = path("l1", 0.2)
    solver = solved(fold, "binary", parts[:3])
    assert not solver.active.any()
    assert solver.failed.all()
