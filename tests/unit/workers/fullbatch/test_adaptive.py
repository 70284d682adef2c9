"""The adaptive lasso against scikit-learn's lasso of rescaled columns, and its initial fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from populations import CPU, configuration, job, made_up_fold
from sklearn.linear_model import Lasso, LogisticRegression, Ridge
from torch import Tensor

from ridgeway.jobs.plan import Engine
from workers import train as training
from workers.fullbatch.exact import ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.initial import FLOOR, adaptive_weights, at_optimum
from workers.fullbatch.one_by_one import wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library, load
from workers.models.by_input import ByInput
from workers.objectives.losses import Kind
from workers.penalties.components import Components
from workers.population.problem import Problem
from workers.strength.range import critical_strength

FEATURES = 6
FACTORS = torch.tensor([1.0, 3.0, 0.5, 0.7, 1.0, 2.0], dtype=torch.float64)
LIBRARY = load(torch.float64)
needs_kernels = pytest.mark.skipif(isinstance(LIBRARY, str), reason=str(LIBRARY))


def fit_of(classes: int = 0, rows: int = 80, **fields: Any) -> LinearFit:
    kinds: dict[int, Kind] = {0: "regression", 2: "binary", 3: "multiclass"}
    fold = made_up_fold(rows, inputs=FEATURES, classes=classes)
    own = TrainingRows(fold.train_inputs.double(), fold.train_targets)
    outputs = classes if classes > 2 else 1
    return LinearFit([own], kinds[classes], outputs, torch.float64, CPU, **fields)


def by_hand(weights: np.ndarray) -> np.ndarray:
    """Zou (2006), equation 4 with gamma 1, in units of the largest weight; weights (K, d)."""
    sizes = np.sqrt(np.square(np.atleast_2d(weights)).mean(0))
    return sizes.max() / np.maximum(sizes, FLOOR * sizes.max())


def test_weights_come_from_ridge_regression() -> None:
    fit = fit_of()
    (rows,) = fit.folds
    ridge = Ridge(alpha=FEATURES).fit(rows.inputs.numpy(), rows.targets.double().numpy())
    for library in (None, LIBRARY):
        if isinstance(library, Library) or library is None:
            found = adaptive_weights(fit, library)
            np.testing.assert_allclose(found[0], by_hand(ridge.coef_), rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_of_classes_come_from_logistic_regression(classes: int) -> None:
    fit = fit_of(classes)
    (rows,) = fit.folds
    strength = FEATURES / len(rows.inputs) * (0.25 if classes == 2 else 0.5) / 2
    logistic = LogisticRegression(C=1 / (2 * len(rows.inputs) * strength), tol=1e-10, max_iter=1000)
    logistic.fit(rows.inputs.numpy(), rows.targets.numpy())
    np.testing.assert_allclose(adaptive_weights(fit, None)[0], by_hand(logistic.coef_), rtol=1e-5)


@pytest.mark.parametrize("given", [None, FACTORS], ids=["alone", "times factors"])
@pytest.mark.parametrize("way", ["side by side", pytest.param("one by one", marks=needs_kernels)])
def test_it_is_the_lasso_of_columns_over_their_weights(way: str, given: Tensor | None) -> None:
    fit, own = fit_of(factors=given), np.array([0.3, 0.1, 0.03, 0.01])
    library = LIBRARY if way == "one by one" and isinstance(LIBRARY, Library) else None
    fit = replace(fit, adaptive=adaptive_weights(fit, library))
    (rows,), factors = fit.folds, np.ones(FEATURES) if given is None else given.numpy()
    assert fit.adaptive is not None
    scale = fit.adaptive[0].numpy() * factors
    strengths = Strengths.of([Components(adaptive=each) for each in own])
    if library is None:
        solver = at_optimum(fit, strengths, None)
        found = solver.weights[0, :, 0].numpy()
    else:
        fold = ExactFold(fit, rows, library, fit.adaptive[0])
        members = [fold.solve(each) for each in wanted(strengths)]
        found = np.array([each.weights[0].numpy() for each in members if each is not None])
    inputs, targets = rows.inputs.numpy() / scale, rows.targets.double().numpy()
    for strength, weights in zip(own, found, strict=True):
        lasso = Lasso(alpha=strength / 2, tol=1e-14, max_iter=200_000).fit(inputs, targets)
        np.testing.assert_allclose(weights, lasso.coef_ / scale, atol=1e-6)
    assert (found == 0).any()


def test_what_tells_nothing_weighs_nothing_and_stays_finite() -> None:
    fit = fit_of()
    (rows,) = fit.folds
    inputs = rows.inputs.clone()
    inputs[:, 2] = 1.0
    constant = replace(fit, folds=[replace(rows, inputs=inputs)])
    assert adaptive_weights(constant, None)[0, 2] == pytest.approx(1 / FLOOR)
    silent = replace(fit, folds=[replace(rows, targets=torch.zeros_like(rows.targets))])
    assert adaptive_weights(silent, None).eq(1).all()
    even = replace(fit, folds=[replace(rows, weights=torch.full((80,), 2.0))])
    torch.testing.assert_close(adaptive_weights(even, None), adaptive_weights(fit, None))


def problem(folds: list[int], backend: str | None = None) -> Problem:
    spec = job(
        task="regression",
        model={"kind": "linear"},
        optimizer="exact",
        precision="float64",
        search={"penalty": ["l1", "adaptive_l1"]},
    )
    own = [made_up_fold(60, inputs=FEATURES, classes=0, seed=seed) for seed in folds]
    doubles = [replace(each, train_inputs=each.train_inputs.double()) for each in own]
    return Problem(spec, doubles, 1, CPU, engine=Engine(device="cpu", backend=backend))


MEMBERS = [
    configuration("adaptive_l1", 0.1),
    configuration("l1", 0.1),
    configuration("adaptive_l1", 0.01),
]


@pytest.mark.parametrize("backend", [None, "fista"])
def test_a_fold_knows_of_its_own_rows_alone_and_a_member_of_itself(backend: str | None) -> None:
    whole = training.train(problem([1, 2], backend), MEMBERS)
    other = training.train(problem([1, 3], backend), MEMBERS)
    alone = training.train(problem([1, 2], backend), MEMBERS[2:])
    for place in range(len(MEMBERS)):
        assert torch.equal(
            whole.parameters(place, 0)["weight"], other.parameters(place, 0)["weight"]
        )
    assert torch.equal(whole.parameters(2, 1)["weight"], alone.parameters(0, 1)["weight"])
    assert not torch.equal(whole.parameters(0, 0)["weight"], whole.parameters(1, 0)["weight"])


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_lambda_max_is_where_the_first_weight_enters(classes: int) -> None:
    task = {} if classes else {"task": "regression"}
    spec = job(model={"kind": "linear"}, precision="float64", **task)
    fit = fit_of(classes, factors=FACTORS)
    fold = made_up_fold(80, inputs=FEATURES, classes=classes)
    fold = replace(fold, train_inputs=fold.train_inputs.double())
    inputs = ByInput(fit.factors)
    largest = critical_strength(spec, fold, fit.outputs, inputs, ("adaptive_l1", 0.5))
    fit = replace(fit, adaptive=adaptive_weights(fit, None))
    parts = [Components(adaptive=largest * by) for by in (1 + 1e-5, 1 - 1e-3)]
    solver = Fista(fit, Strengths.of(parts))
    for _ in range(40):
        solver.advance()
    assert solver.converged.all()
    assert solver.weights[0].flatten(1).any(1).tolist() == [False, True]


def test_an_adaptive_term_stands_alone() -> None:
    with pytest.raises(ValueError, match="adaptive"):
        Components(adaptive=1.0, l2=0.1)
