"""Where more columns ask to be worked on than there is room for, all are checked at the end."""

from __future__ import annotations

import pytest
import torch

from workers.fullbatch import paths
from workers.fullbatch.exact import ExactFold
from workers.fullbatch.paths import Wanted
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.kernels import linear, load
from workers.kernels.library import Library
from workers.penalties.components import Components


@pytest.mark.skipif(not isinstance(load(torch.float32), Library), reason="no compiler")
@pytest.mark.parametrize("seed", range(3))
def test_no_column_is_left_out_of_the_check(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    # Far from a rung more columns are violated on the way than there is room for.
    monkeypatch.setattr(paths, "RUNGS_A_DECADE", {"classes": 1, "squares": 1})
    monkeypatch.setattr(linear, "MOST_COORDINATES", 160)
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(150, 6000, generator=generator)
    targets = inputs[:, :20].sum(1) + torch.randn(150, generator=generator)
    targets = (targets - targets.mean()) / targets.std(correction=0)
    rows, library = TrainingRows(inputs, targets), load(torch.float32)
    assert isinstance(library, Library)
    fit = LinearFit([rows], "regression", 1, torch.float32, torch.device("cpu"))
    fold = ExactFold(fit, rows, library)
    centred, deviations = inputs.double() - inputs.double().mean(0), targets.double()
    critical = 2 * (centred.T @ deviations).abs().max() / len(targets)
    for share in (0.2, 0.06, 0.02):
        strength = share * critical.item()
        found = fold.solve(Wanted(Components(l1=strength)))
        assert found is not None
        assert found.converged
        weights = found.weights[0].double()
        gradient = 2 * centred.T @ (centred @ weights - deviations) / len(targets)
        inside = weights != 0
        left = torch.where(inside, gradient + strength * weights.sign(), 0).abs()
        left += torch.where(inside, 0, (gradient.abs() - strength).clamp_min(0))
        assert left.max() < 1e-4 * strength
