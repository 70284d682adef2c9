"""Optimisers: against torch.optim, and what the proximal step converges to."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.layout import Group
from workers.optimizers import OPTIMIZERS, Adam, AdamW, Optimizer, Sgd
from workers.penalties import L1, GroupLasso

RATES = torch.tensor([[1e-3], [0.03], [0.2]], dtype=torch.float64)
DECAYS = torch.tensor([[0.0], [1e-2], [0.3]], dtype=torch.float64)


def no_prox(weights: Tensor, metric: Tensor) -> None:
    """Nothing to do."""


def reference(name: str, weights: Tensor, rate: float, decay: float) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD([weights], lr=rate, momentum=0.9, weight_decay=decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind([weights], lr=rate, weight_decay=decay)


def torch_run(
    name: str, start: Tensor, scale: Tensor, rate: float, decay: float, steps: int
) -> Tensor:
    weights = start.clone().requires_grad_()
    optimizer = reference(name, weights, rate, decay)
    for step in range(steps):
        weights.grad = scale * weights.detach() + math.sin(step)
        optimizer.step()
    return weights.detach()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(("steps", "tolerance"), [(1, 1e-12), (50, 1e-10)])
def test_steps_equal_torch_optim_with_each_members_own_rate_and_decay(
    name: str, steps: int, tolerance: float
) -> None:
    start = torch.randn(2, 3, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    scale = torch.rand(8, dtype=torch.float64, generator=torch.manual_seed(1))
    weights = start.clone()
    optimizer = OPTIMIZERS[name](RATES, DECAYS)  # type: ignore[index]
    state = optimizer.init(weights)
    for step in range(steps):
        optimizer.step(weights, scale * weights + math.sin(step), state, no_prox)
    for member in range(3):
        rate, decay = RATES[member].item(), DECAYS[member].item()
        expected = torch_run(name, start[:, member], scale, rate, decay, steps)
        assert torch.allclose(weights[:, member], expected, rtol=0, atol=tolerance)


def test_adam_in_float32_stays_with_float64_where_one_minus_beta_is_formed_in_float64() -> None:
    gradients = torch.randn(200, 1, 1, 16, dtype=torch.float64, generator=torch.manual_seed(0))
    ends: list[Tensor] = []
    for dtype in (torch.float32, torch.float64):
        weights = torch.zeros(1, 1, 16, dtype=dtype)
        optimizer = Adam(torch.full((1, 1), 0.01, dtype=torch.float64), torch.zeros(1, 1).double())
        state = optimizer.init(weights)
        for gradient in gradients:
            optimizer.step(weights, gradient.to(dtype), state, no_prox)
        ends.append(state.buffers[1].double())
    # 1 - float32(0.999) is off by 1.3e-5; rounding alone is some 1e-7.
    assert torch.allclose(ends[0], ends[1], rtol=2e-6, atol=0)


@pytest.mark.parametrize("kind", [Sgd, Adam])
def test_l2_of_half_the_decay_is_coupled_weight_decay(kind: type[Optimizer]) -> None:
    rate, decay = torch.full((1, 1), 0.05, dtype=torch.float64), 0.3
    start = torch.randn(1, 1, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    ends: list[Tensor] = []
    for coupled, strength in ((decay, 0.0), (0.0, decay / 2)):
        weights = start.clone()
        optimizer = kind(rate, torch.full((1, 1), coupled, dtype=torch.float64))
        state = optimizer.init(weights)
        for step in range(30):
            gradient = torch.sin(weights + step) + 2 * strength * weights
            optimizer.step(weights, gradient, state, no_prox)
        ends.append(weights)
    assert torch.allclose(ends[0], ends[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW])
@given(slope=st.floats(1e-3, 1e3), rate=st.floats(1e-3, 0.5))
def test_the_smallest_strength_that_holds_a_weight_at_zero_is_its_gradient_whatever_the_momentum(
    kind: type[Optimizer], slope: float, rate: float
) -> None:
    strengths = slope * torch.tensor([[1 - 1e-3], [1 + 1e-3]], dtype=torch.float64)
    weights = torch.zeros(1, 2, 1, dtype=torch.float64)
    optimizer = kind(torch.full((2, 1), rate, dtype=torch.float64), torch.zeros(2, 1).double())
    state = optimizer.init(weights)
    penalty, ratio = L1(), torch.ones(2, 1).double()
    for _ in range(100):
        optimizer.step(
            weights,
            torch.full_like(weights, slope),
            state,
            lambda w, metric: penalty.prox(w, metric, strengths, ratio),
        )
    assert (weights[0, :, 0] != 0).tolist() == [True, False]


@pytest.mark.parametrize(
    ("kind", "rate", "decay"), [(Sgd, 0.02, 0.0), (Adam, 0.01, 0.0), (AdamW, 0.01, 0.1)]
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_fixed_point_is_stationary_for_loss_plus_penalty_plus_decoupled_decay(
    kind: type[Optimizer], rate: float, decay: float, grouped: bool
) -> None:
    """0 in the gradient + λ ∂R + wd D w, D = √v̂ + ε the metric without its rate."""
    target = torch.tensor([3.0, -2.0, 0.05, 0.4, 1.0, 0.02], dtype=torch.float64)
    curvature = torch.tensor([1.0, 4.0, 0.5, 2.0, 9.0, 1.0], dtype=torch.float64)
    penalty = GroupLasso((Group(0, (2, 3), (-1,), 3),)) if grouped else L1()
    strength, ratio = torch.tensor([[0.3]], dtype=torch.float64), torch.ones(1, 1).double()
    weights = torch.zeros(1, 1, 6, dtype=torch.float64)
    optimizer = kind(
        torch.full((1, 1), rate, dtype=torch.float64),
        torch.full((1, 1), decay, dtype=torch.float64),
    )
    state = optimizer.init(weights)
    metrics: list[Tensor] = []

    def prox(w: Tensor, metric: Tensor) -> None:
        metrics[:] = [metric.clone()]
        penalty.prox(w, metric, strength, ratio)

    for _ in range(6000):  # the second moment forgets with 0.999
        optimizer.step(weights, curvature * (weights - target), state, prox)
    scale = metrics[-1].flatten() * rate if kind is AdamW else torch.ones(6).double()
    found = weights.flatten().requires_grad_()
    slope = curvature * (found.detach() - target) + decay * scale * found.detach()
    for block in found.split(3) if grouped else found.split(1):
        size = math.sqrt(len(block))
        start = block.storage_offset()
        g = slope[start : start + len(block)]
        if (block == 0).all():
            assert g.norm() <= 0.3 * size * (1 + 1e-6)
        else:
            unit = block.detach() / block.detach().norm()
            assert torch.allclose(g, -0.3 * size * unit, rtol=0, atol=2e-3)
    assert (found == 0).any() or grouped
