"""From which strength on a mixture of Σ |w| and norms of groups leaves no weight."""

from __future__ import annotations

import torch
from torch import Tensor

from workers.penalties.components import norms

HALVINGS = 64  # of a bracket whose ends differ by a factor √size at most: to the last bit


def critical_mixtures(
    gradient: Tensor, axes: tuple[int, ...], l1_share: float, norm_share: float
) -> Tensor:
    """Return, for each group along `axes`, the smallest s with ‖S(g, s l1)‖ ≤ s norm.

    gradient g: that of the loss at zero weights; S soft-thresholds its entries, and the penalty of
    a group is s (l1 Σ |w| + norm ‖w‖), the shares not both 0. The left side falls with s and the
    right one rises (Simon et al. 2013); as max |g| - t ≤ ‖S(g, t)‖ ≤ ‖g‖ - t where any is left, the
    root lies between max |g| and ‖g‖ over l1 + norm.
    """
    sizes = gradient.abs().double()
    high = norms(sizes, axes) / (l1_share + norm_share)
    if not axes:
        return high
    low = sizes.amax(axes, keepdim=True) / (l1_share + norm_share)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        left = norms((sizes - middle * l1_share).clamp_min(0), axes)
        enough = left <= middle * norm_share
        high = torch.where(enough, middle, high)
        low = torch.where(enough, low, middle)
    return high
