"""Classes by contrasts: the optimum that they have by themselves, certified in their weights."""

from __future__ import annotations

import math

import pytest
import torch

from workers.kernels import load
from workers.kernels.contrasts import contrasts
from workers.kernels.library import Library
from workers.kernels.linear import Aim, LinearRows, Pull, solvable

TOLERANCE = 1e-10
BARELY = 1e-300  # an l1 norm that moves nothing, but is none that contrasts may have


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_contrasts_are_orthonormal_and_add_up_to_zero(classes: int) -> None:
    found = contrasts(classes)
    torch.testing.assert_close(found.T @ found, torch.eye(classes - 1, dtype=torch.float64))
    assert found.sum(0).abs().max() < 1e-15


@pytest.mark.skipif(not isinstance(load(torch.float64), Library), reason="no compiler")
@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("pull", [Pull(l2=0.01), Pull(group=0.02), Pull(l2=0.003, group=0.01)])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_contrasts_have_the_optimum_of_the_classes(
    classes: int, pull: Pull, smoothing: float
) -> None:
    generator = torch.Generator().manual_seed(classes)
    inputs = torch.randn(600, 9, generator=generator, dtype=torch.float64)
    scores = inputs[:, :4] @ torch.randn(4, classes, generator=generator, dtype=torch.float64)
    targets = (scores + torch.randn(600, classes, generator=generator)).argmax(1)
    shares = torch.rand(600, generator=generator, dtype=torch.float64)
    library = load(torch.float64)
    assert isinstance(library, Library)
    shares = shares / shares.sum()
    rows = solvable(library, LinearRows("multiclass", classes, inputs, targets, shares, True))
    nothing = torch.zeros(rows.features, classes, dtype=torch.float64)
    own, none = Pull(BARELY, pull.l2, pull.group), Pull()
    found = rows.solve(Aim(pull, none, smoothing, math.inf, TOLERANCE, 100), nothing)
    other = rows.solve(Aim(own, none, smoothing, math.inf, TOLERANCE, 100), nothing)
    assert found.converged
    assert other.converged
    torch.testing.assert_close(found.weights[:-1], other.weights[:-1], rtol=0, atol=1e-7)
    assert found.weights.sum(1).abs().max() < 1e-12
    left = found.gradient + 2 * pull.l2 * found.weights
    left[-1] = found.gradient[-1]
    sizes = found.weights[:-1].norm(dim=1, keepdim=True)
    left[:-1] += torch.where(sizes > 0, pull.group * found.weights[:-1] / sizes, 0)
    short = left[:-1].norm(dim=1, keepdim=True) <= pull.group  # which holds a feature at zero
    left[:-1] = torch.where((sizes == 0) & short, 0, left[:-1])
    assert left.abs().max() < 2 * TOLERANCE
