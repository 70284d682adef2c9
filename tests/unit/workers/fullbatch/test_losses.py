"""Linear models under Poisson's and Huber's loss, by both solvers, against scikit-learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from populations import CPU, job
from sklearn.linear_model import HuberRegressor, PoissonRegressor
from torch import Tensor

from workers.data.folds import Fold
from workers.data.targets import centre_and_scale
from workers.fullbatch.exact import Exact, ExactFold
from workers.fullbatch.fista import Fista
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import load
from workers.models.by_input import ByInput
from workers.objectives.losses import Huber, Kind
from workers.penalties.components import Components
from workers.penalties.conversions import sklearn_poisson
from workers.strength.range import critical_strengths

DRAW = np.random.default_rng(0)
INPUTS = DRAW.normal(size=(120, 6))
INPUTS = (INPUTS - INPUTS.mean(0)) / INPUTS.std(0)
SIGNAL = INPUTS @ np.array([0.6, -0.4, 0.2, 0, 0, 0])
COUNTS = DRAW.poisson(5 * np.exp(SIGNAL)).astype(float)
OUTLIERS = 3 + SIGNAL + 0.3 * DRAW.standard_t(1.5, size=120)
WAYS = ("side by side", "one by one")


def fold_of(targets: np.ndarray, kind: Kind) -> Fold:
    centre, scale = centre_and_scale(targets, kind)
    data, own = torch.tensor(INPUTS), torch.tensor((targets - centre) / scale)
    return Fold(data, own, data, torch.tensor(targets), centre, scale)


def solved(way: str, fold: Fold, kind: Kind, member: Components) -> tuple[Tensor, float]:
    """Return weights (d,) and the intercept."""
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    fit = LinearFit([rows], kind, 1, torch.float64, CPU)
    own = Strengths.of([member])
    library = load(torch.float64)
    if isinstance(library, str) and way == "one by one":
        pytest.skip(library)
    solver = Fista(fit, own)
    if not isinstance(library, str) and way == "one by one":
        solver = Exact(fit, own, [ExactFold(fit, rows, library)])
    for _ in range(20):
        if solver.active.any():
            solver.advance()
    assert solver.converged.all()
    return solver.weights[0, 0, 0], solver.intercepts[0, 0, 0].item()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("strength", [0.001, 0.3])
def test_ridge_on_counts_is_scikit_learns_poisson_regression(way: str, strength: float) -> None:
    fold = fold_of(COUNTS, "poisson")
    weights, intercept = solved(way, fold, "poisson", Components(l2=strength))
    arguments = sklearn_poisson("l2", strength, 0.0, fold.target_scale)
    assert arguments is not None
    theirs = PoissonRegressor(**arguments, solver="newton-cholesky", tol=1e-12, max_iter=1000)
    theirs.fit(INPUTS, COUNTS)
    np.testing.assert_allclose(weights, theirs.coef_, atol=1e-8)
    assert np.log(fold.target_scale) + intercept == pytest.approx(theirs.intercept_, abs=1e-8)


@pytest.mark.parametrize("way", WAYS)
def test_ridge_under_hubers_loss_is_scikit_learns_at_the_scale_that_it_estimates(way: str) -> None:
    theirs = HuberRegressor(epsilon=1.5, alpha=2.0, tol=1e-10, max_iter=10_000)
    theirs.fit(INPUTS, OUTLIERS)
    assert 0.1 < theirs.outliers_.mean() < 0.5
    spread = OUTLIERS.std()
    kind = Huber(1.5 * theirs.scale_ / spread)
    # Theirs is the sum of s H(r / s), and of 2 w²; ours the mean, where s times less is inside.
    strength = theirs.scale_ * 2.0 / len(OUTLIERS)
    fold = fold_of(OUTLIERS, kind)
    weights, intercept = solved(way, fold, kind, Components(l2=strength))
    np.testing.assert_allclose(spread * weights, theirs.coef_, atol=1e-4)
    found = fold.target_mean + spread * intercept
    assert found == pytest.approx(theirs.intercept_, abs=1e-4)


@pytest.mark.parametrize(("loss", "targets"), [("poisson", COUNTS), ("huber", OUTLIERS)])
@pytest.mark.parametrize(("penalize", "free"), [("weights", 0), ("weights", 1), ("all", 0)])
def test_the_last_weight_goes_at_the_largest_strength(
    loss: str, targets: np.ndarray, penalize: str, free: int
) -> None:
    """free: of the inputs, how many no penalty holds; the first ones, which tell the most."""
    spec = job(
        task="regression",
        loss=loss,
        model={"kind": "linear"},
        penalize=penalize,
        search={"penalty": ["l1", "group_lasso"]},
    )
    kind: Kind = "poisson" if loss == "poisson" else Huber(1.35)
    fold = fold_of(targets, kind)
    factors = torch.tensor([0.0] * free + [1.0] * (INPUTS.shape[1] - free)).double()
    inputs = ByInput(factors=factors if free else None)
    largest, of_groups = critical_strengths(spec, fold, 1, inputs)
    assert largest == pytest.approx(of_groups)
    library = load(torch.float64)
    if isinstance(library, str):
        pytest.skip(library)
    rows = TrainingRows(fold.train_inputs, fold.train_targets)
    fit = LinearFit([rows], kind, 1, torch.float64, CPU)
    fit = replace(fit, penalize=penalize, factors=inputs.factors)
    for factor, any_left in ((1 + 1e-6, False), (1 - 1e-4, True)):
        own = Strengths.of([Components(l1=factor * largest)])
        solver = Exact(fit, own, [ExactFold(fit, rows, library)])
        solver.advance()
        assert bool((solver.weights[..., free:] != 0).any()) is any_left
        assert bool((solver.weights[..., :free] != 0).all())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_levels_of_categories_do_not_creep_side_by_side(dtype: torch.dtype) -> None:
    """All levels of a category move together without any change of the loss."""
    draw = np.random.default_rng(0)
    levels = [np.eye(count)[draw.integers(count, size=300)] for count in (4, 2)]
    inputs = np.hstack([draw.normal(size=(300, 6)), *levels])
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    signal = inputs @ np.array([0.4, -0.3, 0.2, 0.1, 0.05, 0, 0.3, -0.2, 0, 0.1, 0, 0])
    counts = torch.tensor(draw.poisson(2 * np.exp(signal)), dtype=dtype)
    rows = TrainingRows(torch.tensor(inputs, dtype=dtype), counts)
    fit = LinearFit([rows], "poisson", 1, dtype, CPU)
    solver = Fista(fit, Strengths.of([Components(l1=own) for own in (0.1, 0.03, 0.01, 0.003)]))
    for _ in range(30):  # as many as a job has epochs
        if solver.active.any():
            solver.advance()
    assert solver.converged.all()
