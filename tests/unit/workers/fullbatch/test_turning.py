"""Columns that determine each other: what rounding leaves of them gets no weights of its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

from workers.fullbatch.exact import Exact, exact_folds
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.fullbatch.turning import spread_out, turned
from workers.kernels import load
from workers.kernels.library import Library
from workers.objectives.losses import Huber, Kind
from workers.penalties.components import Components

ROWS, COLUMNS, RANK = 120, 14, 6
KINDS: dict[str, Kind] = {
    "squares": "regression",
    "two classes": "binary",
    "classes": "multiclass",
    "counts": "poisson",
    "huber": Huber(0.3),
}
compiled = pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")


def _inputs(seed: int) -> np.ndarray:
    """Return columns of six directions alone, float64."""
    draw = np.random.default_rng(seed)
    inputs = draw.normal(size=(ROWS, RANK)) @ draw.normal(size=(RANK, COLUMNS))
    return (inputs - inputs.mean(0)) / inputs.std(0)


def _targets(inputs: np.ndarray, name: str, seed: int) -> np.ndarray:
    draw = np.random.default_rng(100 + seed)
    signal = inputs @ draw.normal(size=COLUMNS) / 6 + draw.normal(size=ROWS)
    if name == "two classes":
        return (signal > 0).astype(float)
    if name == "classes":
        return np.digitize(signal, np.quantile(signal, [0.33, 0.66])).astype(float)
    return draw.poisson(np.exp(signal / 2)).astype(float) if name == "counts" else signal


def _solved(inputs: np.ndarray, targets: np.ndarray, kind: Kind, own: Components) -> Exact:
    rows = TrainingRows(torch.tensor(inputs).float(), torch.tensor(targets).float())
    outputs = 3 if kind == "multiclass" else 1
    fit = LinearFit([rows], kind, outputs, torch.float32, torch.device("cpu"))
    library = load(torch.float32)
    assert isinstance(library, Library)
    solver = Exact(fit, Strengths.of([own]), exact_folds(fit, library))
    solver.advance()
    return solver


def _predicted(inputs: np.ndarray, targets: np.ndarray, name: str) -> np.ndarray:
    """Return scikit-learn's outputs in float64, which fits the six directions alone."""
    if name == "squares":
        return LinearRegression().fit(inputs, targets).predict(inputs)
    if name == "counts":
        model = PoissonRegressor(alpha=0, tol=1e-12, max_iter=10_000, solver="newton-cholesky")
        return np.log(model.fit(inputs, targets).predict(inputs))
    return (
        LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
        .fit(inputs, targets)
        .decision_function(inputs)
    )


@compiled
@pytest.mark.parametrize("name", ["squares", "two classes", "classes", "counts"])
@pytest.mark.parametrize("seed", range(3))
def test_single_precision_is_scikit_learns_in_double(name: str, seed: int) -> None:
    inputs = _inputs(seed)
    targets = _targets(inputs, name, seed)
    turned_inputs = np.linalg.svd(inputs, full_matrices=False)[0][:, :RANK] * np.sqrt(ROWS)
    solver = _solved(inputs, targets, KINDS[name], Components())
    assert solver.converged.all()
    weights, intercepts = solver.weights[0, 0].double(), solver.intercepts[0, 0].double()
    found = (torch.tensor(inputs) @ weights.T + intercepts).numpy().squeeze()
    expected = _predicted(turned_inputs, targets, name)
    if found.ndim == 2:  # only differences of classes' logits mean anything
        expected = expected - expected.mean(1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@compiled
@pytest.mark.parametrize("strength", [0.0, 1e-9, 1e-7])
@pytest.mark.parametrize("name", ["classes", "counts", "huber"])
def test_next_to_no_penalty_converges_to_weights_of_the_signals_size(
    name: str, strength: float
) -> None:
    for seed in range(5):
        inputs = _inputs(seed)
        targets = _targets(inputs, name, seed)
        solver = _solved(inputs, targets, KINDS[name], Components(l2=strength))
        assert solver.converged.all()
        assert solver.weights.abs().max() < 3


def test_rows_are_turned_to_what_they_tell_of() -> None:
    inputs = torch.tensor(_inputs(0) * np.geomspace(1e-6, 1e6, COLUMNS)).float()
    inputs = torch.cat([inputs, torch.full((ROWS, 1), 0.1)], 1)  # and a column that is constant
    shares = torch.rand(ROWS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares[:10], shares = 0, shares / shares[10:].sum()
    found = turned(inputs, shares / shares.sum())
    assert found.rows.shape == (ROWS, RANK)
    rows, shares = found.rows.double(), shares / shares.sum()
    torch.testing.assert_close(
        rows.T @ (shares[:, None] * rows), torch.eye(RANK).double(), atol=1e-5, rtol=0
    )
    again = (inputs.double() - found.means) @ found.weights.T  # what weights of one predict
    torch.testing.assert_close(again, rows, atol=1e-3, rtol=0)
    assert (found.weights[:, -1] == 0).all()


def test_what_a_large_means_rounding_leaves_is_no_direction() -> None:
    inputs = torch.tensor([[3.1541, 2.9707], [2.7821, 3.0568]], dtype=torch.float64)
    found = turned(inputs, torch.full((2,), 0.5, dtype=torch.float64))
    assert found.rows.shape == (2, 1)  # two rows differ in one
    assert found.weights.abs().max() < 10


def test_only_narrow_directions_are_turned() -> None:
    draw = torch.randn(50, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    scaled = draw * torch.tensor([1e-6, 1.0, 1e6, 0.0, 3.0], dtype=torch.float64)
    assert spread_out(scaled.T @ scaled)
    scaled[:, 3] = scaled[:, 1] + 1e-4 * draw[:, 3]
    assert not spread_out(scaled.T @ scaled)
