"""Rows for a linear fit: those of a fold, or few that stand in for rows that stay in a file.

A squared error depends on the rows by their weights' sum and their first and second moments alone.
d + 2 rows that have the same ones, of inputs and target together, have the same solutions: they
take one reading of the file, and no memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.data.mapped import LazyRows
from workers.fullbatch.rows import TrainingRows
from workers.heeding import heed
from workers.objectives.losses import Kind, row_weights
from workers.population.memory import require_room

ROWS_AT_ONCE = 2**14  # whose moments are taken


def training_rows(spec: JobSpec, fold: Fold, kind: Kind) -> TrainingRows:
    """Return what a linear model of this kind trains on.

    Rows in a file are read where their moments do not tell all; JobUnrunnable where there is no
    memory for them.
    """
    inputs, targets = fold.train_inputs, fold.train_targets
    weights = row_weights(spec, targets, fold.train_weights)
    if isinstance(inputs, Tensor) or not inputs.in_file:
        return TrainingRows(inputs, targets, weights)
    if kind == "regression":
        return with_same_moments(inputs, targets, weights)
    require_room(2 * inputs.numel() * fold.train_targets.element_size())
    return TrainingRows(inputs[:], targets, weights)


def with_same_moments(inputs: LazyRows, targets: Tensor, weights: Tensor) -> TrainingRows:
    """Return d + 2 rows of equal weights with these rows' means and second moments.

    targets (n,) of a regression; weights (n,) above 0.
    """
    means, covariance = _moments(inputs, targets.double(), weights.double())
    values, vectors = torch.linalg.eigh(covariance)
    # What rounding leaves where columns add up to others must not look like a signal.
    rounding = len(values) * torch.finfo(values.dtype).eps * values[-1]
    values = torch.where(values > rounding, values, 0)
    root = vectors * values.sqrt()  # times its transpose it is the covariance
    root[covariance.diagonal() == 0] = 0
    count = len(means) + 1
    # Rows of means 0: each column is orthogonal to all others and to ones (Helmert).
    steps = torch.arange(1, count, dtype=torch.float64)
    contrasts = torch.ones(count, count - 1, dtype=torch.float64).triu()
    contrasts[1:] -= torch.diag(steps)
    contrasts /= (steps * (steps + 1)).sqrt()
    rows = means + count**0.5 * (contrasts @ root.T)
    return TrainingRows(rows[:, :-1], rows[:, -1], torch.ones(count, dtype=torch.float64))


def _moments(inputs: LazyRows, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return weighted means and covariance of inputs and target together, (d + 1,) and squared.

    Block after block about the means so far: Chan, Golub & LeVeque (1979).
    """
    size = inputs.shape[1] + 1
    means = torch.zeros(size, dtype=torch.float64)
    sums, total = torch.zeros(size, size, dtype=torch.float64), 0.0
    for start in range(0, len(inputs), ROWS_AT_ONCE):
        heed()
        part = slice(start, start + ROWS_AT_ONCE)
        block = torch.cat([inputs[part].double(), targets[part, None]], 1)
        own, share = weights[part, None], float(weights[part].sum())
        mean = (own * block).sum(0) / share
        away, apart = block - mean, mean - means
        sums += away.T @ (own * away) + torch.outer(apart, apart) * (
            total * share / (total + share)
        )
        total += share
        means += apart * (share / total)
    return means, sums / total
