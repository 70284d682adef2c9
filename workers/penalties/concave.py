"""Concave penalties of single weights: l1 near zero, then ever flatter, then constant.

P(|w|) has the slope t up to the knee p, t - b (|w| - p) from there on, and 0 beyond p + t / b,
where it stays what it is: large weights are not shrunk. b = 0 is t |w|. MCP and SCAD are of this
kind. Another is h |w|^½, which stands alone: t, b, and p are 0 where h is not. All arguments are
tensors that broadcast; threshold t, concavity b, knee p, and half h are at least 0, h by default 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from workers.penalties.half import half_threshold


def pull(
    weights: Tensor,
    threshold: Tensor,
    concavity: Tensor,
    knee: Tensor,
    half: Tensor | None = None,
) -> Tensor:
    """Return the slope P'(|w|); where w is zero t, and with h without end."""
    slope = (threshold - concavity * (weights.abs() - knee).clamp_min(0)).clamp_min(0)
    return slope if half is None else torch.where(half > 0, half / 2 * weights.abs().rsqrt(), slope)


def concave_value(
    weights: Tensor,
    threshold: Tensor,
    concavity: Tensor,
    knee: Tensor,
    half: Tensor | None = None,
) -> Tensor:
    """Return P(|w|) of each weight."""
    within = torch.minimum(weights.abs(), flat_from(threshold, concavity, knee))
    value = threshold * within - concavity * (within - knee).clamp_min(0).square() / 2
    return value if half is None else value + half * weights.abs().sqrt()


def bend(
    weights: Tensor,
    threshold: Tensor,
    concavity: Tensor,
    knee: Tensor,
    half: Tensor | None = None,
) -> Tensor:
    """Return -P''(|w|): b between the knee and where P is flat, else 0; with h 0 where w is."""
    sizes = weights.abs()
    inside = (sizes > knee) & (sizes < flat_from(threshold, concavity, knee))
    bent = torch.where(inside, concavity, 0)
    if half is None:
        return bent
    return bent + torch.where(weights != 0, half / 4 * sizes.pow(-1.5), 0)


def flat_from(threshold: Tensor, concavity: Tensor, knee: Tensor) -> Tensor:
    """Return the size from which on P is constant; infinite where it never is."""
    curved = concavity > 0
    return torch.where(curved, knee + threshold / torch.where(curved, concavity, 1), math.inf)


def concave_threshold(
    points: Tensor,
    metric: Tensor,
    threshold: Tensor,
    concavity: Tensor,
    knee: Tensor,
    half: Tensor | None = None,
) -> Tensor:
    """Return argmin_x ½ D (x - u)² + P(|x|) of points u and a metric D > 0, weight by weight."""
    firm = firm_threshold(points, metric, threshold, concavity, knee)
    return (
        firm if half is None else torch.where(half > 0, half_threshold(points, metric, half), firm)
    )


def firm_threshold(
    points: Tensor, metric: Tensor, threshold: Tensor, concavity: Tensor, knee: Tensor
) -> Tensor:
    """Return the same where P has no h.

    Where D > b the function is convex, and its minimum is where its slope is zero: soft
    thresholding up to the knee, u itself where P is flat, and a line between the two (firm
    thresholding: Gao & Bruce 1997). Where D ≤ b it is concave between the knee and where P is flat,
    so a minimum is on either side: soft thresholding up to the knee, or u itself, whichever is
    lower; of equals the smaller.
    """
    sizes, flat = points.abs(), flat_from(threshold, concavity, knee)
    soft = (sizes - threshold / metric).clamp_min(0)
    convex = metric > concavity
    slope = torch.where(convex, metric - concavity, 1)
    line = (metric * sizes - threshold - concavity * knee) / slope
    firm = torch.where(soft <= knee, soft, torch.where(sizes < flat, line, sizes))
    near = torch.minimum(soft, knee.expand_as(soft))
    at_near = metric * (near - sizes).square() / 2 + threshold * near
    height = concave_value(torch.where(convex, 0, flat), threshold, concavity, knee)
    hard = torch.where((sizes > flat) & (height < at_near), sizes, near)
    found = torch.where(convex, firm, hard)
    return torch.where(found == 0, 0, found * points.sign())
