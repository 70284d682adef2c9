"""Objectives against scikit-learn's, for several members at once, and their standard errors."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import workers.objectives.metrics
from ridgeway.spec.names import OBJECTIVE_ROWS, Objective, objectives_of
from workers.objectives.metrics import (
    METRICS,
    MOST_UNITS,
    REPLICATES,
    bootstrap_error,
    resampled_units,
    resampled_weights,
    score,
    weighted_score,
)


def test_every_objective_of_the_spec_has_its_metric() -> None:
    assert set(METRICS) == set(OBJECTIVE_ROWS)


def logits_of(outputs: int, rows: int, seed: int) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    # Rounded, so that there are ties.
    logits = torch.randn(3, rows, outputs, generator=draw, dtype=torch.float64).mul(4).round() / 4
    targets = torch.randint(max(2, outputs), (rows,), generator=draw)
    targets[: max(2, outputs)] = torch.arange(max(2, outputs))
    return logits, targets


def error_over_rows(
    metric: Objective, logits: Tensor, targets: Tensor, groups: Tensor | None, seed: int
) -> Tensor:
    drawn = resampled_weights(len(targets), groups, seed, REPLICATES)
    return bootstrap_error(metric, logits, targets, drawn)


def expected(metric: str, logits: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    binary = logits.shape[-1] == 1
    shares = torch.tensor(logits).softmax(-1).numpy()
    if binary:
        positive = 1 / (1 + np.exp(-logits[:, 0]))
        shares = np.stack([1 - positive, positive], 1)
    guess = (logits[:, 0] > 0).astype(int) if binary else logits.argmax(1)
    if metric == "loss":
        labels = np.arange(shares.shape[1])
        return float(reference.log_loss(truth, shares, labels=labels, sample_weight=weights))
    if metric == "roc_auc" and binary:
        return float(reference.roc_auc_score(truth, logits[:, 0], sample_weight=weights))
    if metric == "roc_auc":
        return float(
            reference.roc_auc_score(
                truth, shares, multi_class="ovr", average="macro", sample_weight=weights
            )
        )
    scorer = {
        "accuracy": reference.accuracy_score,
        "balanced_accuracy": reference.balanced_accuracy_score,
    }[metric]
    return float(scorer(truth, guess, sample_weight=weights))


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), rows=st.integers(12, 80))
@pytest.mark.parametrize("metric", objectives_of("classification"))
@pytest.mark.parametrize("outputs", [1, 4])
def test_classification_metrics_are_scikit_learns(
    metric: str, outputs: int, seed: int, rows: int
) -> None:
    logits, targets = logits_of(outputs, rows, seed)
    counts = torch.ones(2, rows, dtype=torch.float64)
    counts[1] = torch.arange(rows) % 3 + 1
    found = weighted_score(metric, logits, targets, counts)  # type: ignore[arg-type]
    for member in range(3):
        for row in range(2):
            truth = expected(metric, logits[member].numpy(), targets.numpy(), counts[row].numpy())
            assert found[member, row].item() == pytest.approx(truth, rel=1e-9, abs=1e-12)
    assert torch.allclose(score(metric, logits, targets), found[:, 0])  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", objectives_of("regression"))
def test_regression_metrics_are_scikit_learns(metric: str) -> None:
    draw = torch.Generator().manual_seed(0)
    targets = torch.randn(31, generator=draw, dtype=torch.float64) * 5 + 100
    predictions = targets[None, :, None] + torch.randn(3, 31, 1, generator=draw).double()
    scorer = reference.r2_score if metric == "r2" else reference.mean_squared_error
    truth = [scorer(targets, predictions[member, :, 0]) for member in range(3)]
    assert score(metric, predictions, targets).tolist() == pytest.approx(truth, rel=1e-9)  # type: ignore[arg-type]


def test_r2_of_a_target_that_does_not_vary_is_scikit_learns() -> None:
    targets = torch.full((4,), 2.0)
    predictions = torch.tensor([[2.0, 2, 2, 2], [2, 2, 2, 3]]).unsqueeze(-1)
    assert score("r2", predictions, targets).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("metric", objectives_of("classification"))
def test_a_logit_that_is_not_finite_makes_its_own_members_score_nan(metric: str) -> None:
    logits, targets = logits_of(1, 20, 0)
    clean = score(metric, logits, targets)  # type: ignore[arg-type]
    logits[1, 3] = math.inf
    broken = score(metric, logits, targets)  # type: ignore[arg-type]
    assert broken.isnan().tolist() == [False, True, False]
    assert torch.equal(broken[[0, 2]], clean[[0, 2]])


def test_the_bootstrap_error_of_a_mean_is_its_textbook_error() -> None:
    logits, targets = logits_of(1, 400, 1)
    error = error_over_rows("accuracy", logits, targets, None, seed=0)
    accuracy = score("accuracy", logits, targets)
    assert torch.allclose(error, (accuracy * (1 - accuracy) / 400).sqrt(), rtol=0.15)


def test_many_rows_are_drawn_in_random_blocks_with_the_same_error() -> None:
    rows = 3 * MOST_UNITS + 7
    logits, targets = logits_of(1, rows, 1)
    ordered = targets.argsort()  # neighbours alike, as in a file that is sorted
    unit, drawn = resampled_units(rows, None, seed=0, replicates=1)
    assert unit.bincount().tolist() == [4] * 7 + [3] * (MOST_UNITS - 7)
    assert next(drawn).shape == (1, MOST_UNITS)
    error = error_over_rows("accuracy", logits[:, ordered], targets[ordered], None, seed=0)
    accuracy = score("accuracy", logits, targets)
    assert torch.allclose(error, (accuracy * (1 - accuracy) / rows).sqrt(), rtol=0.15)


def test_rows_of_one_group_are_drawn_together() -> None:
    logits, targets = logits_of(1, 40, 1)
    repeated = logits.repeat_interleave(10, 1), targets.repeat_interleave(10)
    groups = torch.arange(40).repeat_interleave(10) * 7
    by_group = error_over_rows("roc_auc", *repeated, groups, seed=3)
    assert torch.allclose(by_group, error_over_rows("roc_auc", logits, targets, None, seed=3))
    assert (error_over_rows("roc_auc", *repeated, None, seed=3) < 0.5 * by_group).all()


def test_a_replicate_without_a_class_leaves_it_out_of_balanced_accuracy() -> None:
    logits = torch.tensor([[[1.0], [-1.0], [1.0]]])
    weights = torch.tensor([[1.0, 1.0, 0.0]]).double()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert weighted_score("balanced_accuracy", logits, torch.tensor([0, 0, 1]), weights) == 0.5


def test_replicates_without_a_positive_leave_the_error_of_the_others() -> None:
    draw = torch.Generator().manual_seed(0)
    targets = (torch.arange(60) < 4).long()
    logits = torch.randn(2, 60, 1, generator=draw) + targets[:, None]
    errors = error_over_rows("roc_auc", logits, targets, None, seed=0)

    random = np.random.default_rng(1)
    areas: list[list[float]] = []
    empty = 0
    while len(areas) < 500:
        rows = random.integers(60, size=60)
        if not targets[rows].any():
            empty += 1
            continue
        truth = targets[rows].numpy()
        areas.append([reference.roc_auc_score(truth, scores[rows, 0]) for scores in logits.numpy()])
    assert empty > 0
    assert errors.tolist() == pytest.approx(np.std(areas, axis=0, ddof=1).tolist(), rel=0.15)


def test_an_error_needs_two_replicates_with_a_value() -> None:
    logits, targets = logits_of(1, 30, 0)
    logits[1, 3] = math.nan
    errors = error_over_rows("accuracy", logits, targets, None, seed=0)
    assert errors.isnan().tolist() == [False, True, False]
    assert error_over_rows("roc_auc", logits, torch.zeros(30).long(), None, seed=0).isnan().all()


class LargestTensor(TorchDispatchMode):
    """The most numbers that any operation made."""

    numbers = 0

    def __torch_dispatch__(  # type: ignore[override] # torch's own signature isn't typed
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        if isinstance(made, Tensor):
            self.numbers = max(self.numbers, made.numel())
        return made


@pytest.mark.parametrize("metric", objectives_of("classification"))
def test_the_bootstrap_takes_a_block_of_memory_whatever_the_number_of_rows(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, targets = logits_of(1, 3000, 2)
    groups = torch.arange(3000) // 2
    whole = error_over_rows(metric, logits, targets, groups, seed=5)  # type: ignore[arg-type]
    monkeypatch.setattr(workers.objectives.metrics, "BLOCK", 2**14)
    with LargestTensor() as largest:
        blocks = error_over_rows(metric, logits, targets, groups, seed=5)  # type: ignore[arg-type]
    assert largest.numbers <= 2 * 2**14
    assert torch.allclose(blocks, whole, rtol=1e-12, atol=0)
