"""The penalty Σ |w|^½ of single weights: steeper than any line at zero.

Zero is a minimum of |w|^½ plus whatever bends less than without end, so a weight is kept or dropped
by comparing two minima rather than by a slope: in a metric D, t |w|^½ drops what l1 of the strength
3/2 D^⅓ t^⅔ would (Xu, Chang, Xu & Zhang 2012).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EDGE = 1.5


def half_threshold(points: Tensor, metric: Tensor, strength: Tensor) -> Tensor:
    """Return argmin_x ½ D (x - u)² + t |x|^½ of points u; of two equal ones 0; shapes broadcast.

    Source: Xu et al. (2012), theorem 1, whose λ is 2 t / D.
    """
    ratio = strength / metric
    sizes = points.abs()
    kept = (sizes > EDGE * ratio.pow(2 / 3)) | sizes.isnan()
    angle = (ratio / 4 * (torch.where(kept, sizes, 3) / 3).pow(-1.5)).clamp_max(1).acos()
    found = 2 / 3 * points * (1 + (2 * math.pi / 3 - 2 / 3 * angle).cos())
    return torch.where(kept, torch.where(ratio > 0, found, points), 0)


def matching_l1(strength: Tensor, bend: float) -> Tensor:
    """Return the strength of Σ |w| that drops as much of a loss with this second derivative."""
    return EDGE * bend ** (1 / 3) * strength.pow(2 / 3)


def matching_half(l1: float, bend: float) -> float:
    """Return the strength of Σ |w|^½ that drops as much as this strength of Σ |w| does."""
    return (l1 / EDGE) ** 1.5 / math.sqrt(bend)
