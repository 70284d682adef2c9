"""For authors of penalties: does what a penalty says of itself fit together?

from workers.penalties.testing import check_penalty

def test_my_penalty():
    check_penalty(MyPenalty())
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from workers.models.layout import Group, Hierarchy
from workers.penalties.base import Penalty
from workers.penalties.components import Components, value
from workers.penalties.hierarchy import hierarchical_value
from workers.penalties.proximal import proximal_step

COLUMNS, DRAWS = 6, 20
GROUPS = (Group(0, (2, 3), (-1,), 3),)  # two of three weights each
HIERARCHIES = (  # two inputs, a weight of each skips the layers and two enter them
    Hierarchy(torch.tensor([[0], [1]]), torch.tensor([[2, 4], [3, 5]]), limit=1.5, size=1),
)
STRENGTHS, RATIOS = (0.01, 0.3, 2.0), (0.0, 0.4, 1.0)
LENGTHS = (1e-4, 1e-2, 1.0)  # of the ways that are tried away from a proximal step
NEAR = 1e-6  # the critical strength's relative error that is noticed


def check_penalty(penalty: Penalty) -> None:
    """Raise AssertionError with a sentence where a penalty contradicts itself.

    Its flags are compared with its components; its proximal step, in metrics that are equal or not,
    with its value at many other places; its critical strength with where that step leaves zero.
    """
    _check_flags(penalty)
    for strength in STRENGTHS:
        for ratio in RATIOS:
            own = penalty.components(strength, ratio)
            for point, metric in _draws():
                _check_step(penalty.name, own, point, metric)
    if penalty.has_strength:
        _check_critical(penalty)


def _draws() -> Iterator[tuple[Tensor, Tensor]]:
    """Points and metrics (COLUMNS,), some of the metrics the same for all weights."""
    draw = torch.Generator().manual_seed(0)
    for number in range(DRAWS):
        point = 3 * torch.randn(COLUMNS, dtype=torch.float64, generator=draw)
        spread = 10 ** (2 * torch.rand(COLUMNS, dtype=torch.float64, generator=draw) - 1)
        yield point, spread if number % 2 else spread[:1]


def _check_flags(penalty: Penalty) -> None:
    own = penalty.components(1.0, 0.5)
    for part, size in vars(own).items():
        assert 0 <= size < math.inf, f"{part} is {size}; at least 0 is possible"
    for flag, told in {
        "sparse": own.sparse,
        "grouped": own.group > 0,
        "concave": own.concave,
        "adaptive": own.adaptive > 0,
        "hierarchical": own.hierarchy > 0,
    }.items():
        said = getattr(penalty, flag)
        assert said == told, f"{penalty.name} says {flag} = {said}, its components say {told}"
    least = penalty.components(0.0, 0.5)
    parts = ("l1", "l2", "group", "half", "adaptive", "hierarchy")
    strengths = {part: getattr(least, part) for part in parts}
    assert not any(strengths.values()), f"{penalty.name} is still there at strength 0: {least}"


def _check_step(name: str, own: Components, point: Tensor, metric: Tensor) -> None:
    """Compare the step's value with those beside it, at zero and where it came from."""
    found = point.clone()
    proximal_step(found, metric, own, GROUPS, HIERARCHIES)

    def objective(weights: Tensor) -> float:
        distance = (metric * (weights - point).square()).sum().item() / 2
        in_the_gradient = own.l2 * weights.square().sum().item()
        total = distance + value(own, weights, GROUPS).item() - in_the_gradient
        if own.hierarchy:
            total += own.hierarchy * hierarchical_value(weights, HIERARCHIES).item()
        return total

    best, draw = objective(found), torch.Generator().manual_seed(1)
    ways = torch.randn(10, COLUMNS, dtype=torch.float64, generator=draw)
    others = [found + length * way for way in ways for length in LENGTHS]
    for other in [*others, torch.zeros_like(point), point]:
        assert best <= objective(other) + 1e-9 * (1 + abs(best)), (
            f"the proximal step of {name} with {own} goes from {point.tolist()} to "
            f"{found.tolist()}, and {other.tolist()} is better"
        )


def _check_critical(penalty: Penalty) -> None:
    """Compare the critical strength with the strength from which a step ends at zero."""
    for gradient, _ in _draws():
        for ratio in RATIOS:
            critical = penalty.critical_strength(gradient, ratio, GROUPS)
            if math.isinf(critical):
                continue
            for strength, zero in ((critical * (1 + NEAR), True), (critical * (1 - NEAR), False)):
                weights = -gradient.clone()
                own = penalty.components(strength, ratio)
                # So steep that a weight moves next to nothing: no concavity matters at zero. Of
                # Σ |w|^½ it does in any metric, and the strength is that of metric one.
                metric = torch.tensor([1.0 if own.half > 0 else 1e3], dtype=torch.float64)
                weights /= metric
                proximal_step(weights, metric, own, GROUPS)
                assert bool((weights == 0).all()) == zero, (
                    f"{penalty.name}'s critical strength is {critical} for the gradient "
                    f"{gradient.tolist()}; with {strength} a step from zero ends at "
                    f"{weights.tolist()}"
                )
