"""The answer of a job with sample weights: scores, intervals, constant and claims go by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from answering import give, trained_trials
from sklearn import metrics
from sklearn.linear_model import Ridge

from ridgeway.data.store import Store
from ridgeway.spec.wording import parse_spec
from workers.answer.answer import Answer
from workers.answer.sealed import SealedTest
from workers.data.prepare import Prepared, check_and_prepare

pytestmark = pytest.mark.usefixtures("brief")

PARAMS: tuple[dict[str, Any], ...] = ({"penalty": "none"}, {"penalty": "l2", "lambda": 0.05})


def table(weights: Any, classes: bool = False) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(400, 5))
    target = inputs[:, :2].sum(1) + draw.normal(size=400)
    frame = pd.DataFrame(inputs, columns=[f"x{i}" for i in range(5)])
    return frame.assign(w=weights, y=np.where(target > 0.5, "yes", "no") if classes else target)


def prepared_of(frame: pd.DataFrame, weights: str | None = "w") -> Prepared:
    given = {
        "dataset": "mine",
        "model": {"kind": "linear"},
        "precision": "float64",
        "search": {"penalty": ["none", "l2"]},
        "test_fraction": 0.4,
        "weights": weights,
        "drop": [] if weights else ["w"],
    }
    return check_and_prepare(parse_spec(given), frame)


def answered(prepared: Prepared, tmp_path: Path) -> Answer:
    return give(prepared, Store(str(tmp_path)), trained_trials(prepared, *PARAMS))


def test_models_constant_and_sealed_scores_are_scikit_learns_with_weights(tmp_path: Path) -> None:
    frame = table(np.random.default_rng(1).exponential(3, 400))
    prepared = prepared_of(frame)
    answer = answered(prepared, tmp_path).recommended
    rows, test = prepared.splits.development, prepared.splits.test
    fold, own = prepared.sealed(), frame["w"].to_numpy()
    assert answer.best.params["penalty"] in ("none", "l2")
    chosen = answer.best if answer.best.params["penalty"] == "l2" else answer.simplest
    arguments = (chosen.equivalents or {}).get("sklearn", {"alpha": 0.0})
    model = Ridge(**arguments)
    model.fit(fold.train_inputs.numpy(), fold.train_targets.numpy(), sample_weight=own[rows])
    predicted = fold.target_mean + fold.target_scale * model.predict(fold.valid_inputs.numpy())
    truth = frame["y"].to_numpy()[test]
    role = "best" if chosen is answer.best else "simplest"
    given = {"sample_weight": own[test]}
    scores = answer.test.metrics[role]
    assert scores["r2"] == pytest.approx(metrics.r2_score(truth, predicted, **given), abs=1e-9)
    error = metrics.mean_absolute_error(truth, predicted, **given)
    assert scores["mae"] == pytest.approx(error, rel=1e-9)
    mean = np.full(len(test), np.average(frame["y"].to_numpy()[rows], weights=own[rows]))
    baseline = metrics.mean_squared_error(truth, mean, **given)
    assert answer.test.loss["baseline"] == pytest.approx(baseline, rel=1e-9)
    folds = [
        np.average(
            (frame["y"].to_numpy()[valid] - np.average(frame["y"].to_numpy()[train], weights=w))
            ** 2,
            weights=own[valid],
        )
        for train, valid in prepared.splits.folds
        for w in [own[train]]
    ]
    assert answer.baseline.validation == pytest.approx(np.mean(folds), rel=1e-9)


def test_equal_weights_answer_as_none_do(tmp_path: Path) -> None:
    frame = table(2.0, classes=True)
    own = answered(prepared_of(frame), tmp_path / "own").recommended
    plain = answered(prepared_of(frame, None), tmp_path / "plain").recommended
    assert own.choice == plain.choice
    assert own.test.metrics["best"] == pytest.approx(plain.test.metrics["best"], rel=1e-9)
    assert own.test.interval == pytest.approx(plain.test.interval, rel=1e-9)
    for one, other in zip(own.comparisons, plain.comparisons, strict=True):
        assert one.p == pytest.approx(other.p, rel=1e-6)
        assert one.sealed_interval == pytest.approx(other.sealed_interval, rel=1e-6, abs=1e-12)
    assert {check.code for check in own.checks} == {check.code for check in plain.checks}


def test_rows_that_hardly_weigh_anything_bear_no_claim(tmp_path: Path) -> None:
    weights = np.where(np.arange(400) % 4 == 0, 1.0, 1e-6)
    answer = answered(prepared_of(table(weights)), tmp_path).recommended
    (few,) = [check for check in answer.checks if check.code == "few_rows"]
    assert "has 160 rows, which count by their weights as 4" in few.sentence
    assert not any(each.claimed for each in answer.comparisons)


def test_groups_that_hardly_weigh_anything_are_none_to_resample() -> None:
    groups = np.repeat(np.arange(20), 20)
    frame = table(np.where(groups % 10 == 0, 1.0, 1e-6)).assign(g=groups)
    given = {"dataset": "mine", "model": {"kind": "linear"}, "test_fraction": 0.5, "target": "y"}
    prepared = check_and_prepare(parse_spec({**given, "groups": "g", "weights": "w"}), frame)
    sealed = SealedTest.opened(prepared, {})
    heavy = np.unique(groups[prepared.splits.test][frame["w"][prepared.splits.test] == 1])
    assert sealed.units == len(heavy) < 3
    assert sealed.fold.valid_groups is not None
    assert len(sealed.fold.valid_groups.unique()) == 10
