"""How long a vector is that a metric and a pull towards zero hold: Newton's method, by block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

STEPS = 16  # blocks whose numbers differ by factors of up to 10^20 took at most 14 (docs/log.md)


def secular_root(
    weights: Tensor, shift: Tensor, start: Tensor, kept: Tensor, axes: tuple[int, ...]
) -> Tensor:
    """Return s ≥ 0 with Σ (u / (s + c))² = 1 along `axes` where `kept`, else the start.

    weights u, shift c ≥ 0; start and kept with ones for the axes. Newton on p(s)^-½ = 1, p the sum:
    that function is concave and nearly linear (Moré & Sorensen 1983), so from the second iterate on
    s grows towards the root and can't pass it. Each block stops by itself, so that none depends on
    its neighbours. Where a step is captured, nobody can ask whether all have stopped: then all
    steps are taken, which moves none that has.
    """
    asks = not _captured(weights)
    root, open_blocks = start, kept
    rounding = torch.finfo(weights.dtype).eps
    tolerance = 0.01 * math.sqrt(rounding)  # Newton squares what is left
    for _ in range(STEPS):
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
        if asks and not open_blocks.any():
            break
    return root


def _captured(weights: Tensor) -> bool:
    """Return whether what is done with the weights is only recorded, for a device to do later."""
    return weights.is_cuda and torch.cuda.is_current_stream_capturing()
