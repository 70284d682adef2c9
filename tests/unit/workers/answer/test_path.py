"""Regularisation paths: the values, supports and coefficients of other libraries' paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answering import give, trained_trials, training_of
from sklearn.linear_model import LogisticRegression, enet_path
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ridgeway.data.store import Store
from ridgeway.jobs.artifacts import PATH
from ridgeway.paths import RegularisationPath
from ridgeway.spec.wording import parse_spec
from workers.answer import path as path_module
from workers.data.bundled import bundled_frame
from workers.data.prepare import Prepared, check_and_prepare
from workers.population.configuration import Configuration
from workers.population.problem import path_problem

NONE = {"penalty": "none"}


def path_of(folder: Path, prepared: Prepared, *params: dict[str, Any]) -> RegularisationPath | None:
    """Return the path in the answer to a search of these trials."""
    store = Store(str(folder))
    given = give(prepared, store, trained_trials(prepared, *params))
    if PATH not in given.artifacts:
        return None
    return RegularisationPath.model_validate_json(store.get(given.artifacts[PATH].address))


def prepared_of(dataset: str, **fields: Any) -> Prepared:
    spec = {"dataset": dataset, "model": {"kind": "linear"}, "precision": "float64", **fields}
    return check_and_prepare(parse_spec(spec), bundled_frame(dataset))


def rows_of(prepared: Prepared, rows: Any) -> tuple[pd.DataFrame, np.ndarray]:
    """Return inputs and target of these rows as the data set has them."""
    frame = bundled_frame(prepared.spec.dataset).iloc[rows]
    target = str(prepared.spec.target)
    return frame.drop(columns=target), frame[target].to_numpy()


@pytest.mark.parametrize("ratio", [None, 0.5])
def test_a_path_of_least_squares_is_scikit_learns(tmp_path: Path, ratio: float | None) -> None:
    prepared = prepared_of("diabetes")
    member: dict[str, Any] = {"penalty": "l1", "lambda": 0.05}
    if ratio:
        member = {"penalty": "elastic_net", "lambda": 0.05, "l1_ratio": ratio}
    path = path_of(tmp_path, prepared, member, NONE)
    assert path is not None
    assert len(path.points) == 100
    assert (path.outputs, path.columns) == (["target"], list(prepared.features))

    # alpha * l1_ratio = λ r / 2, alpha * (1 - l1_ratio) = λ (1 - r), r = 1 for l1
    share, strengths = ratio or 1.0, np.array([point.strength for point in path.points])
    alphas = strengths * (share / 2 + 1 - share)
    mixing = share / 2 / (share / 2 + 1 - share)

    def library(rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (P, d) and intercepts (P,) of these rows' path, in their units."""
        inputs, targets = rows_of(prepared, rows)
        means, scales = inputs.mean().to_numpy(), inputs.std(ddof=0).to_numpy()
        centred = (targets - targets.mean()) / targets.std()
        precise = {"tol": 1e-10, "max_iter": 100_000}
        _, found, _ = enet_path(
            (inputs.to_numpy() - means) / scales, centred, l1_ratio=mixing, alphas=alphas, **precise
        )
        own = found.T * targets.std() / scales
        return own, targets.mean() - own @ means

    values = np.empty((len(path.points), len(prepared.splits.folds)))
    for fold, (train, valid) in enumerate(prepared.splits.folds):
        weights, intercepts = library(train)
        inputs, targets = rows_of(prepared, valid)
        predicted = inputs.to_numpy() @ weights.T + intercepts
        values[:, fold] = np.square(predicted - targets[:, None]).mean(0)
    ours = np.array([point.value for point in path.points], float)
    np.testing.assert_allclose(ours, values.mean(1), rtol=1e-6)
    errors = values.std(1, ddof=1) / np.sqrt(values.shape[1])
    np.testing.assert_allclose([point.standard_error for point in path.points], errors, rtol=1e-4)
    best = int(values.mean(1).argmin())
    within = np.flatnonzero(values.mean(1) <= values.mean(1)[best] + errors[best])[0]
    assert path.best_strength == path.points[best].strength
    assert path.one_standard_error_strength == path.points[within].strength
    apart = (values - values[best]).std(1, ddof=1) / np.sqrt(values.shape[1])
    told = [point.paired_error for point in path.points]
    np.testing.assert_allclose(told, apart, rtol=1e-3, atol=1e-6)

    # Coefficients in the table's units, zeros left out; at λ_max there are none.
    assert path.points[0].coefficients == {}
    weights, intercepts = library(prepared.splits.development)
    for point, own, intercept in zip(path.points, weights, intercepts, strict=True):
        assert point.coefficients is not None
        ours = [point.coefficients.get(name, [0.0])[0] for name in prepared.features]
        np.testing.assert_allclose(ours, own, rtol=1e-3, atol=1e-2)
        assert point.intercepts == pytest.approx([intercept], rel=1e-5)
        # At λ_max itself its rounding decides whether the first column has a trace of a weight.
        theirs = np.abs(own) > 1e-9
        assert set(point.coefficients) == {
            name for name, used in zip(prepared.features, theirs, strict=True) if used
        }
        assert point.refit_features == theirs.sum()


def test_a_path_of_classes_is_scikit_learns(tmp_path: Path) -> None:
    prepared = prepared_of("breast_cancer", trials=200)
    path = path_of(tmp_path, prepared, {"penalty": "l1", "lambda": 0.01}, NONE)
    assert path is not None
    assert path.outputs == [prepared.classes[1]]
    inputs, targets = rows_of(prepared, prepared.splits.development)
    assert path.points[0].coefficients == {}
    for point in path.points[10:31:20]:
        strength = point.strength

        def library(rows: int, strength: float = strength) -> Any:
            model = LogisticRegression(
                C=1 / (rows * strength), l1_ratio=1, solver="saga", tol=1e-6, max_iter=100_000
            )
            return make_pipeline(StandardScaler(), model)

        losses = []
        for train, valid in prepared.splits.folds:
            fitted = library(len(train)).fit(*rows_of(prepared, train))
            own, truth = rows_of(prepared, valid)
            losses.append(log_loss(truth, fitted.predict_proba(own)))
        assert point.value == pytest.approx(np.mean(losses), rel=1e-3)
        fitted = library(len(targets)).fit(inputs, targets)
        own = fitted[-1].coef_[0] / fitted[0].scale_
        assert point.coefficients is not None
        ours = [point.coefficients.get(name, [0.0])[0] for name in prepared.features]
        np.testing.assert_allclose(ours, own, rtol=1e-2, atol=1e-4)


def test_a_path_without_a_penalty_is_of_the_best_that_has_one(tmp_path: Path) -> None:
    prepared = prepared_of("diabetes")
    strong, weak = ({"penalty": "l2", "lambda": own} for own in (100.0, 0.001))
    path = path_of(tmp_path, prepared, NONE, strong, {"penalty": "l1", "lambda": 0.9}, weak)
    assert path is not None
    assert path.penalty == "l2"
    assert path.recommended_strength == 0.001
    strengths = [point.strength for point in path.points]
    assert strengths == sorted(strengths, reverse=True)
    assert path_of(tmp_path, prepared, NONE) is None


def test_a_path_of_nets_goes_from_no_feature_to_all(tmp_path: Path) -> None:
    net = {"kind": "mlp", "hidden": [8]}
    fields = {"model": net, "optimizer": "adam", "trials": 60, "epochs": 20}
    prepared = prepared_of("wine", **fields, search={"lambda": {"low": 1e-5, "high": 1}})
    given = {"learning_rate": 0.01, "weight_decay": 0.0}
    trial = {"penalty": "group_lasso", "lambda": 0.01, **given}
    path = path_of(tmp_path, prepared, trial, {**NONE, **given})
    assert path is not None
    assert (path.learning_rate, path.weight_decay, path.trial) == (0.01, 0.0, 0)
    assert len(path.points) == 10
    first, last = path.points[0], path.points[-1]
    assert (first.strength, last.strength) == (pytest.approx(1.0), pytest.approx(1e-5))
    assert (first.features, first.norms) == (0.0, {})
    assert last.features == 13.0
    assert last.norms is not None
    assert set(last.norms) == set(prepared.source_columns)
    assert all(norm > 0 for norm in last.norms.values())
    assert all(point.coefficients is None for point in path.points)


def test_strengths_that_were_placed_among_others_are_as_if_all_were_trained_together() -> None:
    fields = {"model": {"kind": "mlp", "hidden": [4]}, "trials": 72, "epochs": 10}
    prepared = prepared_of("wine", **fields, search={"lambda": {"low": 1e-4, "high": 1}})
    training = training_of(prepared)
    member = Configuration("l1", 0.01, 0.0, 0.02, 0.0)
    first = path_module.grid(member, prepared, None)
    traced = path_module.trace(member, 10, first, prepared, training)
    assert traced is not None
    strengths = [own.strength for own in traced.members]
    assert (len(first), len(strengths)) == (6, 12)
    assert strengths == sorted(set(strengths), reverse=True)
    assert set(first) < set(strengths)
    together = training.train(path_problem(training.problem), traced.members)
    assert together is not None
    np.testing.assert_array_equal(traced.scores.fold_values, together.fold_values)
    assert together.features is not None
    np.testing.assert_array_equal(traced.scores.features, together.features.mean(1))
    np.testing.assert_array_equal(traced.scores.settled, together.settled)


@pytest.mark.parametrize("strength", [0.0, [0.0, 0.1], 0.1, {"low": 0.0, "high": 1.0}])
@pytest.mark.parametrize("model", [{"kind": "linear"}, {"kind": "mlp", "hidden": [4]}])
def test_searches_of_one_strength_and_of_none_have_paths_too(
    tmp_path: Path, strength: Any, model: dict[str, Any]
) -> None:
    fields = {"search": {"lambda": strength}, "epochs": 2, "trials": 8, "model": model}
    prepared = prepared_of("diabetes", **fields)
    rates = {"learning_rate": 0.01, "weight_decay": 0.0}
    for tried in (0.0, 0.1):
        path = path_of(tmp_path, prepared, {"penalty": "l1", "lambda": tried, **rates})
        assert path is not None
        strengths = [point.strength for point in path.points]
        assert strengths == sorted(strengths, reverse=True)
        assert strengths[-1] > 0
        assert path.recommended_strength == (tried or None)


def test_of_many_columns_the_largest_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path_module, "MOST_COLUMNS", 50)
    draw = np.random.default_rng(0)
    table = pd.DataFrame(draw.normal(size=(60, 70))).rename(columns="x{}".format)
    table["y"] = table["x7"] - table["x69"] + 0.1 * draw.normal(size=60)
    spec = parse_spec({"dataset": "wide", "model": {"kind": "linear"}})
    prepared = check_and_prepare(spec, table)
    path = path_of(tmp_path, prepared, {"penalty": "l2", "lambda": 0.1}, NONE)
    assert path is not None
    assert (len(path.columns), path.left_out) == (50, 20)
    assert {"x7", "x69"} <= set(path.columns)
    assert all(len(point.coefficients or {}) <= 50 for point in path.points)


def test_data_that_tell_nothing_have_a_path_of_nothing(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": np.ones(60), "y": np.arange(60.0)})
    prepared = check_and_prepare(
        parse_spec({"dataset": "flat", "model": {"kind": "linear"}}), table
    )
    path = path_of(tmp_path, prepared, {"penalty": "l1", "lambda": 0.1}, NONE)
    assert path is not None
    assert all(point.coefficients == {} for point in path.points)


def test_a_nets_path_job_is_refitted_from_trials_whose_zeros_may_settle() -> None:
    net = {"model": {"kind": "mlp", "hidden": [4]}, "epochs": 30, "precision": "float32"}
    validation = {"kind": "holdout"}
    prepared = prepared_of("wine", kind="path", penalty="l1", validation=validation, **net)
    shared = {"penalty": "l1", "learning_rate": 0.05}
    trials = trained_trials(prepared, {**shared, "lambda": 1e-3}, {**shared, "lambda": 1.0})
    traced = path_module.trace_trials(trials, prepared, training_of(prepared))
    assert [member.strength for member in traced.members] == [1.0, 1e-3]
    assert list(traced.scores.values) == [trials[1].value, trials[0].value]
    assert traced.scores.features is not None
    assert traced.models.features is not None
    assert list(traced.scores.features) == list(traced.models.features[:, 0]) == [0, 13]
    assert traced.scores.settled[0]
