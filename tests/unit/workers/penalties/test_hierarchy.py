"""The hierarchy's proximal step, against LassoNet's algorithm and against minimisers by scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from populations import job, made_up_fold, same_bits
from scipy.optimize import minimize
from torch import Tensor

from ridgeway.spec.names import PENALTY_NAMES, PENALTY_ROWS
from ridgeway.spec.spec import JobSpec
from workers.models.building import build_model
from workers.models.by_input import ByInput
from workers.models.layout import Hierarchy, Layout
from workers.models.parameters import describe_parameters
from workers.penalties.hierarchy import hierarchical_prox, hierarchical_step, hierarchical_value
from workers.penalties.penalties import PENALTIES

DRAWS = 60
NET = {"kind": "mlp", "hidden": [6, 4], "activation": "tanh", "skip": True}


def drawn(seed: int, skips: int, enters: int, inputs: int = 7) -> tuple[Tensor, Tensor]:
    """Points θ (inputs, skips) and W (inputs, enters), of sizes over decades."""
    draw = torch.Generator().manual_seed(seed)
    both = torch.randn(inputs, skips + enters, dtype=torch.float64, generator=draw)
    both *= 10 ** (2 * torch.rand(inputs, 1, dtype=torch.float64, generator=draw) - 1)
    return both[:, :skips], both[:, skips:]


def metrics_of(seed: int, *points: Tensor) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(1000 + seed)
    spread = lambda own: torch.rand(own.shape, dtype=torch.float64, generator=draw)  # noqa: E731
    return tuple(10 ** (2 * spread(own) - 1) for own in points)


def by_sorting(skip: Tensor, first: Tensor, t: float, limit: float) -> tuple[Tensor, Tensor]:
    """Lemhadri et al. (2021), algorithm 2, of one input; θ by its norm, as for several outputs."""
    sizes, length = first.abs().sort(descending=True).values, skip.norm()
    for count in range(len(sizes) + 1):
        reach = length + limit * sizes[:count].sum() - t
        edge = limit / (1 + count * limit**2) * reach.clamp_min(0)
        above = sizes[count - 1] if count else math.inf
        below = sizes[count] if count < len(sizes) else 0.0
        if below <= edge * (1 + 1e-12) and edge <= above * (1 + 1e-12):
            return edge / limit * skip / length, first.sign() * first.abs().clamp_max(edge)
    raise AssertionError("one of the intervals holds it")


@pytest.mark.parametrize("skips", [1, 3])
def test_in_an_even_metric_it_is_lassonets_algorithm(skips: int) -> None:
    zeros = 0
    for seed in range(DRAWS):
        skip, first = drawn(seed, skips, 5)
        t, limit = 10 ** (seed % 4 - 2.0), 10 ** (seed % 5 - 2.0)
        ones = torch.ones_like(skip), torch.ones_like(first)
        found = hierarchical_prox(
            (skip, first), ones, torch.tensor([t], dtype=torch.float64), limit
        )
        for place in range(len(skip)):
            expected = by_sorting(skip[place], first[place], t, limit)
            for own, theirs in zip(found, expected, strict=True):
                assert torch.allclose(own[place], theirs, rtol=1e-9, atol=1e-12)
            zeros += int((expected[0] == 0).all())
    assert 0 < zeros < DRAWS * 7


@pytest.mark.parametrize("skips", [1, 3])
@pytest.mark.parametrize("seed", range(6))
def test_in_any_diagonal_metric_it_is_the_minimiser(seed: int, skips: int) -> None:
    skip, first = drawn(seed, skips, 4, inputs=1)
    metric, own_metric = metrics_of(seed, skip, first)
    t, limit = 10 ** (seed % 3 - 1.0), 10 ** (seed % 3 - 1.0)
    threshold = torch.tensor([t], dtype=torch.float64)
    found = hierarchical_prox((skip, first), (metric, own_metric), threshold, limit)

    def objective(theta: np.ndarray) -> float:
        """With W as near as the limit lets it."""
        length = float(np.linalg.norm(theta))
        near = first.clamp(-limit * length, limit * length)
        apart = (own_metric * (near - first) ** 2).sum()
        apart += (metric[0] * (torch.from_numpy(theta) - skip[0]) ** 2).sum()
        return t * length + apart.item() / 2

    options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 5000}
    starts = (skip[0].numpy(), 3 * skip[0].numpy(), 1e-3 * skip[0].numpy())
    best = min(
        minimize(objective, own, method="Nelder-Mead", options=options).fun for own in starts
    )
    assert objective(found[0][0].numpy()) <= best + 1e-9 * (1 + abs(best))
    length = found[0].norm(dim=1, keepdim=True)
    assert (found[1].abs() <= limit * length * (1 + 1e-12)).all()


def test_an_input_is_out_from_its_critical_strength_on() -> None:
    skip, first = drawn(3, 3, 5)
    metric, own_metric = metrics_of(3, skip, first)
    limit = 0.7
    critical = (metric * skip).norm(dim=1) + limit * (own_metric * first.abs()).sum(1)
    for factor, out in ((1 + 1e-9, True), (1 - 1e-9, False)):
        threshold = (factor * critical)[:, None]
        found = hierarchical_prox((skip, first), (metric, own_metric), threshold, limit)
        assert ((found[0] == 0).all(1) == out).all()
        assert ((found[1] == 0).all(1) == out).all()


def test_an_input_without_skip_weights_has_no_direction_and_stays_out() -> None:
    skip, first = torch.zeros(1, 2).double(), torch.ones(1, 3).double()
    ones = torch.ones_like(skip), torch.ones_like(first)
    found = hierarchical_prox((skip, first), ones, torch.zeros(1).double(), 10.0)
    assert not any(own.any() for own in found)


def test_a_broken_input_stays_broken_and_alone() -> None:
    skip, first = (own.float() for own in drawn(5, 3, 4))
    own = tuple(each.float() for each in metrics_of(5, skip, first))
    threshold = torch.tensor([0.1])
    alone = hierarchical_prox((skip[1:], first[1:]), (own[0][1:], own[1][1:]), threshold, 2.0)
    first[0, 2] = math.nan
    found = hierarchical_prox((skip, first), (own[0], own[1]), threshold, 2.0)
    for ours, theirs in zip(found, alone, strict=True):
        assert ours[0].isnan().any()
        assert same_bits(ours[1:], theirs)


# --- in nets --------------------------------------------------------------------------------------


def layout_of(spec: JobSpec, outputs: int = 3) -> Layout:
    sources = "abcde"
    model = build_model(spec.model, len(sources), outputs)
    parameters = describe_parameters(model, spec.penalize, spec.group_by)
    return Layout.of(parameters, ByInput.of(spec, sources), torch.zeros(()))


@pytest.mark.parametrize("narrow", [True, False], ids=["one metric", "a metric of each weight"])
def test_groups_and_factors_are_those_of_the_job(narrow: bool) -> None:
    """Columns a and c are one group, whose penalty counts by the root of its size; d is free."""
    spec = job(
        model=NET,
        hierarchy=0.5,
        feature_groups={"both": ["a", "c"]},
        penalty_factors={"d": 0.0, "e": 3.0},
    )
    layout = layout_of(spec)
    rows = torch.randn(4, layout.columns, generator=torch.Generator().manual_seed(0))
    metric = torch.rand(4, 1 if narrow else layout.columns) + 0.5
    strength = torch.tensor([[0.0], [0.5], [1.0], [100.0]])
    found = rows.clone()
    hierarchical_step(found, metric, strength, layout.hierarchies)
    names, columns = layout.views(found), {}
    own_metric = layout.views(metric.expand_as(rows))
    for places, factor in (((0, 2), math.sqrt(2)), ((1,), 1.0), ((3,), 0.0), ((4,), 3.0)):
        points = tuple(
            layout.views(rows)[name][..., places].flatten(1) for name in ("skip.weight", "0.weight")
        )
        metrics = tuple(
            own_metric[name][..., places].flatten(1) for name in ("skip.weight", "0.weight")
        )
        columns = hierarchical_prox(points, metrics, factor * strength, 0.5)
        for name, expected in zip(("skip.weight", "0.weight"), columns, strict=True):
            assert torch.allclose(names[name][..., places].flatten(1), expected, atol=1e-6)
    used = layout.used_inputs(found)
    assert used[-1].tolist() == [False, False, False, True, False]
    for name in ("2.weight", "4.weight", "0.bias"):
        assert torch.equal(names[name], layout.views(rows)[name])
    value = hierarchical_value(found, layout.hierarchies)
    free = layout.views(found)["skip.weight"]
    by_hand = math.sqrt(2) * free[..., (0, 2)].flatten(1).norm(dim=1) + free[..., 1].norm(dim=1)
    assert torch.allclose(value, by_hand + 3 * free[..., 4].norm(dim=1), rtol=1e-5)
    assert hierarchical_value(rows, layout.hierarchies).isinf().any()


def test_where_steps_end_no_weight_is_pulled() -> None:
    """The conditions of Karush, Kuhn and Tucker, input by input, with a later layer that stays."""
    fold = made_up_fold(60, inputs=6, classes=0)
    inputs, targets = fold.train_inputs.double(), fold.train_targets.double()
    draw = torch.Generator().manual_seed(0)
    later = torch.randn(1, 3, dtype=torch.float64, generator=draw)
    own = Hierarchy(torch.arange(6)[:, None], torch.arange(6, 24).view(3, 6).T, limit=1.5, size=1)
    row = torch.randn(24, dtype=torch.float64, generator=draw).requires_grad_()
    strength, rate = 0.6, 0.05

    def slope() -> Tensor:
        """Of a net's loss in θ and W."""
        theta, weight = row[:6], row[6:].view(3, 6)
        predicted = torch.tanh(inputs @ weight.T) @ later[0] + inputs @ theta
        (found,) = torch.autograd.grad((predicted - targets).square().mean(), row)
        return found

    metric, threshold = (
        torch.tensor([1 / rate], dtype=torch.float64),
        torch.tensor([strength], dtype=torch.float64),
    )
    for _ in range(3000):
        found = slope()
        with torch.no_grad():
            row -= rate * found
            hierarchical_step(row, metric, threshold, (own,))
    pull, theta, weight = slope(), row.detach()[own.skip[:, 0]], row.detach()[own.first]
    entering, used = pull[own.first], theta != 0
    assert 0 < used.sum() < 6
    held = weight.abs() >= own.limit * theta.abs()[:, None] * (1 - 1e-12)
    assert held[used].any()
    assert (entering[used][~held[used]].abs() < 1e-9).all()
    assert ((entering * weight.sign())[used][held[used]] < 1e-9).all()  # outwards, and θ with it
    outwards = (entering.abs() * held).sum(1)
    balance = pull[:6] * theta.sign() + strength - own.limit * outwards
    assert (balance[used].abs() < 1e-9).all()
    critical = pull[:6].abs() + own.limit * entering.abs().sum(1)
    assert (critical[~used] < strength).all()


def test_the_service_knows_whose_strength_grows_within_a_training() -> None:
    assert {name for name, row in PENALTY_ROWS.items() if row.grows} == {
        name for name in PENALTY_NAMES if PENALTIES[name].descends
    }
