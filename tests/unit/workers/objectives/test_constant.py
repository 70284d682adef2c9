"""The constant predictor, and how much better than it a model is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from populations import job, made_up_fold
from torch.nn.functional import cross_entropy

from workers.objectives.constant import constant_logits, explained_share


def test_no_other_constant_has_a_smaller_loss() -> None:
    targets = torch.tensor([0, 2, 1, 2, 2, 0])
    best = constant_logits(targets, 3)
    at_best = cross_entropy(best.expand(6, 3), targets)
    for change in torch.randn(20, 3, generator=torch.manual_seed(0)).double():
        assert cross_entropy((best + 0.1 * change).expand(6, 3), targets) >= at_best
    assert constant_logits(torch.tensor([0, 1, 1, 1]), 1).exp().tolist() == pytest.approx([3.0])
    assert constant_logits(torch.randn(4), 1).tolist() == [0.0]


def test_a_constant_explains_nothing_and_the_truth_everything() -> None:
    numbers, pairs, triples = (made_up_fold(60, classes=classes) for classes in (0, 2, 3))
    mean = numbers.train_targets.mean().expand(60, 1)
    regression = job(task="regression")
    assert explained_share(regression, mean, numbers.train_targets) == pytest.approx(0, abs=1e-6)
    truth = numbers.train_targets.unsqueeze(1)
    assert explained_share(regression, truth, numbers.train_targets) == 1
    labels = pairs.train_targets
    share = labels.double().mean()
    logit = (share / (1 - share)).log().expand(60, 1)
    assert explained_share(job(), logit, pairs.train_targets) == pytest.approx(0, abs=1e-6)
    assert explained_share(job(), 100.0 * (2 * labels - 1).unsqueeze(1), pairs.train_targets) == 1
    labels = triples.train_targets
    logits = labels.bincount().double().log().expand(60, 3)
    assert explained_share(job(), logits, triples.train_targets) == pytest.approx(0, abs=1e-6)
    assert explained_share(job(), logits.flip(1), triples.train_targets) <= 0


def test_under_balanced_weights_the_constant_is_the_even_one() -> None:
    fold = made_up_fold(60, classes=2)
    labels = torch.tensor([0] * 50 + [1] * 10)
    fold = replace(fold, train_targets=labels)
    balanced = job(class_weights="balanced")
    assert explained_share(balanced, torch.zeros(60, 1), fold.train_targets) == pytest.approx(
        0, abs=1e-6
    )
    assert explained_share(job(), torch.zeros(60, 1), fold.train_targets) < -0.5


def test_a_target_that_never_varies_leaves_nothing_to_explain() -> None:
    fold = replace(made_up_fold(60, classes=0), train_targets=torch.zeros(60))
    assert explained_share(job(task="regression"), torch.zeros(60, 1), fold.train_targets) == 0
