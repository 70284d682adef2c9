"""Objectives by scikit-learn's definitions, for many members at once, and their standard errors.

Logits are (P, m, outputs), targets (m,); for regression, predictions and targets in the target's
own units, and a kind in the same. Row weights (R, m) score R weightings at once (a bootstrap's
counts); results (P, R).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from ridgeway.spec.names import Objective
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.objectives.losses import Kind, finite, kind_of_task, response_losses

REPLICATES = 200
MOST_UNITS = 10_000  # that a bootstrap draws; where there are more, random blocks of them
BLOCK = 2**22  # numbers in one temporary tensor of a bootstrap


def score(
    metric: Objective,
    logits: Tensor,
    targets: Tensor,
    kind: Kind | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the metric of each member, (P,) float64; NaN where a logit is not finite.

    Without a kind, floating targets are those of a squared error. weights (m,): of the rows; all
    equal by default.
    """
    if weights is None:
        weights = torch.ones(targets.shape[0], dtype=torch.float64, device=logits.device)
    return weighted_score(metric, logits, targets, weights[None], kind).squeeze(-1)


def weighted_score(
    metric: Objective, logits: Tensor, targets: Tensor, weights: Tensor, kind: Kind | None = None
) -> Tensor:
    """Return the metric under each of R row weightings (R, m): (P, R) float64."""
    if kind is None:
        task = "regression" if targets.is_floating_point() else "classification"
        kind = kind_of_task(task, logits.shape[-1])
    broken = ~finite(logits)[:, None]
    padding = rounded_up(len(targets), ROW_ALIGNMENT) - len(targets)  # of weight 0
    logits = pad(logits.double(), (0, 0, 0, padding))
    targets, weights = pad(targets, (0, padding)), pad(weights, (0, padding))
    values = METRICS[metric](kind, logits, targets, weights)
    return values.masked_fill(broken, torch.nan)


def bootstrap_error(
    metric: Objective,
    logits: Tensor,
    targets: Tensor,
    drawn: Iterable[Tensor],
    kind: Kind | None = None,
) -> Tensor:
    """Return the metric's standard deviation (P,) over what `resampled_weights` draws.

    Replicates without a value, such as roc_auc without a positive row, are left out; NaN where
    fewer than two have one.
    """
    scores = [weighted_score(metric, logits, targets, own.to(logits.device), kind) for own in drawn]
    values = torch.cat(scores, dim=-1)  # (P, replicates)
    present = ~values.isnan()
    found = present.sum(-1, keepdim=True)
    mean = values.nan_to_num(0.0).sum(-1, keepdim=True) / found
    deviations = torch.where(present, values - mean, 0)
    # Not std(): that rounds otherwise for one member than for many.
    errors = (deviations.square().sum(-1, keepdim=True) / (found - 1)).sqrt()
    return errors.masked_fill(found < 2, torch.nan).squeeze(-1)


def resampled_weights(
    rows: int, groups: Tensor | None, seed: int, replicates: int, weights: Tensor | None = None
) -> Iterator[Tensor]:
    """Yield how often each row is drawn, in some replicates at a time: (r, rows) float64.

    Rows of a unit are drawn together. With weights (rows,) a row counts as often times its weight;
    each is as likely to be drawn as any other.
    """
    unit, drawn = resampled_units(rows, groups, seed, replicates)
    if weights is None:
        return (counts[:, unit] for counts in drawn)
    own = weights.cpu()
    return (counts[:, unit] * own for counts in drawn)


def resampled_units(
    rows: int, groups: Tensor | None, seed: int, replicates: int
) -> tuple[Tensor, Iterator[Tensor]]:
    """Return each row's unit (rows,), and how often units are drawn, (r, units) float64 a time.

    A unit is a row, or a group of rows (rows,). Of more than MOST_UNITS random blocks of equal size
    are drawn instead: the variance of a mean between blocks is that between rows, known to
    √(2 / MOST_UNITS) of it.
    """
    unit = torch.arange(rows) if groups is None else groups.cpu()
    _, unit = torch.unique(unit, return_inverse=True)
    units = int(unit.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    if units > MOST_UNITS:
        unit = torch.randperm(units, generator=generator)[unit] % MOST_UNITS
        units = MOST_UNITS
    return unit, _draws(units, generator, replicates, max(1, BLOCK // rows))


def _draws(
    units: int, generator: torch.Generator, replicates: int, at_once: int
) -> Iterator[Tensor]:
    for start in range(0, replicates, at_once):
        drawn = torch.randint(units, (min(at_once, replicates - start), units), generator=generator)
        counts = torch.zeros(drawn.shape, dtype=torch.float64)
        yield counts.scatter_add_(1, drawn, torch.ones_like(counts))


# --- metrics ----------------------------------------------------------------------------------

# Takes what the logits mean, logits (P, m, outputs) float64, targets (m,) and weights (R, m), and
# returns the metric (P, R).
Metric: TypeAlias = Callable[[Kind, Tensor, Tensor, Tensor], Tensor]


def _mean(rows: Tensor, weights: Tensor) -> Tensor:
    """Return weighted means of rows (P, m), a product each, so that none depends on others."""
    if weights.shape[0] == 1:
        return (rows * weights).sum(-1, keepdim=True) / weights.sum()
    means = [row @ weights.T for row in rows]
    return torch.stack(means) / weights.sum(-1)


def _loss(kind: Kind, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    rows = response_losses(kind, logits, targets.expand(logits.shape[:-1]))
    return _mean(rows, weights)


def _hits(kind: Kind, logits: Tensor, targets: Tensor) -> Tensor:
    guess = (logits.squeeze(-1) > 0) if kind == "binary" else logits.argmax(-1)
    return (guess == targets).double()


def _accuracy(kind: Kind, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return _mean(_hits(kind, logits, targets), weights)


def _balanced_accuracy(kind: Kind, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the mean recall of the classes that occur, in each replicate."""
    hits = _hits(kind, logits, targets)
    recalls = [
        _mean(hits[:, of_class], weights[:, of_class])
        for of_class in (targets == label for label in targets.unique())
    ]
    return torch.stack(recalls).nanmean(0)


def _mse(kind: Kind, predictions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    return _mean((predictions.squeeze(-1) - targets).square(), weights)


def _r2(kind: Kind, predictions: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return 1 - SSE/SST; where the targets don't vary, 1 for a perfect prediction, else 0."""
    truth = targets.double()[None]
    mean = _mean(truth, weights)  # (1, R)
    spread = torch.stack(
        [_mean((truth - m).square(), w[None])[0, 0] for m, w in zip(mean[0], weights, strict=True)]
    )
    error = _mse(kind, predictions, targets, weights)
    constant = torch.where(error == 0, 1.0, 0.0)
    return torch.where(spread > 0, 1 - error / spread, constant)


def _roc_auc(kind: Kind, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the area under the ROC curve; for more classes the mean over one against the rest."""
    if kind == "binary":
        return _binary_auc(logits.squeeze(-1), targets == 1, weights)
    shares = logits.softmax(-1)
    areas = [
        _binary_auc(shares[..., label], targets == label, weights)
        for label in range(logits.shape[-1])
    ]
    return torch.stack(areas).mean(0)


def _binary_auc(scores: Tensor, positive: Tensor, weights: Tensor) -> Tensor:
    """Return the share of (positive, negative) pairs in order, ties a half; scores (P, m)."""
    blocks = weights.split(max(1, BLOCK // max(1, scores.numel())))
    return torch.cat([_auc_block(scores, positive, block) for block in blocks], dim=-1)


def _auc_block(scores: Tensor, positive: Tensor, weights: Tensor) -> Tensor:
    ordered, order = scores.sort(dim=-1)  # (P, m)
    below = torch.searchsorted(ordered, ordered, right=False)
    up_to = torch.searchsorted(ordered, ordered, right=True)
    gathered = weights[:, order]  # (R, P, m)
    negatives = torch.where(positive[order], 0, gathered).cumsum(-1)
    negatives = pad(negatives, (1, 0))  # (R, P, m + 1)
    shape = gathered.shape
    beaten = negatives.gather(-1, below.expand(shape)) + negatives.gather(-1, up_to.expand(shape))
    pairs = (torch.where(positive[order], gathered, 0) * beaten / 2).sum(-1)  # (R, P)
    total = weights[:, positive].sum(-1) * weights[:, ~positive].sum(-1)
    return (pairs / total[:, None]).T


METRICS: Mapping[Objective, Metric] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "roc_auc": _roc_auc,
    "mse": _mse,
    "r2": _r2,
}
