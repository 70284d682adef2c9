"""What is shown of sealed rows: by class or by number, bounded whatever there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_poisson_deviance, roc_auc_score
from torch import Tensor

from ridgeway.shown import SealedCurves
from ridgeway.spec.wording import parse_spec
from workers.answer.sealed import SealedTest
from workers.answer.shown.parts import Absent
from workers.answer.shown.sealed import sealed_curves
from workers.data.folds import Fold

DRAW = np.random.default_rng(0)
NAMES = tuple(f"class {number}" for number in range(14))


def curves(logits: np.ndarray, truth: Any, classes: tuple[str, ...] = (), **spec: Any) -> Any:
    """Return what is shown of a model with these outputs (n, K) on these rows (n,)."""
    task = "classification" if classes else "regression"
    given = parse_spec({"dataset": "made up", "task": task, **spec})
    nothing, rows = torch.zeros(0), torch.as_tensor(truth)
    fold = Fold(nothing, nothing, torch.zeros(len(rows), 1), rows, 0.0, 1.0)
    outputs: dict[str, Tensor] = {"best": torch.as_tensor(logits)}
    return sealed_curves(SealedTest(given, fold, outputs), "best", "best", classes)


def test_of_two_classes_the_second_is_shown() -> None:
    logits = 3 * DRAW.normal(size=(400, 1))
    truth = (DRAW.random(400) < 1 / (1 + np.exp(-logits[:, 0]))).astype(np.int64)
    found = curves(logits, truth, ("no", "yes"))
    (own,) = found.classes
    assert (own.name, own.rows, found.left_out) == ("yes", truth.sum(), 0)
    assert own.auc == pytest.approx(roc_auc_score(truth, logits[:, 0]), rel=1e-5)
    inside = [bin.interval[0] <= bin.predicted <= bin.interval[1] for bin in own.calibration]
    assert sum(inside) >= 8  # of ten: the rows are drawn as the model says


def test_scores_that_round_to_the_same_probability_are_told_apart() -> None:
    logits = np.array([[40.0], [50.0], [60.0], [70.0]])
    assert curves(logits, np.array([0, 0, 1, 1]), ("no", "yes")).classes[0].auc == 1.0


def test_of_many_classes_ten_are_shown_in_little_space() -> None:
    truth = DRAW.integers(0, 14, 6000) % (1 + DRAW.integers(0, 14, 6000))
    logits = DRAW.normal(size=(6000, 14)) + 2 * (truth[:, None] == np.arange(14))
    found = curves(logits, truth.astype(np.int64), NAMES)
    assert [own.name for own in found.classes] == list(NAMES[:10])
    assert found.left_out == 4
    third = torch.from_numpy(logits).softmax(-1)[:, 2].numpy()
    assert found.classes[2].auc == pytest.approx(roc_auc_score(truth == 2, third), rel=1e-5)
    assert all(len(own.true_positive_rate) <= 100 for own in found.classes)
    assert len(found.model_dump_json()) < 60_000


def test_a_class_without_sealed_rows_has_no_curve() -> None:
    logits = DRAW.normal(size=(50, 3))
    found = curves(logits, DRAW.integers(0, 2, 50), NAMES[:3])
    last = found.classes[2]
    assert (last.rows, last.auc, last.true_positive_rate) == (0, None, [])
    assert all(own.observed == 0 for own in last.calibration)


def test_numbers_are_shown_beside_the_truth() -> None:
    truth = DRAW.normal(size=5000) * 1e6
    predicted = truth + DRAW.normal(size=5000)
    found = curves(predicted[:, None], truth)
    own = found.numbers
    assert own is not None
    assert (len(own.truth), own.residual, found.classes) == (500, "difference", [])
    np.testing.assert_allclose(
        np.array(own.quantiles), np.quantile(truth - predicted, own.levels), rtol=1e-4
    )
    assert len(found.model_dump_json()) < 30_000
    assert found == curves(predicted[:, None], truth)
    assert found != curves(predicted[:, None], truth, seed=1)


def test_counts_have_deviance_residuals() -> None:
    expected = np.exp(DRAW.normal(size=400))
    truth = DRAW.poisson(expected).astype(float)
    own = curves(expected[:, None], truth, loss="poisson").numbers
    assert own is not None
    assert own.residual == "deviance"
    residuals = np.array(own.residuals)
    assert np.mean(residuals**2) == pytest.approx(mean_poisson_deviance(truth, expected), rel=1e-4)
    np.testing.assert_array_equal(np.sign(residuals), np.sign(truth - expected))


def test_predictions_that_are_no_numbers_are_not_shown() -> None:
    with pytest.raises(Absent, match="no finite number"):
        curves(np.array([[0.0], [np.nan]]), np.array([0, 1]), ("no", "yes"))
    with pytest.raises(Absent, match="No rows are sealed"):
        curves(np.zeros((0, 1)), np.zeros(0))


def test_a_constant_is_a_diagonal() -> None:
    found: SealedCurves = curves(np.zeros((60, 1)), np.arange(60) % 2, ("no", "yes"))
    (own,) = found.classes
    assert (own.false_positive_rate, own.true_positive_rate) == ([0, 1], [0, 1])
    assert (own.auc, own.auc_interval) == (0.5, None)
