"""Answers under the losses that a job names, from fit to verdict and to the file taken away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answering import give, trained_trials
from safetensors import safe_open
from sklearn.linear_model import LinearRegression, PoissonRegressor
from sklearn.metrics import mean_absolute_error, mean_poisson_deviance, r2_score

from ridgeway.data.store import Store
from ridgeway.features import Features
from ridgeway.jobs.artifacts import FEATURES, MODEL, PATH
from ridgeway.paths import RegularisationPath
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import Prepared, check_and_prepare

DRAW = np.random.default_rng(0)
TABLE = pd.DataFrame(DRAW.normal(size=(300, 4)), columns=[*"abcd"])
LOG = 1 + 0.8 * TABLE["a"] - 0.5 * TABLE["b"]
COUNTS = TABLE.assign(y=DRAW.poisson(np.exp(LOG)))
NOISE = pd.DataFrame(DRAW.normal(size=(300, 40))).rename(columns="noise {}".format)
NOISY_COUNTS = pd.concat([NOISE, COUNTS], axis=1)[:240]
OUTLIERS = TABLE.assign(y=10 * LOG + DRAW.normal(size=300) + 150 * (DRAW.random(300) < 0.05))
LINEAR: dict[str, Any] = {"model": {"kind": "linear"}, "precision": "float64", "trials": 20}
NET: dict[str, Any] = {"model": {"kind": "mlp", "hidden": [8]}, "epochs": 8, "trials": 9}


def prepared_for(table: pd.DataFrame, **fields: Any) -> Prepared:
    spec = parse_spec({"dataset": "made up", "test_fraction": 0.4, **fields})
    return check_and_prepare(spec, table)


def predicted(path: Path, rows: pd.DataFrame) -> np.ndarray:
    """Predict from raw columns by the file alone."""
    with safe_open(path, "np") as model:
        weight, bias, own = model.get_tensor("weight"), model.get_tensor("bias"), model.metadata()
    recipe = json.loads(own["inputs"])
    inputs = np.stack([(rows[c["source"]] - c["mean"]) / c["scale"] for c in recipe], axis=1)
    y, scale = inputs @ weight[0] + bias[0], float(own["target_scale"])
    return scale * np.exp(y) if own.get("link") == "log" else float(own["target_mean"]) + scale * y


def test_counts_are_answered_as_scikit_learn_would(tmp_path: Path) -> None:
    prepared = prepared_for(NOISY_COUNTS, **LINEAR, loss="poisson", test_fraction=0.5)
    trials = trained_trials(prepared, {"penalty": "l2", "lambda": 0.05}, {"penalty": "none"})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    answer, rows = given.recommended, prepared.splits
    assert answer.choice == "simplest"
    assert answer.simplest.params["penalty"] == "l2"
    assert "the Poisson deviance of" in answer.verdict.sentence
    # The file predicts what the sealed scores were worked out from.
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(given.artifacts[MODEL].address))
    sealed, known = NOISY_COUNTS.iloc[rows.test], NOISY_COUNTS.iloc[rows.development]
    own, scores = predicted(path, sealed), answer.test
    deviance = mean_poisson_deviance(sealed["y"], own)
    assert scores.loss["simplest"] == pytest.approx(deviance, rel=1e-6)
    assert scores.metrics["simplest"]["r2"] == pytest.approx(r2_score(sealed["y"], own), rel=1e-6)
    constant = np.full(len(sealed), known["y"].mean())
    deviance = mean_poisson_deviance(sealed["y"], constant)
    assert scores.loss["baseline"] == pytest.approx(deviance, rel=1e-9)
    assert scores.loss["baseline"] > scores.loss["simplest"]
    # Coefficients are those of the library at the reported strength, in the table's units.
    assert answer.simplest.equivalents is not None
    inputs = known.drop(columns="y")
    scales = inputs.std(ddof=0)
    library = PoissonRegressor(**answer.simplest.equivalents["sklearn"], tol=1e-10, max_iter=1000)
    library.fit((inputs - inputs.mean()) / scales, known["y"])
    features = Features.model_validate_json(store.get(given.artifacts[FEATURES].address))
    found = {each.name: each.coefficients for each in features.features}
    for name, coefficient in zip(inputs, library.coef_ / scales, strict=True):
        assert found[name] == {name: [pytest.approx(coefficient, abs=1e-5)]}


def test_outliers_mislead_the_squared_error_and_not_hubers_loss(tmp_path: Path) -> None:
    prepared = prepared_for(OUTLIERS, **LINEAR, loss={"kind": "huber", "delta": 0.05})
    trials = trained_trials(prepared, {"penalty": "l1", "lambda": 1e-5}, {"penalty": "none"})
    store = Store(str(tmp_path))
    given = give(prepared, store, trials)
    path = tmp_path / "model.safetensors"
    path.write_bytes(store.get(given.artifacts[MODEL].address))
    known = OUTLIERS.iloc[prepared.splits.development]
    squared = LinearRegression().fit(known[[*"abcd"]], known["y"]).predict(TABLE)
    error = mean_absolute_error(10 * LOG, predicted(path, TABLE))
    assert error < 0.2 * mean_absolute_error(10 * LOG, squared)
    assert given.recommended.simplest.equivalents is None
    traced = RegularisationPath.model_validate_json(store.get(given.artifacts[PATH].address))
    assert traced.loss == "huber"


@pytest.mark.parametrize(("table", "loss"), [(COUNTS, "poisson"), (OUTLIERS, "huber")])
def test_nets_and_the_linear_model_beside_them_have_the_loss_too(
    table: pd.DataFrame, loss: str, tmp_path: Path
) -> None:
    prepared = prepared_for(table, **NET, loss=loss)
    params = {"penalty": "l1", "lambda": 1e-4, "learning_rate": 0.03}
    trials = trained_trials(prepared, params, {"penalty": "none", "learning_rate": 0.03})
    answer = give(prepared, Store(str(tmp_path)), trials).recommended
    losses = answer.test.loss
    assert losses["linear"] < losses["baseline"]
    assert losses["best"] < losses["baseline"]
    assert answer.baseline.validation is not None
    assert answer.best.value < answer.baseline.validation
