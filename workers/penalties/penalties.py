"""Each penalty's value, its parts, its critical strength, and the proximal steps.

A penalty with strength λ is at most three simple ones side by side, each with a strength of its
own: λ R(w) = l1 Σ |w| + l2 Σ w² + group Σ_g √size(g) ‖w_g‖₂. That is all a step has to know.
Weights are (..., columns), the penalised columns of a `Layout`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ridgeway.spec.names import PenaltyName
from workers.models.layout import Group

NEWTON_STEPS = 60


@dataclass(frozen=True)
class Parts:
    """Strengths of the parts of λ R(w)."""

    l1: float = 0.0
    l2: float = 0.0
    group: float = 0.0


class Penalty(ABC):
    """R(w), added to the mean loss with the factor λ."""

    name: ClassVar[PenaltyName]
    sparse: ClassVar[bool] = False  # whether its proximal step can land on exact zeros

    @abstractmethod
    def parts(self, strength: float, l1_ratio: float) -> Parts:
        """λ R(w) in its parts."""

    @abstractmethod
    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        """Smallest λ that keeps all weights at zero, where the loss has this gradient (columns,).

        Infinite where no strength does.
        """


class NoPenalty(Penalty):
    """R = 0."""

    name = "none"

    def parts(self, strength: float, l1_ratio: float) -> Parts:
        return Parts()

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return math.inf


class L1(Penalty):
    """R = Σ |w|."""

    name = "l1"
    sparse = True

    def parts(self, strength: float, l1_ratio: float) -> Parts:
        return Parts(l1=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item()


class L2(Penalty):
    """R = Σ w², with the gradient 2w."""

    name = "l2"

    def parts(self, strength: float, l1_ratio: float) -> Parts:
        return Parts(l2=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return math.inf


class ElasticNet(Penalty):
    """R = r Σ |w| + (1 - r) Σ w² (Zou & Hastie 2005, in scikit-learn's mixing)."""

    name = "elastic_net"
    sparse = True

    def parts(self, strength: float, l1_ratio: float) -> Parts:
        return Parts(l1=strength * l1_ratio, l2=strength * (1 - l1_ratio))

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return gradient.abs().max().item() / l1_ratio if l1_ratio > 0 else math.inf


class GroupLasso(Penalty):
    """R = Σ_g √size(g) ‖w_g‖₂ (Yuan & Lin 2006), every group of every layer."""

    name = "group_lasso"
    sparse = True

    def parts(self, strength: float, l1_ratio: float) -> Parts:
        return Parts(group=strength)

    def critical_strength(
        self, gradient: Tensor, l1_ratio: float, groups: Sequence[Group]
    ) -> float:
        return max(
            _norm(group.of(gradient), group.axes).max().item() / math.sqrt(group.size)
            for group in groups
        )


PENALTIES: Mapping[PenaltyName, Penalty] = {
    penalty.name: penalty for penalty in (NoPenalty(), L1(), L2(), ElasticNet(), GroupLasso())
}


def value(parts: Parts, weights: Tensor, groups: Sequence[Group]) -> Tensor:
    """λ R(w), (...,), of weights (..., columns)."""
    total = parts.l1 * weights.abs().sum(-1) + parts.l2 * weights.square().sum(-1)
    leading = weights.dim() - 1
    for group in groups:
        norms = _norm(group.of(weights), group.axes).flatten(leading).sum(-1)
        total = total + parts.group * math.sqrt(group.size) * norms
    return total


# --- proximal steps, in place -----------------------------------------------------------------


def soft_threshold(weights: Tensor, threshold: Tensor) -> None:
    """sign(w) * max(|w| - t, 0), exactly zero within the threshold; shapes broadcast.

    Source: Parikh & Boyd, Proximal Algorithms (2014), section 6.5.2.
    """
    weights.sub_(torch.clamp(weights, -threshold, threshold))


def group_soft_threshold(
    weights: Tensor, metric: Tensor, strength: Tensor, groups: Sequence[Group]
) -> None:
    """argmin_x ½ Σ D (x - w)² + strength Σ_g √size(g) ‖x_g‖; in place.

    weights (..., columns), metric D (..., columns) or (..., 1), strength (..., 1).
    """
    for group in groups:
        block = group.of(weights)
        ones = (1,) * len(group.view)
        threshold = (strength * math.sqrt(group.size)).unflatten(-1, ones)
        if metric.shape[-1] == 1:
            block_soft_threshold(block, threshold / metric.unflatten(-1, ones), group.axes)
        else:
            scaled_block_soft_threshold(block, group.of(metric), threshold, group.axes)


def block_soft_threshold(weights: Tensor, threshold: Tensor, axes: tuple[int, ...]) -> None:
    """w * max(1 - t / ‖w‖, 0) for each block along `axes`.

    Source: Parikh & Boyd (2014), section 6.5.1.
    """
    if not axes:
        soft_threshold(weights, threshold)
        return
    norm = _norm(weights, axes)
    kept = norm > threshold
    factor = 1 - threshold / torch.where(kept, norm, 1)
    _scale(weights, factor, kept | norm.isnan())


def scaled_block_soft_threshold(
    weights: Tensor, metric: Tensor, threshold: Tensor, axes: tuple[int, ...]
) -> None:
    """argmin_x ½ Σ D (x - u)² + t ‖x‖ for each block along `axes`; weights u, metric D, same shape.

    Zero iff ‖D u‖ ≤ t; else x = u s / (s + t/D), where s = ‖x‖ solves Σ (u / (s + t/D))² = 1.
    Source: Yun et al., ProxGen (2021); the root is found as below.
    """
    if not axes:
        soft_threshold(weights, threshold / metric)
        return
    norm = _norm(metric * weights, axes)
    kept = norm > threshold
    shift = threshold / metric
    length = _root(weights, shift, kept, axes)
    _scale(weights, length / (length + shift), kept | norm.isnan())


def _root(weights: Tensor, shift: Tensor, kept: Tensor, axes: tuple[int, ...]) -> Tensor:
    """s ≥ 0 with Σ (u / (s + c))² = 1 where `kept`, else 1; weights u, shift c.

    Newton on p(s)^-½ = 1, p the sum: that function is concave and nearly linear (Moré & Sorensen
    1983), so from the second iterate on s grows towards the root and can't pass it. Each block
    stops by itself, so that none depends on its neighbours.
    """
    low = (_norm(weights, axes) - shift.amax(axes, keepdim=True)).clamp_min_(0)
    root = torch.where(kept, low, 1)
    rounding = torch.finfo(weights.dtype).eps
    tolerance = 0.01 * math.sqrt(rounding)  # Newton squares what is left
    open_blocks = kept
    for _ in range(NEWTON_STEPS):
        inverse = (root + shift).reciprocal_()
        ratio = (weights * inverse).square_()
        total = ratio.sum(axes, keepdim=True)
        slope = ratio.mul_(inverse).sum(axes, keepdim=True)
        excess = total.sqrt() - 1
        step = total * excess / slope
        nearer = (root + step).clamp_min_(0)
        root = torch.where(open_blocks, nearer, root)
        still_moving = (step.abs() > tolerance * nearer) & (excess.abs() > 16 * rounding)
        open_blocks = open_blocks & still_moving
        if not open_blocks.any():
            break
    return root


def _scale(weights: Tensor, factor: Tensor, kept: Tensor) -> None:
    """weights * factor where kept, else zero; a NaN in the weights stays with its own block."""
    weights.mul_(torch.where(kept, factor, 0))


def _norm(weights: Tensor, axes: tuple[int, ...]) -> Tensor:
    """‖w‖ along the axes, kept as ones; the weights' own magnitude where there are no axes."""
    return weights.square().sum(axes, keepdim=True).sqrt_() if axes else weights.abs()
