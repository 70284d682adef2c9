"""Penalties: proximal steps against minimisers found by brute force, and where zeros start."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from ridgeway.spec.names import PENALTY_ROWS
from workers.models.by_input import ByInput
from workers.models.layout import Group, Layout
from workers.models.parameters import describe_parameters
from workers.penalties.base import Penalty
from workers.penalties.components import Components, value
from workers.penalties.hierarchy import hierarchical_value
from workers.penalties.penalties import PENALTIES, reachable
from workers.penalties.proximal import (
    group_soft_threshold,
    proximal_step,
    scaled_block_soft_threshold,
    soft_threshold,
)
from workers.penalties.testing import HIERARCHIES

ROW_GROUPS = (Group(0, (2, 3), (-1,), 3),)
EVERY = list(PENALTIES.values())
numbers = st.floats(-10, 10, allow_subnormal=False)


def prox(penalty: Penalty, point: Tensor, metric: Tensor, strength: float, ratio: float) -> Tensor:
    weights = point.clone()
    own = penalty.components(strength, ratio)
    proximal_step(weights, metric, own, ROW_GROUPS, HIERARCHIES)
    return weights


def total(own: Components, weights: Tensor) -> float:
    """λ R(w), the hierarchy's part included."""
    told = value(own, weights, ROW_GROUPS).item()
    if own.hierarchy:
        told += own.hierarchy * hierarchical_value(weights, HIERARCHIES).item()
    return told


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
    assume(not penalty.hierarchical or bool((point[:2] != 0).all()))  # or they have no direction
    metric = draw(st.floats(0.1, 100), 6) if spread == "unequal" else draw(st.floats(0.1, 10), 1)
    strength, ratio = data.draw(st.floats(0, 20)), data.draw(st.floats(0, 1))
    found = prox(penalty, point, metric, strength, ratio)

    def objective(weights: Tensor) -> float:
        distance = 0.5 * (metric * (weights - point).square()).sum().item()
        own = penalty.components(strength, ratio)
        in_the_gradient = own.l2 * weights.square().sum().item()
        return distance + total(own, weights) - in_the_gradient

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


ZEROING = [own for own in EVERY if own.sparse and not own.hierarchical]


@pytest.mark.parametrize("penalty", ZEROING, ids=lambda p: p.name)
def test_the_critical_strength_is_where_the_first_weight_leaves_zero(penalty: Penalty) -> None:
    gradient, ratio = torch.tensor([0.3, -1.0, 0.2, 0.7, 0.1, -0.4]).double(), 0.3
    critical = penalty.critical_strength(gradient, ratio, ROW_GROUPS)
    for factor, zero in ((1 + 1e-10, True), (1 - 1e-10, False)):
        stepped = prox(penalty, -gradient, torch.ones(1).double(), critical * factor, ratio)
        assert bool((stepped == 0).all()) == zero


def mcp_by_hand(weights: Tensor, strength: float, gamma: float = 3.0) -> Tensor:
    """Zhang (2010), equation 2.1: the integral of λ max(1 - x / (gamma λ), 0)."""
    grid = torch.linspace(0, 1, 200_001).double()
    slopes = strength * (1 - weights.abs()[:, None] * grid / (gamma * strength)).clamp_min(0)
    return (torch.trapezoid(slopes, grid, dim=1) * weights.abs()).sum()


def scad_by_hand(weights: Tensor, strength: float, a: float = 3.7) -> Tensor:
    """Fan & Li (2001), below equation 2.9."""
    pieces = []
    for size in weights.abs().tolist():
        if size <= strength:
            pieces.append(strength * size)
        elif size <= a * strength:
            top = 2 * a * strength * size - size**2 - strength**2
            pieces.append(top / (2 * (a - 1)))
        else:
            pieces.append((a + 1) * strength**2 / 2)
    return torch.tensor(sum(pieces), dtype=torch.float64)


def test_components_add_up_to_the_formulas_of_every_penalty() -> None:
    weights, strength, ratio = torch.tensor([0.5, -2.0, 3.0, 0.0, 1.0, -1.0]).double(), 0.7, 0.25
    norms = weights[:3].norm() + weights[3:].norm()
    formulas = {
        "none": torch.zeros(()).double(),
        "l1": weights.abs().sum(),
        "l2": weights.square().sum(),
        "elastic_net": ratio * weights.abs().sum() + (1 - ratio) * weights.square().sum(),
        "group_lasso": math.sqrt(3) * norms,
        "mcp": mcp_by_hand(weights, strength) / strength,
        "scad": scad_by_hand(weights, strength) / strength,
        "l0.5": weights.abs().sqrt().sum(),
        "adaptive_l1": weights.abs().sum(),
        "sparse_group_lasso": ratio * weights.abs().sum() + (1 - ratio) * math.sqrt(3) * norms,
        "hierarchical": torch.tensor(math.inf).double(),  # 3 is more than M 0.5
    }
    assert set(formulas) == set(PENALTIES)
    for name, formula in formulas.items():
        found = total(PENALTIES[name].components(strength, ratio), weights)
        assert found == pytest.approx((strength * formula).item(), rel=1e-9), name


@pytest.mark.parametrize("penalty", EVERY, ids=lambda penalty: penalty.name)
def test_a_penalty_says_of_itself_what_its_components_do(penalty: Penalty) -> None:
    components = penalty.components(1.0, 0.5)
    assert penalty.concave == (components.concavity + components.half > 0)
    assert penalty.sparse == components.sparse
    assert penalty.adaptive == (components.adaptive > 0)
    assert penalty.grouped == (components.group > 0)
    assert penalty.hierarchical == (components.hierarchy > 0)
    assert penalty.has_strength == (components != Components())
    assert (penalty.has_strength and not penalty.adaptive) == (penalty.probe_priority > 0)
    changed = penalty.components(1.0, 0.25) != components
    assert ("l1_ratio" in penalty.parameters) == changed


def test_every_name_of_the_spec_has_its_penalty() -> None:
    assert tuple(PENALTIES) == tuple(PENALTY_ROWS)
    assert reachable(["l1", "group_lasso"]) == Components(l1=1.0, group=1.0)
    assert reachable(["none", "elastic_net"]) == Components(l1=0.5, l2=0.5)


def test_every_member_has_its_own_strength() -> None:
    weights = torch.full((3, 2), 1.0)
    soft_threshold(weights, torch.tensor([[0.0], [0.25], [2.0]]))
    assert weights.tolist() == [[1, 1], [0.75, 0.75], [0, 0]]


@pytest.mark.parametrize("plain", [True, False], ids=["one metric", "a metric of each weight"])
def test_groups_that_lie_apart_shrink_like_those_in_one_piece(plain: bool) -> None:
    """The first matrix has 2 units and 4 inputs, of which 0 and 2 are one group."""
    draw = torch.Generator().manual_seed(0)
    rows = torch.randn(5, 8, dtype=torch.float64, generator=draw)
    metric = 0.5 + torch.rand(5, 1 if plain else 8, dtype=torch.float64, generator=draw)
    strength = torch.tensor([[0.0], [0.2], [0.5], [0.9], [3.0]], dtype=torch.float64)
    linear = describe_parameters(torch.nn.Linear(4, 2), "weights", "input")
    layout = Layout.of(linear, ByInput(groups=((0, 2), (1,), (3,))))
    found = torch.zeros(5, layout.penalised_columns, dtype=torch.float64)
    found[:, :8] = rows
    own = metric if plain else torch.ones_like(found)
    own[:, : metric.shape[1]] = metric
    group_soft_threshold(found, own, strength, layout.groups)
    for columns in ([0, 2, 4, 6], [1, 5], [3, 7]):
        expected = rows[:, columns]
        whole = [Group(0, (1, len(columns)), (-1,), len(columns))]
        group_soft_threshold(expected, metric if plain else metric[:, columns], strength, whole)
        assert torch.allclose(found[:, columns], expected, rtol=0, atol=1e-12)
    assert (found[:, :8] == 0).any()
