"""Penalties: proximal steps against minimisers found by brute force, and where zeros start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from workers.layout import Group
from workers.penalties import (
    L1,
    L2,
    ElasticNet,
    GroupLasso,
    NoPenalty,
    Penalty,
    SubgradientElasticNet,
    SubgradientL1,
    penalties_of,
    scaled_block_soft_threshold,
)

ROW_GROUPS = (Group(0, (2, 3), (-1,), 3),)
EVERY = [NoPenalty(), L1(), L2(), ElasticNet(), GroupLasso(ROW_GROUPS)]
numbers = st.floats(-10, 10, allow_subnormal=False)


def column(number: float) -> Tensor:
    return torch.tensor([number], dtype=torch.float64)


def prox(penalty: Penalty, point: Tensor, metric: Tensor, strength: float, ratio: float) -> Tensor:
    weights = point.clone()
    penalty.prox(weights, metric, column(strength), column(ratio))
    return weights


def smooth_part(penalty: Penalty, weights: Tensor, strength: float, ratio: float) -> float:
    """What stays in the gradient: strength (1 - ratio) Σ w² of the elastic net, and all of l2."""
    share = {"l2": 1.0, "elastic_net": 1 - ratio}.get(penalty.name, 0.0)
    return strength * share * weights.square().sum().item()


@pytest.mark.parametrize("penalty", EVERY, ids=lambda penalty: penalty.name)
@pytest.mark.parametrize("spread", ["equal", "unequal"])
@settings(max_examples=40)
@given(data=st.data())
def test_the_proximal_step_minimises_distance_plus_penalty(
    penalty: Penalty, spread: str, data: st.DataObject
) -> None:
    draw = lambda source, size: torch.tensor(  # noqa: E731 -- shorter than a function of its own
        data.draw(st.lists(source, min_size=size, max_size=size)), dtype=torch.float64
    )
    point = draw(numbers, 6)
    metric = draw(st.floats(0.1, 100), 6) if spread == "unequal" else draw(st.floats(0.1, 10), 1)
    strength, ratio = data.draw(st.floats(0, 20)), data.draw(st.floats(0, 1))
    found = prox(penalty, point, metric, strength, ratio)

    def objective(weights: Tensor) -> float:
        distance = 0.5 * (metric * (weights - point).square()).sum().item()
        value = penalty.value(weights, column(ratio)).item()
        return distance + strength * value - smooth_part(penalty, weights, strength, ratio)

    best = objective(found)
    for direction in torch.randn(50, 6, dtype=torch.float64, generator=torch.manual_seed(0)):
        for length in (1e-4, 1e-2, 1.0):
            assert best <= objective(found + length * direction) + 1e-9 * (1 + abs(best))
    assert best <= objective(torch.zeros(6).double()) + 1e-9 * (1 + abs(best))
    assert best <= objective(point) + 1e-9 * (1 + abs(best))


def test_a_group_in_a_metric_of_1_10_100_is_found_as_scipy_finds_it() -> None:
    point, metric = np.array([1.0, -0.5, 0.2]), np.array([1.0, 10.0, 100.0])
    for threshold in (0.01, 0.5, 3.0, 10.0, 19.0):
        weights = torch.tensor(point)
        scaled_block_soft_threshold(
            weights, torch.tensor(metric), torch.tensor(threshold, dtype=torch.float64), (-1,)
        )

        def objective(w: np.ndarray, t: float = threshold) -> float:
            return 0.5 * (metric * (w - point) ** 2).sum() + t * np.linalg.norm(w)

        start = minimize(
            objective,
            point,
            method="Nelder-Mead",
            options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 5000},
        )
        assert weights.numpy() == pytest.approx(start.x, abs=1e-6)
        gradient = metric * (weights.numpy() - point)
        unit = weights.numpy() / np.linalg.norm(weights.numpy())
        assert gradient + threshold * unit == pytest.approx(np.zeros(3), abs=1e-12)


def test_a_group_is_zero_exactly_from_the_norm_of_its_scaled_point_on() -> None:
    point = torch.tensor([1.0, -0.5, 0.2], dtype=torch.float64)
    metric = torch.tensor([1.0, 10.0, 100.0], dtype=torch.float64)
    edge = (metric * point).norm().item()
    for factor, zero in ((1 + 1e-9, True), (1 - 1e-9, False)):
        weights = point.clone()
        threshold = torch.tensor(edge * factor, dtype=torch.float64)
        scaled_block_soft_threshold(weights, metric, threshold, (-1,))
        assert bool((weights == 0).all()) == zero


@given(
    scales=st.lists(st.floats(-6, 6), min_size=4, max_size=4),
    share=st.floats(1e-6, 1 - 1e-6),
)
def test_the_group_step_holds_its_equation_over_twelve_decades_of_metric(
    scales: list[float], share: float
) -> None:
    metric = 10 ** torch.tensor(scales).double()
    point = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    threshold = share * (metric * point).norm()
    weights = point.clone()
    scaled_block_soft_threshold(weights, metric, threshold, (-1,))
    residual = metric * (weights - point) + threshold * weights / weights.norm()
    assert residual.norm() <= 1e-9 * threshold


def test_a_broken_group_stays_broken_and_alone() -> None:
    weights = torch.tensor([[math.nan, 1.0, 1.0], [1.0, 2.0, 2.0]])
    alone = weights[1:].clone()
    metric = torch.tensor([[1.0, 2.0, 3.0]] * 2)
    scaled_block_soft_threshold(weights, metric, torch.tensor(0.5), (-1,))
    scaled_block_soft_threshold(alone, metric[1:], torch.tensor(0.5), (-1,))
    assert weights[0].isnan().any()
    assert torch.equal(weights[1:], alone)


@pytest.mark.parametrize(
    "penalty", [L1(), ElasticNet(), GroupLasso(ROW_GROUPS)], ids=lambda p: p.name
)
def test_the_critical_strength_is_where_the_first_weight_leaves_zero(penalty: Penalty) -> None:
    gradient, ratio = torch.tensor([0.3, -1.0, 0.2, 0.7, 0.1, -0.4]).double(), 0.3
    critical = penalty.critical_strength(gradient, ratio)
    for factor, zero in ((1.0001, True), (0.9999, False)):
        stepped = prox(penalty, -gradient, torch.ones(1).double(), critical * factor, ratio)
        assert bool((stepped == 0).all()) == zero


@pytest.mark.parametrize("penalty", [L2(), ElasticNet(), SubgradientL1(), SubgradientElasticNet()])
def test_what_is_in_the_gradient_is_the_gradient_of_the_value(penalty: Penalty) -> None:
    weights = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64, requires_grad=True)
    strength, ratio = column(0.7), column(0.25)
    smooth = 0.7 * penalty.value(weights, ratio)
    if type(penalty) is ElasticNet:
        smooth = smooth - 0.7 * 0.25 * weights.abs().sum()
    (expected,) = torch.autograd.grad(smooth, weights)
    gradient = torch.zeros(3, dtype=torch.float64)
    penalty.add_gradient(gradient, weights.detach(), strength, ratio)
    assert torch.allclose(gradient, expected, rtol=1e-14)


def test_the_subgradient_method_lands_on_no_zero_and_the_proximal_one_does() -> None:
    point = torch.tensor([0.1, -0.2]).double()
    by_method = {
        method: prox(penalties_of((), method)["l1"], point, torch.ones(1).double(), 1.0, 1.0)
        for method in ("proximal", "subgradient")
    }
    assert torch.equal(by_method["proximal"], torch.zeros(2).double())
    assert torch.equal(by_method["subgradient"], point)


def test_every_member_has_its_own_strength() -> None:
    weights = torch.full((3, 2), 1.0)
    L1().prox(weights, torch.ones(3, 2), torch.tensor([[0.0], [0.25], [2.0]]), torch.ones(3, 1))
    assert weights.tolist() == [[1, 1], [0.75, 0.75], [0, 0]]
