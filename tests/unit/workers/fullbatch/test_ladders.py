"""Members that start from one ladder have the same bits whoever asked for it first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.fullbatch.exact import ExactFold
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import load
from workers.kernels.library import Library
from workers.objectives.losses import Kind
from workers.penalties.components import Components

LASSO = Components(l1=0.02)
NEARLY = Components(l1=0.019, group=0.0004)  # a mixture that starts where lassos do


@pytest.mark.skipif(not isinstance(load(torch.float64), Library), reason="no compiler")
@pytest.mark.parametrize("seed", [1, 4])
def test_a_mixture_that_is_nearly_a_lasso_changes_no_lasso(seed: int) -> None:
    lasso_first, mixture_first = _solved(seed, [LASSO, NEARLY]), _solved(seed, [NEARLY, LASSO])
    for own, other in zip(lasso_first, mixture_first[::-1], strict=True):
        assert torch.equal(own, other)


@pytest.mark.skipif(not isinstance(load(torch.float64), Library), reason="no compiler")
@pytest.mark.parametrize("kind", ["regression", "binary", "poisson"])
def test_fewer_rows_than_inputs_that_are_all_constant_leave_the_intercept(kind: Kind) -> None:
    rows = TrainingRows(torch.zeros(5, 10, dtype=torch.float64), torch.arange(5) % 2 * 1.0)
    fit = LinearFit([rows], kind, 1, torch.float64, torch.device("cpu"))
    library = load(torch.float64)
    assert isinstance(library, Library)
    for own in (Components(), Components(l2=0.1), Components(l1=0.1)):
        found = ExactFold(fit, rows, library).solve(Wanted(own))
        assert found is not None
        assert found.converged
        assert (found.weights == 0).all()


def _solved(seed: int, parts: list[Components]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(300, 12, generator=generator, dtype=torch.float64)
    scores = inputs[:, :6] @ torch.randn(6, 3, generator=generator, dtype=torch.float64)
    rows, library = TrainingRows(inputs, scores.argmax(1)), load(torch.float64)
    assert isinstance(library, Library)
    fit = LinearFit([rows], "multiclass", 3, torch.float64, torch.device("cpu"))
    fold = ExactFold(fit, rows, library)
    found = [fold.solve(Wanted(part)) for part in parts]
    assert all(own is not None and own.converged for own in found)
    return [own.weights for own in found if own]
