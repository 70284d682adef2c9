"""Proximal steps, in place: what pulls weights to exact zeros.

Weights are (..., columns), the penalised columns of a `Layout`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.models.layout import Group, Hierarchy
from workers.penalties.components import Components, norms
from workers.penalties.concave import concave_threshold
from workers.penalties.hierarchy import hierarchical_step
from workers.penalties.newton import secular_root


def proximal_step(
    weights: Tensor,
    metric: Tensor,
    components: Components,
    groups: Sequence[Group],
    hierarchies: Sequence[Hierarchy] = (),
) -> None:
    """Make w argmin_x ½ Σ D (x - w)² + λ R(x) without R's l2, which goes into the gradient.

    weights (..., columns), metric D (..., columns) or (..., 1). Soft thresholding before the
    groups' step is exact in any diagonal metric: that step changes no sign, so what it leaves has
    the subgradients of Σ |w| that the first step has balanced.
    """
    own = [metric.new_tensor([strength]) for strength in vars(components).values()]
    l1, _, group, concavity, knee, half, adaptive, hierarchy = own
    if components.hierarchy > 0:
        hierarchical_step(weights, metric, hierarchy, hierarchies)
        return
    if components.concave:
        weights.copy_(concave_threshold(weights, metric, l1, concavity, knee, half))
        return
    soft_threshold(weights, (l1 + adaptive) / metric)
    group_soft_threshold(weights, metric, group, groups)


def soft_threshold(weights: Tensor, threshold: Tensor) -> None:
    """Make w sign(w) * max(|w| - t, 0): exactly zero within the threshold; shapes broadcast.

    Source: Parikh & Boyd, Proximal Algorithms (2014), section 6.5.2.
    """
    weights.sub_(torch.clamp(weights, -threshold, threshold))


def group_soft_threshold(
    weights: Tensor, metric: Tensor, strength: Tensor, groups: Sequence[Group]
) -> None:
    """Make w argmin_x ½ Σ D (x - w)² + strength Σ_g √size(g) ‖x_g‖, times a group's own factor.

    weights (..., columns), metric D (..., columns) or (..., 1), strength (..., 1).
    """
    for group in groups:
        block = group.of(weights)
        ones = (1,) * len(group.view)
        threshold = (strength * math.sqrt(group.size)).unflatten(-1, ones)
        if group.factors is not None:
            threshold = threshold * group.factors
        if metric.shape[-1] == 1:
            block_soft_threshold(block, threshold / metric.unflatten(-1, ones), group.axes)
        else:
            scaled_block_soft_threshold(block, group.of(metric), threshold, group.axes)
        group.put(weights, block)


def block_soft_threshold(weights: Tensor, threshold: Tensor, axes: tuple[int, ...]) -> None:
    """Make w w * max(1 - t / ‖w‖, 0), block by block along `axes`.

    Source: Parikh & Boyd (2014), section 6.5.1.
    """
    if not axes:
        soft_threshold(weights, threshold)
        return
    norm = norms(weights, axes)
    kept = norm > threshold
    factor = 1 - threshold / torch.where(kept, norm, 1)
    _scale(weights, factor, kept | norm.isnan())


def scaled_block_soft_threshold(
    weights: Tensor, metric: Tensor, threshold: Tensor, axes: tuple[int, ...]
) -> None:
    """Make u argmin_x ½ Σ D (x - u)² + t ‖x‖, block by block along `axes`.

    weights u and metric D have the same shape.
    Zero iff ‖D u‖ ≤ t; else x = u s / (s + t/D), where s = ‖x‖ solves Σ (u / (s + t/D))² = 1.
    Source: Yun et al., ProxGen (2021); the root is found by Newton's method.
    """
    if not axes:
        soft_threshold(weights, threshold / metric)
        return
    norm = norms(metric * weights, axes)
    kept = norm > threshold
    shift = threshold / metric
    low = (norms(weights, axes) - shift.amax(axes, keepdim=True)).clamp_min_(0)
    length = secular_root(weights, shift, torch.where(kept, low, 1), kept, axes)
    _scale(weights, length / (length + shift), kept | norm.isnan())


def _scale(weights: Tensor, factor: Tensor, kept: Tensor) -> None:
    """Multiply by the factor where kept, else zero; a NaN stays within its own block."""
    weights.mul_(torch.where(kept, factor, 0))
