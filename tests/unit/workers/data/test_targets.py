"""Targets are standardised so that, of all constants, a logit of 0 has the least loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import mean_pinball_loss, mean_poisson_deviance

from ridgeway.errors import JobUnrunnable
from ridgeway.spec.wording import parse_spec
from workers.data.prepare import check_and_prepare
from workers.data.targets import centre_and_scale
from workers.objectives.losses import Huber, Kind, Quantile, response, response_losses, row_losses
from workers.objectives.metrics import score

TARGETS = np.random.default_rng(1).standard_t(1.5, size=60) ** 2


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 61) / 30.5])
@pytest.mark.parametrize("kind", ["regression", "poisson", Huber(0.1), Huber(1.35)])
def test_no_constant_is_better_than_a_logit_of_zero(kind: Kind, weights: np.ndarray | None) -> None:
    centre, scale = centre_and_scale(TARGETS, kind, weights)
    targets = torch.tensor((TARGETS - centre) / scale)

    def loss(constant: float) -> float:
        rows = row_losses(kind, torch.full((60, 1), constant).double(), targets)
        return float(np.average(rows.numpy(), weights=weights))

    best = minimize_scalar(loss, bracket=(-0.1, 0.1), tol=1e-12)
    assert best.x == pytest.approx(0, abs=1e-6)
    assert loss(0.0) <= best.fun + 1e-12


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("weights", [None, np.arange(60.0)])
@pytest.mark.parametrize("targets", [TARGETS, TARGETS.round()])
def test_no_constant_has_a_smaller_pinball_loss_than_the_quantile(
    targets: np.ndarray, level: float, weights: np.ndarray | None
) -> None:
    centre, _ = centre_and_scale(targets, Quantile(level), weights)
    options = {"sample_weight": weights, "alpha": level}
    losses = [
        mean_pinball_loss(targets, np.full(60, each), **options) for each in [centre, *targets]
    ]
    assert losses[0] <= min(losses) + 1e-12
    found = score(
        "loss",
        torch.full((1, 60, 1), centre, dtype=torch.float64),
        torch.tensor(targets),
        Quantile(level),
        None if weights is None else torch.tensor(weights),
    )
    assert found.item() == pytest.approx(losses[0], rel=1e-12)


def test_the_median_of_an_even_count_is_the_middle() -> None:
    assert centre_and_scale(np.array([1.0, 2.0, 4.0, 9.0]), Quantile(0.5))[0] == 3.0


def test_the_loss_of_counts_is_scikit_learns_deviance_and_none_for_the_truth() -> None:
    counts = torch.tensor([0.0, 1.0, 4.0, 2.0])
    logits = torch.tensor([[0.1, 0.2, 1.0, -0.5], [800.0, 0.0, 0.0, 0.0]]).double()[..., None]
    found = score("loss", response("poisson", logits, 0.0, 3.0), counts, "poisson")
    theirs = mean_poisson_deviance(counts, 3 * logits[0, :, 0].exp())
    assert found[0].item() == pytest.approx(theirs, rel=1e-12)
    assert found.isfinite().all()
    assert response_losses("poisson", counts.double()[:, None], counts).abs().max() < 1e-15


def test_what_has_no_best_expectation_is_refused() -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "y": [3.0] + [0.0] * 59})
    spec = parse_spec({"dataset": "made up", "loss": "poisson", "model": {"kind": "linear"}})
    with pytest.raises(JobUnrunnable, match="in the rows of every fold"):
        check_and_prepare(spec, frame)
    with pytest.raises(JobUnrunnable, match="at least 0"):
        check_and_prepare(spec, frame.assign(y=frame["x"] - 5))


def test_no_fresh_split_or_half_trains_on_nothing_but_zeros() -> None:
    frame = pd.DataFrame({"x": np.arange(120.0), "y": [3.0, 1.0, 2.0, 5.0, 1.0] + [0.0] * 115})
    given = {"dataset": "made up", "loss": "poisson", "model": {"kind": "linear"}}
    splits = {"validation": {"kind": "folds", "folds": 2}, "seed": 1}
    prepared = check_and_prepare(parse_spec({**given, **splits}), frame)
    refused, halved = 0, []
    for seed in range(40):
        try:
            folds = prepared.resplit(seed)
        except JobUnrunnable:
            refused += 1
        else:
            assert all(fold.train_targets.any() for fold in folds)
        halved.append(prepared.halves(seed))
    assert 0 < refused < 40
    assert any(halves is None for halves in halved)
    assert all(half.train_targets.any() for halves in halved if halves for half in halves)
