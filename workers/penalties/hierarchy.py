"""Inputs that a skip layer lets in: the penalty of its weights, and a limit for the first layer's.

λ R(w) = λ Σ_g √size ‖θ_g‖₂ with |W| ≤ M ‖θ_g‖₂ for each W in W_g: of a group g of inputs θ_g leaves
by the skip layer, and W_g by the first. Groups are those of a `Hierarchy`, mostly one input each.

The proximal step is exact in any diagonal metric. Given the norm s = ‖θ‖, each W is clipped to
M s, and what is left is a function of s alone, convex because its slope τ(s) - μ(s) rises:

    τ(s) = t - M Σ D (|W| - M s)₊                  what pulls θ towards zero, and W away from it
    μ(s)   with  Σ (D θ / (D s + μ))² = 1          what holds θ at the length s

τ is concave and made of lines, one for each set of W beyond the limit. So the root on the line of a
larger set is never too large, and from the set of all W on the sets shrink until one stays: this is
Newton's method, which ends after as many lines at most (Michelot 1986 has it for the simplex).
Lemhadri et al. (2021), algorithm 2, sort |W| instead and try every line; they have equal D.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from workers.models.layout import Hierarchy
from workers.penalties.components import norms
from workers.penalties.newton import secular_root

ROUNDINGS = 16  # by which weights may exceed their limit and be taken to obey it


def hierarchical_value(weights: Tensor, hierarchies: Sequence[Hierarchy]) -> Tensor:
    """Return R (...,) of weights (..., columns); infinite where a limit is exceeded."""
    total, least = weights.new_zeros(weights.shape[:-1]), torch.finfo(weights.dtype).eps
    for own in hierarchies:
        lengths = norms(weights[..., own.skip], (-1,))[..., 0]
        largest = weights[..., own.first].abs().amax(-1)
        beyond = (largest > own.limit * lengths * (1 + ROUNDINGS * least)).any(-1)
        if own.factors is not None:
            lengths = lengths * own.factors[:, 0]
        total = total + math.sqrt(own.size) * lengths.sum(-1)
        total = torch.where(beyond, math.inf, total)
    return total


def hierarchical_step(
    weights: Tensor, metric: Tensor, strength: Tensor, hierarchies: Sequence[Hierarchy]
) -> None:
    """Make w argmin_x ½ Σ D (x - w)² + strength R(x); in place.

    weights (..., columns), metric D (..., columns) or (..., 1), strength (..., 1).
    """
    for own in hierarchies:
        skip, first = weights[..., own.skip], weights[..., own.first]
        if metric.shape[-1] == 1:
            narrow = metric.unsqueeze(-1)
            metrics = narrow.expand_as(skip), narrow.expand_as(first)
        else:
            metrics = metric[..., own.skip], metric[..., own.first]
        threshold = (strength * math.sqrt(own.size)).unsqueeze(-1)
        if own.factors is not None:
            threshold = threshold * own.factors
        skip, first = hierarchical_prox((skip, first), metrics, threshold, own.limit)
        weights[..., own.skip], weights[..., own.first] = skip, first


def hierarchical_prox(
    points: tuple[Tensor, Tensor], metrics: tuple[Tensor, Tensor], threshold: Tensor, limit: float
) -> tuple[Tensor, Tensor]:
    """Return the θ (..., n) and W (..., m) next to these points, by the metrics of the same shapes.

    threshold t (..., 1). Both are zero iff ‖D θ‖ + M Σ D |W| ≤ t at the points; or where θ is,
    which has no direction to be drawn in.
    """
    (skip, first), (metric, own_metric) = points, metrics
    sizes, pulled = first.abs(), metric * skip
    weighted = own_metric * sizes
    least = norms(pulled, (-1,)) + limit * weighted.sum(-1, keepdim=True)
    kept = least > threshold
    beyond = torch.ones_like(first, dtype=torch.bool)
    while True:
        tau = threshold - limit * (weighted * beyond).sum(-1, keepdim=True)
        stiff = metric + limit**2 * (own_metric * beyond).sum(-1, keepdim=True)
        length, factor = _length(pulled / stiff, tau / stiff, kept)
        still = beyond & (sizes > limit * length)
        if torch.equal(still, beyond):
            break
        beyond = still
    broken = least.isnan()  # stays within its own group
    length = torch.where(kept | broken, length, 0)
    found = torch.where(kept | broken, factor * pulled / stiff, 0)
    return found, torch.minimum(torch.maximum(first, -limit * length), limit * length)


def _length(weights: Tensor, shift: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return s > 0 (..., 1) with Σ (u / (s + c))² = 1 where `kept`, and s / (s + c) (..., n).

    weights u and shift c (..., n); c may be negative, but s + c is not.
    """
    least = shift.amin(-1, keepdim=True)
    above = shift - least
    low = torch.maximum(
        (weights.abs() - above).amax(-1, keepdim=True),  # each term of the sum is at most 1
        norms(weights, (-1,)) - above.amax(-1, keepdim=True),
    )
    found = kept & (low > 0)
    root = secular_root(weights, above, torch.where(found, low, 1), found, (-1,))
    length = (root - least).clamp_min(0)
    return torch.where(found | low.isnan(), length, 0), length / (root + above)
