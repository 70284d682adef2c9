"""Adam and AdamW with a proximal step in their metric."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.optimizers.base import Optimizer, Rates


class Adam(Optimizer):
    """Kingma & Ba (2015), with the preconditioned proximal step of ProxGen (Yun et al. 2021).

    The metric is D = c₁ (√v̂ + ε) / lr with the bias corrections c₁ = 1 - β₁ᵗ, c₂ = √(1 - β₂ᵗ), so
    that the step is m / D; thresholds take the factor c₁ as well.
    """

    remembers = 2
    beta1, beta2, epsilon = 0.9, 0.999, 1e-8
    decoupled = False

    def _own(self, rates: Rates, steps: Tensor, before: Tensor, factor: Tensor) -> list[Tensor]:
        rate = rates.learning_rate * factor
        correction1 = 1 - self.beta1 ** (steps.double() + 1)
        correction2 = (1 - self.beta2 ** (steps.double() + 1)).sqrt()
        slope, offset = correction1 / (rate * correction2), correction1 * self.epsilon / rate
        decay = 1 - rate * rates.weight_decay if self.decoupled else rates.weight_decay
        return [rates.l1 * correction1, rates.last * correction1, slope, offset, decay]

    def _move(
        self, weights: Tensor, gradient: Tensor, state: Sequence[Tensor], own: Sequence[Tensor]
    ) -> Tensor:
        mean, square = state
        slope, offset, decay = own
        if self.uses.weight_decay and self.decoupled:
            weights.mul_(decay)
        elif self.uses.weight_decay:
            gradient.addcmul_(weights, decay)
        mean.lerp_(gradient, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        metric = torch.sqrt(square).mul_(slope).add_(offset)
        weights.addcdiv_(mean, metric, value=-1)
        return metric


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    decoupled = True
