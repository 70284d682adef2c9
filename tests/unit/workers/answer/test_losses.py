"""Answers under the losses that a job names, from fit to verdict and to the file taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answering import give, trained_trials
from sklearn.linear_model import LinearRegression, PoissonRegressor, QuantileRegressor
from sklearn.metrics import (
    mean_absolute_error,
    mean_pinball_loss,
    mean_poisson_deviance,
    mean_squared_error,
    r2_score,
)
from sklearn.preprocessing import StandardScaler

from ridgeway import load_model
from ridgeway.data.store import Store
from ridgeway.features import Features
from ridgeway.jobs.artifacts import FEATURES, MODEL, PATH
from ridgeway.model.model import Model
from ridgeway.paths import RegularisationPath
from ridgeway.spec.wording import parse_spec
from workers.answer.answer import Answer
from workers.data.prepare import Prepared, check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(DRAW.normal(size=(300, 4)), columns=[*"abcd"])
LOG = 1 + 0.8 * TABLE["a"] - 0.5 * TABLE["b"]
COUNTS = TABLE.assign(y=DRAW.poisson(np.exp(LOG)))
NOISE = pd.DataFrame(DRAW.normal(size=(300, 40))).rename(columns="noise {}".format)
NOISY_COUNTS = pd.concat([NOISE, COUNTS], axis=1)[:240]
OUTLIERS = TABLE.assign(y=10 * LOG + DRAW.normal(size=300) + 150 * (DRAW.random(300) < 0.05))
OFTEN = DRAW.integers(1, 4, size=240)
LINEAR: dict[str, Any] = {"model": {"kind": "linear"}, "precision": "float64", "trials": 20}
NET: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [8]}, "epochs": 8, "trials": 9}


def prepared_for(table: pd.DataFrame, **fields: Any) -> Prepared:
    spec = parse_spec({"dataset": "made up", "test_fraction": 0.4, **fields})
    return check_and_prepare(spec, table)


def model_of(given: Answer, store: Store) -> Model:
    return load_model(store.get(given.artifacts[MODEL].address))


@pytest.mark.parametrize("weighted", [False, True])
def test_counts_are_answered_as_scikit_learn_would(weighted: bool, tmp_path: Path) -> None:
    table, fields = NOISY_COUNTS, dict[str, Any](LINEAR, loss="poisson", target="y")
    if weighted:
        table, fields["weights"] = NOISY_COUNTS.assign(often=OFTEN), "often"
    prepared = prepared_for(table, **fields, test_fraction=0.5)
    trials = trained_trials(prepared, {"penalty": "l2", "lambda": 0.05}, {"penalty": "none"})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    answer, rows = given.recommended, prepared.splits
    assert answer.choice == "simplest"
    assert answer.simplest.params["penalty"] == "l2"
    assert "the Poisson deviance of" in answer.verdict.sentence
    # The file predicts what the sealed scores were worked out from.
    sealed, known = table.iloc[rows.test], table.iloc[rows.development]
    often = {"sample_weight": sealed["often"]} if weighted else {}
    model = model_of(given, store)
    own, scores = model.predict(sealed), answer.test
    deviance = mean_poisson_deviance(sealed["y"], own, **often)
    assert scores.loss["simplest"] == pytest.approx(deviance, rel=1e-6)
    r2 = r2_score(sealed["y"], own, **often)
    assert scores.metrics["simplest"]["r2"] == pytest.approx(r2, rel=1e-6)
    shares = known["often"] if weighted else np.ones(len(known))
    constant = np.full(len(sealed), np.average(known["y"], weights=shares))
    deviance = mean_poisson_deviance(sealed["y"], constant, **often)
    assert scores.loss["baseline"] == pytest.approx(deviance, rel=1e-9)
    assert scores.loss["baseline"] > scores.loss["simplest"]
    # Coefficients are those of the library at the reported strength, in the table's units.
    assert answer.simplest.equivalents is not None
    inputs = known[[*NOISE, *"abcd"]]
    scaler = StandardScaler().fit(inputs, sample_weight=shares)
    library = PoissonRegressor(**answer.simplest.equivalents["sklearn"], tol=1e-10, max_iter=1000)
    library.fit(scaler.transform(inputs), known["y"], sample_weight=shares)
    theirs = library.coef_ / scaler.scale_
    features = Features.model_validate_json(store.get(given.artifacts[FEATURES].address))
    found = {each.name: each.coefficients for each in features.features}
    for name, coefficient in zip(inputs, theirs, strict=True):
        assert found[name] == {name: [pytest.approx(coefficient, abs=1e-5)]}
    np.testing.assert_allclose(model.coef_, theirs, atol=1e-5)
    intercept = library.intercept_ - theirs @ scaler.mean_
    assert model.intercept_ == pytest.approx(intercept, abs=1e-5)


def test_bounds_are_those_of_the_logarithm(tmp_path: Path) -> None:
    prepared = prepared_for(COUNTS, **LINEAR, loss="poisson", bounds={"a": [0, 0.5]})
    trials = trained_trials(prepared, {"penalty": "l2", "lambda": 1e-4}, {"penalty": "none"})
    store = Store(str(tmp_path))
    own = model_of(give(prepared, store, trials), store).coef_
    assert own[0] == pytest.approx(0.5, abs=1e-12)
    assert own[1] == pytest.approx(-0.5, abs=0.1)


def test_outliers_mislead_the_squared_error_and_not_hubers_loss(tmp_path: Path) -> None:
    prepared = prepared_for(OUTLIERS, **LINEAR, loss={"kind": "huber", "delta": 0.05})
    trials = trained_trials(prepared, {"penalty": "l1", "lambda": 1e-5}, {"penalty": "none"})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    known = OUTLIERS.iloc[prepared.splits.development]
    squared = LinearRegression().fit(known[[*"abcd"]], known["y"]).predict(TABLE)
    error = mean_absolute_error(10 * LOG, model_of(given, store).predict(TABLE))
    assert error < 0.2 * mean_absolute_error(10 * LOG, squared)
    assert given.recommended.simplest.equivalents is None
    traced = RegularisationPath.model_validate_json(store.get(given.artifacts[PATH].address))
    assert traced.loss == "huber"


@pytest.mark.parametrize("weighted", [False, True])
def test_a_quantile_is_answered_as_scikit_learn_would(weighted: bool, tmp_path: Path) -> None:
    loss = {"kind": "quantile", "quantile": 0.8}
    table, fields = OUTLIERS[:240], dict[str, Any](LINEAR, loss=loss, target="y")
    if weighted:
        table, fields["weights"] = table.assign(often=OFTEN), "often"
    prepared = prepared_for(table, **fields)
    trials = trained_trials(prepared, {"penalty": "l1", "lambda": 0.02}, {"penalty": "none"})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    answer, rows = given.recommended, prepared.splits
    assert answer.simplest.params["penalty"] == "l1"
    assert "the pinball loss of" in answer.verdict.sentence
    sealed, known = table.iloc[rows.test], table.iloc[rows.development]
    often = {"sample_weight": sealed["often"]} if weighted else {}
    model = model_of(given, store)
    own, scores = model.predict(sealed), answer.test
    expected = mean_pinball_loss(sealed["y"], own, alpha=0.8, **often)
    assert scores.loss["simplest"] == pytest.approx(expected, rel=1e-6)
    assert scores.loss["simplest"] < scores.loss["baseline"]
    shares = known["often"].to_numpy() if weighted else np.ones(len(known))
    constant = QuantileRegressor(quantile=0.8, alpha=1e9)
    constant.fit(known[[*"abcd"]], known["y"], sample_weight=shares)
    expected = mean_pinball_loss(
        sealed["y"], constant.predict(sealed[[*"abcd"]]), alpha=0.8, **often
    )
    assert scores.loss["baseline"] == pytest.approx(expected, rel=1e-6)
    # Coefficients are those of the library at the reported strength, in the table's units.
    assert answer.simplest.equivalents is not None
    scaler = StandardScaler().fit(known[[*"abcd"]], sample_weight=shares)
    library = QuantileRegressor(**answer.simplest.equivalents["sklearn"])
    library.fit(scaler.transform(known[[*"abcd"]]), known["y"], sample_weight=shares)
    theirs = library.coef_ / scaler.scale_
    np.testing.assert_allclose(model.coef_, theirs, atol=1e-4)
    intercept = library.intercept_ - theirs @ scaler.mean_
    assert model.intercept_ == pytest.approx(intercept, abs=1e-4)


@pytest.mark.parametrize(
    ("table", "loss"), [(COUNTS, "poisson"), (OUTLIERS, "huber"), (OUTLIERS, "quantile")]
)
def test_nets_and_the_linear_model_beside_them_have_the_loss_too(
    table: pd.DataFrame, loss: str, tmp_path: Path
) -> None:
    prepared = prepared_for(table, **NET, loss=loss)
    params = {"penalty": "l1", "lambda": 1e-4, "learning_rate": 0.03}
    trials = trained_trials(prepared, params, {"penalty": "none", "learning_rate": 0.03})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    answer, sealed = given.recommended, table.iloc[prepared.splits.test]
    error = mean_squared_error(sealed["y"], model_of(given, store).predict(sealed))
    assert answer.test.metrics[answer.choice]["mse"] == pytest.approx(error, rel=1e-4)
    losses = answer.test.loss
    assert losses["linear"] < losses["baseline"]
    assert losses["best"] < losses["baseline"]
    assert answer.baseline.validation is not None
    assert answer.best.value < answer.baseline.validation
