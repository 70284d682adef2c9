"""SGD with momentum and a proximal step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.optimizers.base import Optimizer, Rates


class Sgd(Optimizer):
    """w⁺ = prox(w - lr g + μ (w - w_prev)): iPiano (Ochs et al. 2014).

    Without a penalty it equals torch.optim.SGD, where a changing rate scales μ by lr_t / lr_(t-1).
    Torch's momentum buffer followed by a threshold would solve for λ (1 - μ). The state is the
    weights of the step before.
    """

    remembers = 1
    momentum = 0.9

    def _own(self, rates: Rates, steps: Tensor, before: Tensor, factor: Tensor) -> list[Tensor]:
        rate = rates.learning_rate * factor
        momentum = torch.where(steps == 0, 0.0, self.momentum * factor / before)
        return [rates.l1 * rate, rates.last * rate, rate, momentum, rates.weight_decay]

    def _move(
        self, weights: Tensor, gradient: Tensor, state: Sequence[Tensor], own: Sequence[Tensor]
    ) -> Tensor:
        (previous,) = state
        rate, momentum, decay = own
        if self.uses.weight_decay:
            gradient.addcmul_(weights, decay)
        # previous becomes w, and w becomes w + μ (w - previous) - lr g.
        displacement = (weights - previous).mul_(momentum).addcmul_(gradient, rate, value=-1)
        previous.copy_(weights)
        weights.add_(displacement)
        return torch.ones_like(rate)
