"""Each penalty's value, gradient, proximal step and critical strength, for many members at once.

Weights are (..., columns), the penalised columns of a `Layout`; strengths λ and l1_ratios r are
tensors of the leading shape with a last dimension of one, so that every member has its own.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ridgeway import spec
from workers.layout import Group

NEWTON_STEPS = 60


class Penalty(ABC):
    """R(w), added to the mean loss with the factor λ."""

    name: ClassVar[spec.Penalty]
    proximal: ClassVar[bool] = False  # whether its step can land on exact zeros

    @abstractmethod
    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        """R(w), (...,), of weights (..., columns)."""

    def add_gradient(
        self, gradient: Tensor, weights: Tensor, strength: Tensor, l1_ratio: Tensor
    ) -> None:
        """Add λ times the gradient of the part that has one; in place, (..., columns)."""
        return

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        """argmin_w ½ Σ metric (w - weights)² + λ (the rest of R)(w); in place.

        metric (..., columns) or (..., 1), positive: 1/lr in SGD, (√v̂ + ε)/lr in Adam.
        """
        return

    def critical_strength(self, gradient: Tensor, l1_ratio: float) -> float:
        """Smallest λ that keeps all weights at zero, where the loss has this gradient (columns,).

        Infinite where no strength does.
        """
        return math.inf


class NoPenalty(Penalty):
    """R = 0."""

    name = "none"

    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        return weights.new_zeros(weights.shape[:-1])


class L1(Penalty):
    """R = Σ |w|."""

    name = "l1"
    proximal = True

    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        return weights.abs().sum(-1)

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        soft_threshold(weights, strength / metric)

    def critical_strength(self, gradient: Tensor, l1_ratio: float) -> float:
        return gradient.abs().max().item()


class L2(Penalty):
    """R = Σ w², with the gradient 2w."""

    name = "l2"

    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        return weights.square().sum(-1)

    def add_gradient(
        self, gradient: Tensor, weights: Tensor, strength: Tensor, l1_ratio: Tensor
    ) -> None:
        gradient.addcmul_(weights, 2 * strength)


class ElasticNet(Penalty):
    """R = r Σ |w| + (1 - r) Σ w²; the first part proximal, the second in the gradient."""

    name = "elastic_net"
    proximal = True

    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        ratio = l1_ratio.squeeze(-1)
        return ratio * weights.abs().sum(-1) + (1 - ratio) * weights.square().sum(-1)

    def add_gradient(
        self, gradient: Tensor, weights: Tensor, strength: Tensor, l1_ratio: Tensor
    ) -> None:
        gradient.addcmul_(weights, 2 * strength * (1 - l1_ratio))

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        soft_threshold(weights, strength * l1_ratio / metric)

    def critical_strength(self, gradient: Tensor, l1_ratio: float) -> float:
        return gradient.abs().max().item() / l1_ratio if l1_ratio > 0 else math.inf


class SubgradientL1(L1):
    """R = Σ |w| by its subgradient sign(w), as weights jump about zero and never land on it."""

    proximal = False

    def add_gradient(
        self, gradient: Tensor, weights: Tensor, strength: Tensor, l1_ratio: Tensor
    ) -> None:
        gradient.addcmul_(weights.sign(), strength)

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        return


class SubgradientElasticNet(ElasticNet):
    """The elastic net with both parts in the gradient."""

    proximal = False

    def add_gradient(
        self, gradient: Tensor, weights: Tensor, strength: Tensor, l1_ratio: Tensor
    ) -> None:
        super().add_gradient(gradient, weights, strength, l1_ratio)
        gradient.addcmul_(weights.sign(), strength * l1_ratio)

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        return


class GroupLasso(Penalty):
    """R = Σ_g √size(g) ‖w_g‖₂ (Yuan & Lin 2006), every group of every layer."""

    name = "group_lasso"
    proximal = True

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups

    def value(self, weights: Tensor, l1_ratio: Tensor) -> Tensor:
        leading = weights.dim() - 1
        norms = [
            math.sqrt(group.size) * _norm(group.of(weights), group.axes).flatten(leading).sum(-1)
            for group in self.groups
        ]
        return torch.stack(norms).sum(0)

    def prox(self, weights: Tensor, metric: Tensor, strength: Tensor, l1_ratio: Tensor) -> None:
        for group in self.groups:
            block = group.of(weights)
            ones = (1,) * len(group.view)
            threshold = (strength * math.sqrt(group.size)).unflatten(-1, ones)
            if metric.shape[-1] == 1:
                block_soft_threshold(block, threshold / metric.unflatten(-1, ones), group.axes)
            else:
                scaled_block_soft_threshold(block, group.of(metric), threshold, group.axes)

    def critical_strength(self, gradient: Tensor, l1_ratio: float) -> float:
        return max(
            _norm(group.of(gradient), group.axes).max().item() / math.sqrt(group.size)
            for group in self.groups
        )


def penalties_of(
    groups: Sequence[Group], l1_method: Literal["proximal", "subgradient"]
) -> Mapping[spec.Penalty, Penalty]:
    """Every penalty by its name, for weights laid out in these groups."""
    l1: tuple[Penalty, Penalty] = (
        (L1(), ElasticNet())
        if l1_method == "proximal"
        else (SubgradientL1(), SubgradientElasticNet())
    )
    every = (NoPenalty(), L2(), *l1, GroupLasso(groups))
    return {penalty.name: penalty for penalty in every}


# --- proximal steps, in place -----------------------------------------------------------------


def soft_threshold(weights: Tensor, threshold: Tensor) -> None:
    """sign(w) * max(|w| - t, 0), exactly zero within the threshold; shapes broadcast.

    Source: Parikh & Boyd, Proximal Algorithms (2014), section 6.5.2.
    """
    weights.sub_(torch.clamp(weights, -threshold, threshold))


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
