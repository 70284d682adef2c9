"""Moves of single weights to zero and away from it, where no slope tells of them.

The slope of Σ |w|^½ at zero has no end: all weights that are zero may stay it, whatever the loss
says. What tells a good choice of weights from a poor one is whether a weight of another size, zero
or not, would be better by itself; then the best of these moves is taken (Gauss-Southwell), until
there is none. What is found is what coordinate descent ends at, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.fullbatch.rows import MeanLoss
from workers.fullbatch.terms import Terms
from workers.heeding import heed

MOVES = 25  # in a cycle, at most
WORTH = 1e4  # units of rounding of the penalty: what a move has to gain


@dataclass(frozen=True)
class Moves:
    """The move of each member (F, P) that gains most, if there is any.

    left (F, P, K, D): what the slope does not tell of the weight's distance from where it is to be,
    in its units; zero but for the weight. step: how far the weight is to move, likewise.
    """

    left: Tensor
    step: Tensor


def best_moves(terms: Terms, gradient: Tensor, weights: Tensor) -> Moves:
    """Find moves across zero of members with Σ |w|^½ that lower their objective for certain.

    gradient (F, P, K, D): of the loss alone. None moves where the loss's curvature has no bound.
    """
    steepness = terms.steepness
    if steepness is None:
        return Moves(torch.zeros_like(weights), torch.zeros_like(weights))
    slope = gradient + terms.linear
    target = terms.prox(weights - slope / steepness, steepness)
    step = target - weights
    before, after = terms.single(weights), terms.single(target)
    ridge = terms.l2 * (target + weights) * step
    gain = before - after - ridge - (slope + steepness / 2 * step) * step
    worth = WORTH * torch.finfo(weights.dtype).eps * (before + after)
    across = ((weights == 0) != (target == 0)) & (terms.half * terms.bent > 0)
    gain = torch.where(across & (gain > worth), gain, 0).flatten(-2)
    most = gain.argmax(-1, keepdim=True)
    chosen = (
        torch.zeros_like(gain).scatter(-1, most, 1).mul_(gain > 0).unflatten(-1, step.shape[-2:])
    )
    step = torch.where(chosen > 0, step, 0)
    return Moves(steepness * step, step)


def moved_singly(loss: MeanLoss, terms: Terms, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights after up to MOVES moves, and which members (F, P, 1, 1) have moved."""
    moved = torch.zeros_like(terms.bent, dtype=torch.bool)
    for _ in range(MOVES):
        heed()
        step = best_moves(terms, loss.gradient(weights), weights).step
        now = (step != 0).any(-1, keepdim=True).any(-2, keepdim=True)
        if not now.any():
            break
        weights, moved = weights + step, moved | now
    return weights, moved
