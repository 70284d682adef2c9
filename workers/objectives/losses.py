"""The loss of each row, as it is trained: without penalty.

Every loss of a regression is least for a logit of 0 among constants, as its targets are
standardised for it (`workers.data.targets`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from ridgeway.spec.losses import HuberLoss, QuantileLoss
from ridgeway.spec.names import Task
from ridgeway.spec.spec import JobSpec

LARGEST_EXPONENT = 300.0  # of a predicted expectation, so that its square is finite


@dataclass(frozen=True)
class Huber:
    """The loss e² up to |e| = delta, and 2 delta |e| - delta² beyond."""

    delta: float


@dataclass(frozen=True)
class Quantile:
    """The pinball loss: level e for e = target - logit above 0, (level - 1) e below."""

    level: float


# Of the names, all but two are those of regressions: the squared error, and of a Poisson
# distribution whose expectation is exp(logit).
Kind: TypeAlias = Literal["regression", "poisson", "binary", "multiclass"] | Huber | Quantile


def kind_of(spec: JobSpec, outputs: int) -> Kind:
    """Return what a job's logits mean."""
    if spec.task != "regression":
        return kind_of_task(spec.task, outputs)
    if isinstance(spec.loss, HuberLoss):
        return Huber(spec.loss.delta)
    if isinstance(spec.loss, QuantileLoss):
        return Quantile(spec.loss.quantile)
    return "regression" if spec.loss is None else spec.loss.kind


def kind_of_task(task: Task | None, outputs: int) -> Kind:
    """Return what logits mean by default; one is that of a regression or of two classes."""
    if task == "regression":
        return "regression"
    return "binary" if outputs == 1 else "multiclass"


def of_classes(kind: Kind) -> bool:
    """Tell whether targets are classes, and no numbers."""
    return kind in ("binary", "multiclass")


def row_weights(spec: JobSpec, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the weights of training rows (n,) in the mean loss: float64, 1 on average.

    weights (n,): the job's sample weights, 1 on average. With `balanced` class weights a row of
    class c has n / (k n_c) times that, n_c the weight of its class, as in scikit-learn.
    """
    own = torch.ones(len(targets), dtype=torch.float64) if weights is None else weights
    if spec.class_weights == "none":
        return own
    counts = torch.bincount(targets, own)
    return (len(targets) / (counts.count_nonzero() * counts))[targets] * own


def row_losses(
    kind: Kind, logits: Tensor, targets: Tensor, smoothing: Tensor | None = None
) -> Tensor:
    """Return the loss of each row; of classes the cross entropy, binary where there is one logit.

    logits (..., rows, outputs); targets (..., rows), class indices or numbers; result (..., rows).
    smoothing (..., 1): share of each target spread evenly over all classes (Szegedy et al. 2016).
    """
    if kind == "multiclass":
        return _cross_entropy(logits, targets, smoothing)
    logit = logits.squeeze(-1)
    targets = targets.to(logits.dtype)
    if kind == "regression":
        return (logit - targets).square()
    if kind == "poisson":
        return logit.exp() - targets * logit
    if isinstance(kind, Huber):
        return _huber(logit - targets, kind.delta)
    if isinstance(kind, Quantile):
        return _pinball(logit - targets, kind.level)
    return functional.binary_cross_entropy_with_logits(
        logit, _smoothed(targets, smoothing), reduction="none"
    )


def loss_and_gradient(
    kind: Kind, logits: Tensor, targets: Tensor, weights: Tensor, smoothing: Tensor | None
) -> Tensor:
    """Return losses (F, P), weighted sums over rows; overwrite the logits by their gradient.

    logits (F, P, outputs, B), targets (F, B), weights (F, B), smoothing (P,).
    """
    row_weights = weights[:, None, None]  # (F, 1, 1, B)
    share = None if smoothing is None else smoothing[:, None, None]  # (P, 1, 1)
    if kind == "multiclass":
        losses = _softmax_gradient(logits, targets, row_weights, share)
    else:
        truth = targets[:, None, None].to(logits.dtype)
        if kind == "regression":
            error = logits.sub_(truth)
            losses = error.square().mul_(row_weights)
            logits.mul_(2 * row_weights)
        elif kind == "poisson":
            expected = logits.exp()
            losses = (expected - truth * logits).mul_(row_weights)
            logits.copy_(expected.sub_(truth).mul_(row_weights))
        elif isinstance(kind, Huber):
            error = logits.sub_(truth)
            losses = _huber(error, kind.delta).mul_(row_weights)
            logits.clamp_(-kind.delta, kind.delta).mul_(2 * row_weights)
        elif isinstance(kind, Quantile):
            error = logits.sub_(truth)
            losses = _pinball(error, kind.level).mul_(row_weights)
            logits.copy_(_pinball_slopes(error, kind.level).mul_(row_weights))
        else:
            truth = _smoothed(truth, share)
            losses = functional.softplus(-logits.abs()).add_(logits.clamp_min(0))
            losses.sub_(logits * truth).mul_(row_weights)
            logits.sigmoid_().sub_(truth).mul_(row_weights)
    return losses.sum((2, 3))


def _huber(errors: Tensor, delta: float) -> Tensor:
    """Return e² up to |e| = delta, and 2 delta |e| - delta² beyond."""
    within = errors.clamp(-delta, delta)
    return within * (2 * errors - within)


def _pinball(errors: Tensor, level: float) -> Tensor:
    """Return the loss of logits that are too large by these errors."""
    return torch.maximum((1 - level) * errors, -level * errors)


def _pinball_slopes(errors: Tensor, level: float) -> Tensor:
    """Return its derivative; 0, which is among those of the kink, where nothing is wrong."""
    above, below = (errors > 0).to(errors.dtype), (errors < 0).to(errors.dtype)
    return above.mul_(1 - level).sub_(below.mul_(level))


def _softmax_gradient(
    logits: Tensor, targets: Tensor, row_weights: Tensor, share: Tensor | None
) -> Tensor:
    """Return weighted cross entropies (F, P, 1, B).

    The logits (F, P, classes, B) are overwritten by their gradient.
    """
    folds, members, classes, rows = logits.shape
    logits.sub_(logits.amax(2, keepdim=True))
    place = targets[:, None, None]  # (F, 1, 1, B)
    true = logits.gather(2, place.expand(folds, members, 1, rows))
    if share is not None:
        true = torch.lerp(true, logits.mean(2, keepdim=True), share.to(true.dtype))
    total = logits.exp_().sum(2, keepdim=True)
    losses = total.log().sub_(true).mul_(row_weights)
    logits.mul_(row_weights / total)
    truth = torch.zeros(folds, 1, classes, rows, dtype=logits.dtype, device=logits.device)
    truth.scatter_(2, place, row_weights)
    if share is not None:
        truth = torch.lerp(truth, row_weights / classes, share)
    logits.sub_(truth)
    return losses


def _cross_entropy(logits: Tensor, targets: Tensor, smoothing: Tensor | None) -> Tensor:
    flat = functional.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    hard = flat.view(targets.shape)
    if smoothing is None:
        return hard
    even = torch.logsumexp(logits, -1) - logits.mean(-1)
    return torch.lerp(hard, even, smoothing)


def _smoothed(targets: Tensor, smoothing: Tensor | None) -> Tensor:
    """Draw targets 0 and 1 towards one half."""
    return targets if smoothing is None else targets + smoothing * (0.5 - targets)


def finite(logits: Tensor) -> Tensor:
    """Tell which members' logits (..., outputs, rows) are all finite: (...)."""
    flat = logits.flatten(-2)
    # Both ends are NaN where a number is: they tell as much, in a fifth of the time.
    return flat.amax(-1).isfinite() & flat.amin(-1).isfinite()


# --- predictions of a regression, in the target's own units ---------------------------------------


def response(kind: Kind, logits: Tensor, mean: float, scale: float) -> Tensor:
    """Return what logits predict: of a regression numbers in the units of its target, else them.

    mean, scale: those by which the targets that were trained on are standardised.
    """
    if kind == "poisson":
        return scale * logits.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT).exp()
    return logits if of_classes(kind) else mean + scale * logits


def in_units(kind: Kind, scale: float) -> Kind:
    """Return the loss of numbers that are `scale` times those that it was the loss of."""
    return Huber(kind.delta * scale) if isinstance(kind, Huber) else kind


def response_losses(kind: Kind, predicted: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each row by what is predicted for it, as in `response`.

    Shapes as in `row_losses`. For a Poisson distribution it is the unit deviance,
    2 (y log(y / μ) - y + μ) of the target y and the expectation μ, which is 0 for the truth.
    """
    if kind != "poisson":
        return row_losses(kind, predicted, targets)
    expected = predicted.squeeze(-1)
    targets = targets.to(expected.dtype)
    return 2 * (torch.xlogy(targets, targets) - torch.xlogy(targets, expected) - targets + expected)
