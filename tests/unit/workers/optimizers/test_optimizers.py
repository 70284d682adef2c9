"""Optimisers: against torch.optim, and what the proximal step converges to."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.models.layout import Group
from workers.optimizers import OPTIMIZERS
from workers.optimizers.adam import Adam, AdamW
from workers.optimizers.base import Optimizer, Rates, Uses
from workers.optimizers.sgd import Sgd
from workers.penalties.proximal import group_soft_threshold

RATES = torch.tensor([[1e-3], [0.03], [0.2]], dtype=torch.float64)
DECAYS = torch.tensor([[0.0], [1e-2], [0.3]], dtype=torch.float64)


class Run:
    """Rows of weights (m, columns), each with its own rates (m, 1), all columns penalised."""

    def __init__(
        self,
        kind: type[Optimizer],
        weights: Tensor,
        rate: Tensor,
        decay: float | Tensor = 0.0,
        *,
        groups: tuple[Group, ...] = (),
        clip_norm: float | None = None,
        factors: Tensor | None = None,
        **strengths: float | Tensor,
    ) -> None:
        self.weights = weights.clone()
        columns = weights.shape[1]
        parts = {name: strengths.get(name, 0.0) for name in ("l1", "l2", "last", "subgradient")}
        own = {name: torch.zeros_like(rate) + part for name, part in parts.items()}
        self.rates = Rates(
            rate,
            torch.zeros_like(rate) + decay,
            **own,
            dense=torch.zeros_like(rate),
            grown=torch.ones_like(rate),
        )
        self.groups = groups
        used = {name: name in strengths for name in parts}
        self.optimizer = kind(
            Uses(columns, weight_decay=True, clip_norm=clip_norm, factors=factors, **used)
        )
        self.state = [torch.zeros_like(weights) for _ in range(kind.remembers)]
        self.steps = 0
        self.metric = torch.ones_like(weights)

    def step(self, gradient: Tensor, factors: tuple[float, float] = (1.0, 1.0)) -> None:
        (coefficients,) = self.optimizer.coefficients(self.rates, self.steps, factors)
        self.metric, strength = self.optimizer.update(
            self.weights, gradient.clone(), self.state, coefficients.to(gradient.dtype)
        )
        group_soft_threshold(self.weights, self.metric, strength, self.groups)
        self.steps += 1


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
    start = torch.randn(3, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    scale = torch.rand(8, dtype=torch.float64, generator=torch.manual_seed(1))
    run = Run(OPTIMIZERS[name], start, RATES, DECAYS)  # type: ignore[index]
    for step in range(steps):
        run.step(scale * run.weights + math.sin(step))
    for member in range(3):
        rate, decay = RATES[member].item(), DECAYS[member].item()
        expected = torch_run(name, start[member], scale, rate, decay, steps)
        assert torch.allclose(run.weights[member], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_changing_rate_is_torch_optims_too(name: str) -> None:
    start = torch.randn(1, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    factors = [0.25, 0.5, 1.0, 0.9, 0.4, 0.1]
    run = Run(OPTIMIZERS[name], start, RATES[1:2], 0.01)  # type: ignore[index]
    weights = start[0].clone().requires_grad_()
    expected = reference(name, weights, RATES[1].item(), 0.01)
    for before, factor in zip([1.0, *factors], factors, strict=False):
        run.step(torch.sin(run.weights), (before, factor))
        expected.param_groups[0]["lr"] = RATES[1].item() * factor
        weights.grad = torch.sin(weights.detach())
        expected.step()
    assert torch.allclose(run.weights[0], weights.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_clipping_is_torchs_for_each_member_by_itself(name: str) -> None:
    start = torch.randn(3, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    run = Run(OPTIMIZERS[name], start, RATES, clip_norm=1.5)  # type: ignore[index]
    leaves = [row.clone().requires_grad_() for row in start]
    steppers = [
        reference(name, leaf, rate.item(), 0.0) for leaf, rate in zip(leaves, RATES, strict=True)
    ]
    for _ in range(20):
        run.step(4 * run.weights)
        for leaf, stepper in zip(leaves, steppers, strict=True):
            leaf.grad = 4 * leaf.detach()
            torch.nn.utils.clip_grad_norm_(leaf, 1.5)
            stepper.step()
    expected = torch.stack([leaf.detach() for leaf in leaves])
    assert torch.allclose(run.weights, expected, rtol=0, atol=1e-5)  # torch adds 1e-6 to the norm


@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW])
def test_a_clipped_gradient_takes_its_threshold_along(kind: type[Optimizer]) -> None:
    slope, strengths = 30.0, 30.0 * torch.tensor([[1 - 1e-3], [1 + 1e-3]], dtype=torch.float64)
    start = torch.zeros(2, 1, dtype=torch.float64)
    run = Run(kind, start, torch.full((2, 1), 0.1).double(), clip_norm=1.0, l1=strengths)
    for _ in range(50):
        run.step(torch.full_like(start, slope))
    assert (run.weights[:, 0] != 0).tolist() == [True, False]


def test_adam_in_float32_stays_with_float64_where_one_minus_beta_is_formed_in_float64() -> None:
    gradients = torch.randn(200, 1, 16, dtype=torch.float64, generator=torch.manual_seed(0))
    ends: list[Tensor] = []
    for dtype in (torch.float32, torch.float64):
        run = Run(Adam, torch.zeros(1, 16, dtype=dtype), torch.full((1, 1), 0.01).double())
        for gradient in gradients:
            run.step(gradient.to(dtype))
        ends.append(run.state[1].double())
    # 1 - float32(0.999) is off by 1.3e-5; rounding alone is some 1e-7.
    assert torch.allclose(ends[0], ends[1], rtol=2e-6, atol=0)


@pytest.mark.parametrize("kind", [Sgd, Adam])
def test_l2_of_half_the_decay_is_coupled_weight_decay(kind: type[Optimizer]) -> None:
    rate, decay = torch.full((1, 1), 0.05, dtype=torch.float64), 0.3
    start = torch.randn(1, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    ends: list[Tensor] = []
    for coupled, strength in ((decay, 0.0), (0.0, decay / 2)):
        run = Run(kind, start, rate, coupled, l2=strength)
        for step in range(30):
            run.step(torch.sin(run.weights + step))
        ends.append(run.weights)
    assert torch.allclose(ends[0], ends[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [Sgd, Adam, AdamW])
@given(slope=st.floats(1e-3, 1e3), rate=st.floats(1e-3, 0.5))
def test_the_smallest_strength_that_holds_a_weight_at_zero_is_its_gradient_whatever_the_momentum(
    kind: type[Optimizer], slope: float, rate: float
) -> None:
    strengths = slope * torch.tensor([[1 - 1e-3], [1 + 1e-3]], dtype=torch.float64)
    start = torch.zeros(2, 1, dtype=torch.float64)
    run = Run(kind, start, torch.full((2, 1), rate, dtype=torch.float64), l1=strengths)
    for _ in range(100):
        run.step(torch.full_like(start, slope))
    assert (run.weights[:, 0] != 0).tolist() == [True, False]


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
    strengths = {"last": 0.3} if grouped else {"l1": 0.3}
    run = Run(
        kind,
        torch.zeros(1, 6, dtype=torch.float64),
        torch.full((1, 1), rate, dtype=torch.float64),
        decay,
        groups=(Group(0, (2, 3), (-1,), 3),) if grouped else (),
        **strengths,
    )
    for _ in range(6000):  # the second moment forgets with 0.999
        run.step(curvature * (run.weights - target))
    # By now Adam's bias corrections are 1.
    scale = run.metric.flatten() * rate if kind is AdamW else torch.ones(6).double()
    weights = run.weights
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


# --- penalty factors ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("penalty", ["l1", "l2", "subgradient", "group"])
def test_a_step_with_factors_is_each_columns_step_at_its_own_strength(
    name: str, penalty: str
) -> None:
    """Without clipping a column's step knows nothing of its neighbours, nor a group's of others."""
    kind = OPTIMIZERS[name]  # type: ignore[index]
    start = torch.randn(3, 8, dtype=torch.float64, generator=torch.manual_seed(0))
    factors = torch.tensor([0.0, 0.3, 1.0, 2.5], dtype=torch.float64)
    strength = torch.tensor([[0.0], [0.5], [3.0]], dtype=torch.float64)
    both = torch.cat([factors, factors])  # two units, four inputs
    group = Group(0, (1, 2, 4), (-2,), 2)
    factored = replace(group, factors=factors[None, None])
    run = Run(kind, start, RATES, 0.01, groups=(factored,), factors=both, **{penalty: strength})
    alone = [
        Run(kind, start, RATES, 0.01, groups=(group,), **{penalty: strength * factor})
        for factor in factors
    ]
    for step in range(12):
        gradient = torch.randn(3, 8, dtype=torch.float64, generator=torch.manual_seed(step + 1))
        run.step(gradient)
        for other in alone:
            other.step(gradient)
    for column in range(8):
        expected = alone[column % 4].weights[:, column]
        assert torch.allclose(run.weights[:, column], expected, rtol=0, atol=1e-12)
        assert torch.equal(run.weights[:, column] == 0, expected == 0)
