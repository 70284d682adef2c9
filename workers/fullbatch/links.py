"""Losses of rows as functions of a linear model's outputs, with two derivatives each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from workers.objectives.losses import Huber, Kind


class Link(ABC):
    """A row's loss as a function of its outputs z; all tensors (F, P, K, B) or broadcast."""

    bound: ClassVar[float]  # on the largest eigenvalue of the loss's second derivative in z
    bounded: ClassVar[bool] = True  # False where there is none, and `bound` is that at z = 0
    uninformed: ClassVar[float | None] = None  # target of full label smoothing, if not 1 / K

    @abstractmethod
    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, (F, P, 1, B)."""

    @abstractmethod
    def predict(self, outputs: Tensor) -> Tensor:
        """Return the prediction whose difference from the target is the derivative / `slope`."""

    @abstractmethod
    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        """Return the second derivative times directions in z, by what `bent_by` gives."""

    slope: ClassVar[float] = 1.0

    def residuals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the derivative / `slope`."""
        return self.predict(outputs) - targets

    def bent_by(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return what the second derivative depends on."""
        return self.predict(outputs)


class SquaredError(Link):
    """(z - y)²."""

    bound = 2.0
    slope = 2.0

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square_()

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        return 2 * directions


class Logistic(Link):
    """Cross entropy of one logit."""

    bound = 0.25
    uninformed = 0.5

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.softplus(outputs * (1 - 2 * targets), threshold=40)

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        return predicted * (1 - predicted) * directions


class Softmax(Link):
    """Cross entropy of K logits; its second derivative is at most 1/2 (Böhning 1992)."""

    bound = 0.5

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        most = outputs.amax(-2, keepdim=True)
        shifted = outputs - most
        total = shifted.exp().sum(-2, keepdim=True)
        return total.log() - (shifted * targets).sum(-2, keepdim=True)

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.softmax(-2)

    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        weighted = predicted * directions
        return weighted - predicted * weighted.sum(-2, keepdim=True)


class Poisson(Link):
    """exp(z) - y z: of a Poisson distribution, but for what depends on y alone."""

    bound = 1.0
    bounded = False

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return outputs.exp() - targets * outputs

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.exp()

    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        return predicted * directions


class HuberError(Link):
    """e² up to |e| = delta, 2 delta |e| - delta² beyond, e = z - y."""

    bound = 2.0
    slope = 2.0

    def __init__(self, delta: float) -> None:
        self._delta = delta

    def value(self, outputs: Tensor, targets: Tensor) -> Tensor:
        errors = outputs - targets
        within = errors.clamp(-self._delta, self._delta)
        return within * (2 * errors - within)

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs

    def residuals(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).clamp_(-self._delta, self._delta)

    def bent_by(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs_() <= self._delta

    def bend(self, predicted: Tensor, directions: Tensor) -> Tensor:
        return 2 * predicted * directions


LINKS: dict[Kind, Link] = {
    "regression": SquaredError(),
    "binary": Logistic(),
    "multiclass": Softmax(),
    "poisson": Poisson(),
}


def link_of(kind: Kind) -> Link:
    """Return the loss of rows that a kind stands for."""
    return HuberError(kind.delta) if isinstance(kind, Huber) else LINKS[kind]
