"""Sums over rows of least squares, which leave the rows themselves unneeded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

ROWS_AT_ONCE = 2048  # whose moments are summed: as doubles, those of some columns lie in a cache
NEAR = 0.1  # of a deviation: so far from a column's mean the sums of squares lose little


def about(sample: Tensor) -> Tensor:
    """Return about where a sample's columns lie (d,), so that little cancels; 0 where it is near.

    sample (m, d), float64.
    """
    means = sample.mean(0)
    return means.where(means.square() > NEAR**2 * sample.var(0, correction=0), 0)


def moments(inputs: Tensor, targets: Tensor, shares: Tensor, means: Tensor) -> Tensor:
    """Return twice Σ share z zᵀ (d + 2, d + 2) of rows z: inputs less means, a one, the target.

    inputs (n, d) of any type, targets (n,), shares (n,) and means (d,) float64.
    """
    rows, columns = len(inputs), inputs.shape[1] + 2
    even, moved = bool((shares == shares[0]).all()), bool(means.any())
    roots = (2 * shares).sqrt()
    room = torch.empty(min(rows, ROWS_AT_ONCE), columns, dtype=torch.float64)
    sums = np.zeros((columns, columns))
    for start in range(0, rows, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        own = room[: len(shares[part])]
        own[:, :-2] = inputs[part]
        if moved:
            own[:, :-2] -= means
        own[:, -2] = 1
        own[:, -1] = targets[part]
        if not even:
            own *= roots[part, None]
        block = own.numpy()
        sums += block.T @ block  # NumPy makes half of what is symmetric, torch all of it
    return torch.from_numpy(sums) * (2 * shares[0] if even else 1)
