"""Directions in which the rows of a fold spread, for models that no penalty holds.

Columns that determine each other, but for rounding, leave differences of weights open: what there
is to gain by them is rounding, and takes weights of 1e5 and more, which float32 can't even hold.
Along the directions that rows tell of, all of one size, each such model is found in a few steps; of
those that fit as well it is the one with the shortest weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.heeding import heed

ROUNDED = 8  # units of rounding, of the length of all columns: what spreads less is not told of
STEEP = 1e3  # times as wide as the narrowest: from there on solvers are better off turned
ROWS_AT_ONCE = 2**12


@dataclass(frozen=True)
class Directions:
    """What rows (n, r) along them stand for.

    rows: of means 0, mean squares 1 and orthogonal, by the rows' shares. weights (r, d): those of
    the inputs for a weight of one along each. means (d,): of the inputs.
    """

    rows: Tensor
    weights: Tensor
    means: Tensor


def spread_out(curvature: Tensor) -> bool:
    """Return whether columns of this curvature (d, d) are about as wide in every direction.

    Each in its own unit; a constant one is in nobody's way.
    """
    sizes = curvature.diagonal().sqrt()
    varied = sizes > 0
    scaled = (curvature / sizes[:, None] / sizes)[varied][:, varied]
    if not len(scaled):
        return True
    return bool(torch.linalg.eigvalsh(scaled)[0] * STEEP**2 > 1)


def turned(inputs: Tensor, shares: Tensor) -> Directions:
    """Turn inputs (n, d) with shares (n,) of the mean, which add up to one, float64."""
    means, sizes = _means_and_sizes(inputs, shares)
    triangle = torch.zeros(0, inputs.shape[1], dtype=torch.float64)
    for part in _parts(inputs):
        own = (inputs[part].double() - means) / sizes * shares[part, None].sqrt()
        triangle = torch.linalg.qr(torch.cat([triangle, own]), mode="r")[1]
    _, widths, along = torch.linalg.svd(triangle, full_matrices=False)
    # Inputs are rounded by their size, of which the mean may be nearly all.
    lengths = torch.where(sizes.isfinite(), 1 + (means / sizes).square(), 0).sum().sqrt()
    told = widths > ROUNDED * torch.finfo(inputs.dtype).eps * lengths
    widths, along = widths[told], along[told]
    to = (along / widths[:, None]).T
    rows = torch.cat(
        [((inputs[part].double() - means) / sizes @ to).to(inputs) for part in _parts(inputs)]
    )
    # The shortest weights w, in the inputs' units, with A w = c: w = Q R⁻ᵀ c, where Aᵀ = Q R.
    square, triangle = torch.linalg.qr((widths[:, None] * along * _finite(sizes)).T)
    weights = torch.linalg.solve_triangular(triangle, square.T, upper=True)
    return Directions(rows, weights, means)


def _means_and_sizes(inputs: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return each column's mean and deviation, infinite where it is constant."""
    means = torch.zeros(inputs.shape[1], dtype=torch.float64)
    squares = torch.zeros_like(means)
    for part in _parts(inputs):
        means += shares[part] @ inputs[part].double()
    for part in _parts(inputs):
        squares += shares[part] @ (inputs[part].double() - means).square()
    # Rounding must leave nothing of a constant column: it would look like a signal.
    flat = (inputs == inputs[0]).all(0) | (squares == 0)
    return means, torch.where(flat, torch.inf, squares.sqrt())


def _finite(sizes: Tensor) -> Tensor:
    return torch.where(sizes.isfinite(), sizes, 0)


def _parts(inputs: Tensor) -> list[slice]:
    heed()
    return [slice(at, at + ROWS_AT_ONCE) for at in range(0, len(inputs), ROWS_AT_ONCE)]
