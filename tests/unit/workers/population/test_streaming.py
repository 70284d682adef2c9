"""A population whose rows stay in a file learns what it learns from rows in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from populations import configuration
from streamed import both, made_up

from workers.data.mapped import LazyRows
from workers.data.prepare import Prepared
from workers.fullbatch.stand_in import with_same_moments
from workers.minibatch import feed
from workers.population import judging
from workers.population.problem import Problem, problem_of
from workers.strength.range import strength_range
from workers.train import refit, train

CPU = torch.device("cpu")
MEMBERS = [configuration("l1", 0.01), configuration("l2", 0.1), configuration("none", 0.0)]


def in_memory(problem: Problem) -> Problem:
    """Return the same rows, standardised by the same statistics, in memory."""
    return replace(
        problem,
        folds=[
            replace(fold, train_inputs=fold.train_inputs[:], valid_inputs=fold.valid_inputs[:])
            for fold in problem.folds
        ],
    )


def problems(folder: Path, **fields: Any) -> tuple[Prepared, Prepared, Problem, Problem]:
    classes = fields.get("task") != "regression"
    whole, own = both(
        made_up(classes=classes), folder, epochs=3, drop=["group", "weight"], **fields
    )
    return whole, own, problem_of(whole, CPU), problem_of(own, CPU)


LINEAR: dict[str, Any] = {"model": {"kind": "linear"}}


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize(
    "fields",
    [
        {"model": {"kind": "mlp", "hidden": [8]}, "batch_size": 32},
        {**LINEAR, "optimizer": "adamw", "objective": "roc_auc", "validation": {"kind": "holdout"}},
        {**LINEAR, "task": "regression", "optimizer": "sgd"},
    ],
)
def test_members_are_bitwise_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], ahead: bool
) -> None:
    """With an epoch laid out at once, and with batches gathered ahead, members judged by parts."""
    whole, _, first, problem = problems(tmp_path, **fields)
    if ahead:
        monkeypatch.setattr(feed, "EPOCH_FLOATS", 0)
        monkeypatch.setattr(feed, "GATHERED_FLOATS", 1000)
        monkeypatch.setattr(judging, "LOGITS_FLOATS", 1000)
        monkeypatch.setattr(judging, "SCORED_FLOATS", 300)
    found = train(problem, MEMBERS)
    expected = train(in_memory(problem), MEMBERS)
    np.testing.assert_array_equal(found.curves, expected.curves)
    np.testing.assert_array_equal(found.standard_errors, expected.standard_errors)
    for name, value in expected.states.items():
        assert torch.equal(found.states[name], value)
    # As a job in memory has it, whose statistics round in another order.
    np.testing.assert_allclose(found.values, train(first, MEMBERS).values, rtol=1e-4)
    assert not torch.is_tensor(problem.folds[0].train_inputs)
    assert torch.is_tensor(whole.folds[0].train_inputs)


def test_a_refit_and_the_range_of_strengths_are_those_in_memory(tmp_path: Path) -> None:
    whole, own, first, problem = problems(tmp_path, **LINEAR)
    models = refit(replace(problem, folds=[own.development()]), MEMBERS)
    expected = refit(replace(first, folds=[whole.development()]), MEMBERS)
    for name, value in expected.states.items():
        torch.testing.assert_close(models.states[name], value, rtol=1e-4, atol=1e-6)
    ends = strength_range(own, problem, lambda done, of: None)
    theirs = strength_range(whole, first, lambda done, of: None)
    assert (ends.low, ends.high) == pytest.approx((theirs.low, theirs.high), rel=1e-5)


def test_moments_alone_give_the_optimum_of_squares(tmp_path: Path) -> None:
    exact: dict[str, Any] = {"task": "regression", "optimizer": "exact", "precision": "float64"}
    _, own, first, problem = problems(tmp_path, **LINEAR, **exact)
    found, expected = train(problem, MEMBERS), train(first, MEMBERS)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-7)
    np.testing.assert_array_equal(found.nonzero_weights[:2], expected.nonzero_weights[:2])
    inputs = own.development().train_inputs
    assert isinstance(inputs, LazyRows)
    rows = with_same_moments(inputs, own.development().train_targets, torch.ones(len(inputs)))
    assert len(rows.inputs) == inputs.shape[1] + 2
    ours = np.column_stack([rows.inputs, rows.targets])
    theirs = np.column_stack([inputs[:], own.development().train_targets])
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=1e-12)
    np.testing.assert_allclose(np.cov(ours.T, ddof=0), np.cov(theirs.T, ddof=0), atol=1e-12)


def test_other_losses_are_solved_from_rows_that_are_read(tmp_path: Path) -> None:
    exact: dict[str, Any] = {"optimizer": "exact", "precision": "float64"}
    _, _, first, problem = problems(tmp_path, **LINEAR, **exact)
    members = MEMBERS[:2]
    np.testing.assert_allclose(
        train(problem, members).values, train(first, members).values, rtol=1e-6
    )
