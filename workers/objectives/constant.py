"""The constant predictor: what a model has to beat to have learned anything."""

from __future__ import annotations

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.objectives.losses import kind_of, response, response_losses, row_losses, row_weights


def constant_logits(targets: Tensor, outputs: int, weights: Tensor | None = None) -> Tensor:
    """Return the logits (outputs,) float64 of the best constant for training rows (n,).

    They are the classes' log shares, for two classes the log odds, and 0 for targets of a
    regression, which are standardised by their best constant. weights (n,): of the rows, as they
    were standardised by.
    """
    if targets.is_floating_point():
        return torch.zeros(outputs, dtype=torch.float64)
    counts = torch.bincount(targets, weights, minlength=max(2, outputs)).double()
    shares = counts.log() - counts.sum().log()
    return (shares[1:] - shares[:1]) if outputs == 1 else shares


def explained_share(
    spec: JobSpec, logits: Tensor, targets: Tensor, weights: Tensor | None = None
) -> float:
    """Return 1 - loss / loss of the best constant on training rows; 0 if that loss is 0.

    logits (n, outputs), targets (n,), weights (n,) or None. The loss is the unpenalised one, rows
    weighted as in training.
    """
    kind, logits = kind_of(spec, logits.shape[1]), logits.double()
    shares = row_weights(spec, targets, weights) / len(targets)
    if spec.loss is not None:
        predicted = torch.stack([response(kind, each, 0, 1) for each in (logits, 0 * logits)])
        loss, constant = response_losses(kind, predicted, targets.double().expand(2, -1)) @ shares
        return float(1 - loss / constant) if constant > 0 else 0.0
    losses = row_losses(kind, logits, targets)
    if not targets.is_floating_point():
        loss, constant = losses @ shares, _entropy(targets, shares)
    elif weights is None:
        loss, constant = losses.mean(), targets.double().var(correction=0)
    else:
        away = targets.double() - shares @ targets.double()
        loss, constant = losses @ shares, shares @ away.square()
    return float(1 - loss / constant) if constant > 0 else 0.0


def _entropy(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the entropy of the classes' shares: the cross entropy of the best constant."""
    shares = torch.zeros(int(targets.max()) + 1, dtype=torch.float64)
    return torch.special.entr(shares.index_add_(0, targets, weights)).sum()
