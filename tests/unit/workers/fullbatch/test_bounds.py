"""Bounds of linear models' coefficients: against scikit-learn and scipy, and λ_max."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from populations import CPU, configuration
from scipy.optimize import lsq_linear, minimize
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import Lasso, LinearRegression

from ridgeway.spec.wording import parse_spec
from workers import train as training
from workers.answer.columns import Units
from workers.data.prepare import Prepared, check_and_prepare
from workers.models.by_input import ByInput
from workers.population.configuration import Configuration
from workers.population.problem import problem_of
from workers.strength.range import critical_strength

NAMES = ["age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"]


def prepared(inputs: np.ndarray, targets: np.ndarray, names: list[str], **fields: Any) -> Prepared:
    frame = pd.DataFrame(inputs, columns=pd.Index(names))
    frame["y"] = targets
    spec = parse_spec(
        {
            "dataset": "d",
            "model": {"kind": "linear"},
            "precision": "float64",
            "validation": {"kind": "holdout", "fraction": 0.25},
            **fields,
        }
    )
    return check_and_prepare(spec, frame)


def diabetes(**fields: Any) -> Prepared:
    inputs, targets = load_diabetes(return_X_y=True)
    scales = np.geomspace(0.1, 100, 10)
    return prepared(inputs * scales, targets, NAMES, **fields)


def refit(own: Prepared, *members: Configuration) -> list[dict[str, torch.Tensor]]:
    """Each member's weights on the development rows, in their standardised units."""
    problem = problem_of(own, CPU)
    whole = type(problem)(own.spec, [own.development()], own.outputs, CPU, sources=problem.sources)
    models = training.refit(whole, list(members))
    return [models.parameters(place, 0) for place in range(len(members))]


def test_nonnegative_models_are_scikit_learns_positive_ones() -> None:
    own = diabetes(bounds=dict.fromkeys(NAMES, "nonnegative"))
    rows, strengths = own.development(), (0.02, 0.2)
    members = [configuration("l1", strength) for strength in strengths]
    found = refit(own, *members, configuration("none"))
    x, y = rows.train_inputs.numpy(), rows.train_targets.numpy()
    models = [Lasso(alpha=own / 2, positive=True, tol=1e-14) for own in strengths]
    for parameters, model in zip(found, [*models, LinearRegression(positive=True)], strict=True):
        expected = model.fit(x, y).coef_
        weights = parameters["weight"][0].numpy()
        np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-6)
        assert ((weights == 0) == (expected == 0)).all()
        assert 0 < (weights == 0).sum() < 10


def test_bounds_hold_in_the_tables_units() -> None:
    bounds = {"age": [-1, 2], "bmi": [None, 30], "s5": "nonpositive", "s3": [-0.01, 0.02]}
    own = diabetes(bounds=bounds)
    (parameters,) = refit(own, configuration("none"))
    found, _ = Units.of(own).coefficients(parameters)
    raw = own.encoded.encoding.values[own.splits.development]
    targets = own.encoded.targets[own.splits.development]
    low, high = np.full(11, -np.inf), np.full(11, np.inf)
    for name, bound in bounds.items():
        ends = [None, 0] if bound == "nonpositive" else bound
        low[NAMES.index(name)] = -np.inf if ends[0] is None else ends[0]
        high[NAMES.index(name)] = np.inf if ends[1] is None else ends[1]
    design = np.column_stack([raw, np.ones(len(raw))])
    expected = lsq_linear(design, targets, (low, high), tol=1e-14, max_iter=1000).x[:10]
    scales = Units.of(own).scales
    np.testing.assert_allclose(found[0] * scales, expected * scales, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found[0, 2], 30, rtol=1e-12)  # at its bound


def test_bounded_logistic_regression_is_the_minimum_that_scipy_finds() -> None:
    inputs, classes = load_breast_cancer(return_X_y=True)
    names = [f"x{place}" for place in range(6)]
    bounds = {"x0": "nonnegative", "x1": "nonpositive", "x3": "nonnegative"}
    own = prepared(inputs[::2, :6], classes[::2], names, bounds=bounds, task="classification")
    (parameters,) = refit(own, configuration("l2", 0.01))
    rows = own.development()
    x, y = rows.train_inputs.numpy(), rows.train_targets.numpy()

    def objective(given: np.ndarray) -> tuple[float, np.ndarray]:
        logits = x @ given[:-1] + given[-1]
        left = 1 / (1 + np.exp(-logits)) - y
        loss = np.logaddexp(0, logits).mean() - (y * logits).mean()
        slope = np.append(x.T @ left / len(y) + 0.02 * given[:-1], left.mean())
        return loss + 0.01 * (given[:-1] ** 2).sum(), slope

    limits = [(0, None), (None, 0), (None, None), (0, None)] + [(None, None)] * 3
    exact = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 10_000}
    best = minimize(objective, np.zeros(7), jac=True, bounds=limits, options=exact)
    found = torch.cat([parameters["weight"][0], parameters["bias"]]).numpy()
    np.testing.assert_allclose(found, best.x, rtol=0, atol=1e-5)
    assert (best.x[:4] == 0).any()


@pytest.mark.parametrize("penalty", ["l1", "group_lasso", "elastic_net"])
def test_lambda_max_is_where_the_first_weight_may_enter(penalty: str) -> None:
    own = diabetes(bounds={"bmi": "nonpositive", "s5": [-3, 0]}, penalty_factors={"bp": 0})
    rows = own.development()
    inputs = ByInput.of(own.spec, own.source_columns)
    largest = critical_strength(own.spec, rows, 1, inputs, (penalty, 0.5))
    given = [configuration(penalty, largest * by, l1_ratio=0.5) for by in (1 + 1e-5, 1 - 1e-3)]
    used = [np.flatnonzero(own["weight"][0].numpy()).tolist() for own in refit(own, *given)]
    assert used[0] == [NAMES.index("bp")]
    assert len(used[1]) == 2
    assert not {NAMES.index("bmi"), NAMES.index("s5")} & set(used[1])
