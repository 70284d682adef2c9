"""`linear` trained to convergence against scikit-learn, through the conversions we report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from populations import configuration, job, one_fold, train
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from workers.data.folds import Fold
from workers.penalties.conversions import glmnet, sklearn_least_squares, sklearn_logistic
from workers.population.configuration import Configuration
from workers.strength.probe import UNPROBED, StrengthRange
from workers.strength.range import linear_range

PENALTIES = ("l1", "l2", "elastic_net")
RATIO = 0.4


def standardised(load: object) -> tuple[np.ndarray, np.ndarray]:
    inputs, targets = load(return_X_y=True)  # type: ignore[operator]
    return StandardScaler().fit_transform(inputs), targets


def converged(members: list[Configuration], fold: object, task: str, epochs: int) -> np.ndarray:
    spec = job(
        task=task, model={"kind": "linear"}, optimizer="sgd", epochs=epochs, batch_size=10_000
    )
    result = train(spec, members, [fold], dtype=torch.float64)  # type: ignore[list-item]
    return np.stack(
        [result.parameters(m, 0)["weight"].numpy().ravel() for m in range(len(members))]
    )


def assert_same_solution(found: np.ndarray, expected: np.ndarray) -> None:
    assert found == pytest.approx(expected.ravel(), abs=1e-3)
    assert ((found != 0) == (expected.ravel() != 0)).all()


@pytest.fixture(scope="module")
def diabetes() -> tuple[np.ndarray, np.ndarray, list[Configuration], np.ndarray]:
    inputs, targets = standardised(load_diabetes)
    members = [
        configuration(penalty, strength, l1_ratio=RATIO, learning_rate=0.1)
        for penalty in PENALTIES
        for strength in (0.3, 0.03)
    ]
    return (
        inputs,
        targets,
        members,
        converged(members, one_fold(inputs, targets), "regression", 1500),
    )


def test_least_squares_equal_lasso_ridge_and_elastic_net_on_the_standardised_target(
    diabetes: tuple[np.ndarray, np.ndarray, list[Configuration], np.ndarray],
) -> None:
    inputs, targets, members, found = diabetes
    y = (targets - targets.mean()) / targets.std()
    for member, ours in zip(members, found, strict=True):
        arguments = sklearn_least_squares(member.penalty, member.strength, RATIO, len(y))
        kind = {"l1": Lasso, "l2": Ridge, "elastic_net": ElasticNet}[member.penalty]
        exact = {} if member.penalty == "l2" else {"tol": 1e-10, "max_iter": 100_000}
        assert_same_solution(ours, kind(**arguments, **exact).fit(inputs, y).coef_)
        if member.penalty == "elastic_net":  # scikit-learn's ElasticNet is glmnet's objective
            theirs = glmnet("elastic_net", member.strength, RATIO, gaussian=True)
            assert theirs["lambda"] == pytest.approx(arguments["alpha"])
            assert theirs["alpha"] == pytest.approx(arguments["l1_ratio"])


def test_least_squares_on_the_raw_target_scale_the_l1_part_alone(
    diabetes: tuple[np.ndarray, np.ndarray, list[Configuration], np.ndarray],
) -> None:
    inputs, targets, members, found = diabetes
    scale = targets.std()
    for member, ours in zip(members, found, strict=True):
        arguments = sklearn_least_squares(
            member.penalty, member.strength, RATIO, len(targets), target_scale=scale
        )
        kind = {"l1": Lasso, "l2": Ridge, "elastic_net": ElasticNet}[member.penalty]
        exact = {} if member.penalty == "l2" else {"tol": 1e-10, "max_iter": 100_000}
        fitted = kind(**arguments, **exact).fit(inputs, targets)
        assert_same_solution(ours, fitted.coef_ / scale)


def test_two_classes_equal_logistic_regression() -> None:
    inputs, targets = standardised(load_breast_cancer)
    members = [
        configuration(penalty, strength, l1_ratio=RATIO, learning_rate=0.3)
        for penalty, strength in (("l1", 0.05), ("l1", 0.02), ("l2", 0.05), ("elastic_net", 0.05))
    ]
    found = converged(members, one_fold(inputs, targets), "classification", 2500)
    for member, ours in zip(members, found, strict=True):
        arguments = sklearn_logistic(member.penalty, member.strength, RATIO, len(targets))
        solver = LogisticRegression(**arguments, solver="saga", tol=1e-9, max_iter=20_000)
        assert_same_solution(ours, solver.fit(inputs, targets).coef_)
        theirs = glmnet(member.penalty, member.strength, RATIO, gaussian=False)
        # glmnet's mean loss + λ [a|w| + (1 - a)/2 w²] is scikit-learn's divided by n C.
        assert theirs["lambda"] == pytest.approx(1 / (len(targets) * arguments["C"]))
        assert theirs["alpha"] == pytest.approx(arguments["l1_ratio"])


# --- the largest strength worth searching -------------------------------------------------------


def rows_of(load: object) -> tuple[Fold, str, int]:
    fold = one_fold(*standardised(load))
    regression = fold.train_targets.is_floating_point()
    classes = 1 if regression else int(fold.train_targets.max()) + 1
    task = "regression" if regression else "classification"
    return fold, task, 1 if classes <= 2 else classes


@pytest.mark.parametrize("load", [load_diabetes, load_breast_cancer, load_wine])
@pytest.mark.parametrize("penalty", ["l1", "elastic_net", "group_lasso"])
def test_the_high_end_is_where_the_last_weight_becomes_zero(load: object, penalty: str) -> None:
    rows, task, outputs = rows_of(load)
    search = {"penalty": [penalty], "l1_ratio": {"low": 0.2, "high": 0.6}}
    spec = job(
        task=task,
        model={"kind": "linear"},
        optimizer="sgd",
        search=search,
        epochs=500,
        batch_size=10_000,
    )
    found = linear_range(spec, rows, outputs)
    high = found.high
    assert found.low == pytest.approx(1e-4 * high)
    fold = one_fold(*standardised(load))
    members = [
        configuration(penalty, high * by, l1_ratio=0.4, learning_rate=0.1) for by in (1.01, 0.95)
    ]
    result = train(spec, members, [fold], outputs, dtype=torch.float64)
    assert result.nonzero_weights[0, 0] == 0
    assert 0 < result.nonzero_weights[1, 0] <= result.weights / 2


def test_the_range_spans_the_critical_strengths_of_the_searched_penalties() -> None:
    rows, task, outputs = rows_of(load_breast_cancer)

    def ends(*penalties: str, ratio: float = 0.5) -> tuple[float, float]:
        search = {"penalty": list(penalties), "l1_ratio": ratio}
        spec = job(task=task, model={"kind": "linear"}, search=search)
        found = linear_range(spec, rows, outputs)
        return found.low, found.high

    low, high = ends("l1")
    assert ends("none", "l2") == (low, high)
    assert ends("elastic_net") == pytest.approx((2 * low, 2 * high))
    assert ends("l1", "elastic_net") == pytest.approx((low, 2 * high))
    assert ends("elastic_net", ratio=0.0) == (low, high)


def test_with_fewer_rows_than_inputs_the_range_ends_earlier() -> None:
    rows, task, outputs = rows_of(load_breast_cancer)
    spec = job(task=task, model={"kind": "linear"}, search={"penalty": ["l1"]})
    few = replace(rows, train_inputs=rows.train_inputs[:25], train_targets=rows.train_targets[:25])
    found = linear_range(spec, few, outputs)
    assert found.low == pytest.approx(1e-3 * found.high)


def test_hopeless_data_search_a_fixed_range() -> None:
    rows, task, outputs = rows_of(load_breast_cancer)
    constant = replace(rows, train_inputs=torch.zeros_like(rows.train_inputs))
    spec = job(task=task, model={"kind": "linear"})
    assert linear_range(spec, constant, outputs) == StrengthRange(*UNPROBED)
    smoothed = job(task=task, model={"kind": "linear"}, label_smoothing=1.0)
    assert linear_range(smoothed, rows, outputs) == StrengthRange(*UNPROBED)


def test_searched_smoothing_counts_by_its_middle() -> None:
    rows, task, outputs = rows_of(load_breast_cancer)

    def high(**fields: Any) -> float:
        return linear_range(job(task=task, model={"kind": "linear"}, **fields), rows, outputs).high

    searched = high(search={"label_smoothing": {"low": 0.0, "high": 0.5}})
    assert searched == pytest.approx(high(label_smoothing=0.25))
    assert searched == pytest.approx(0.75 * high())  # smoothing shrinks the signal by its share
