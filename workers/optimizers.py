"""One step of SGD, Adam or AdamW for many members at once, each with its own hyperparameters.

Weights are (F, P, columns): folds, members, numbers of one model. Learning rates and weight
decays are float64 (P, 1); constants such as 1 - β₂ are formed in Python's floats (formed in
float32, 1 - 0.999 is off by 1.3e-5). The proximal step is the last act of every step, with the
metric of that step: prox(weights, metric) works in place.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from ridgeway import spec

Prox: TypeAlias = Callable[[Tensor, Tensor], None]


@dataclass
class State:
    """What an optimiser remembers: steps taken, and tensors shaped as the weights."""

    steps: int
    buffers: tuple[Tensor, ...]


class Optimizer(ABC):
    """Steps weights in place."""

    def __init__(self, learning_rate: Tensor, weight_decay: Tensor) -> None:
        """Both (P, 1), float64."""
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.decays = bool((weight_decay != 0).any())

    @abstractmethod
    def init(self, weights: Tensor) -> State:
        """The state before the first step."""

    @abstractmethod
    def step(self, weights: Tensor, gradient: Tensor, state: State, prox: Prox) -> None:
        """One step, in place; `gradient`, (F, P, columns), may be overwritten."""

    def _add_weight_decay(self, gradient: Tensor, weights: Tensor) -> None:
        """Coupled weight decay, as in torch.optim.SGD and Adam: the gradient of wd/2 Σ w²."""
        if self.decays:
            gradient.addcmul_(weights, self.weight_decay.to(weights.dtype))


class Sgd(Optimizer):
    """w⁺ = prox(w - lr g + μ (w - w_prev)): iPiano (Ochs et al. 2014).

    Without a penalty it equals torch.optim.SGD. Torch's momentum buffer followed by a threshold
    would solve for λ (1 - μ).
    """

    momentum = 0.9

    def init(self, weights: Tensor) -> State:
        return State(0, (torch.zeros_like(weights),))

    def step(self, weights: Tensor, gradient: Tensor, state: State, prox: Prox) -> None:
        (displacement,) = state.buffers
        state.steps += 1
        self._add_weight_decay(gradient, weights)
        rate = self.learning_rate.to(weights.dtype)
        previous = weights.clone()
        displacement.mul_(self.momentum).addcmul_(gradient, -rate)
        weights.add_(displacement)
        prox(weights, rate.reciprocal())
        torch.sub(weights, previous, out=displacement)


class Adam(Optimizer):
    """Kingma & Ba (2015), with the preconditioned proximal step of ProxGen (Yun et al. 2021)."""

    beta1, beta2, epsilon = 0.9, 0.999, 1e-8

    def init(self, weights: Tensor) -> State:
        return State(0, (torch.zeros_like(weights), torch.zeros_like(weights)))

    def step(self, weights: Tensor, gradient: Tensor, state: State, prox: Prox) -> None:
        self._decay(weights, gradient)
        mean, variance = state.buffers
        state.steps += 1
        correction1 = 1 - self.beta1**state.steps
        correction2 = math.sqrt(1 - self.beta2**state.steps)
        mean.lerp_(gradient, 1 - self.beta1)
        variance.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        # metric = (√v̂ + ε) / lr with √v̂ = √v / correction2; the gradient's memory is free now.
        metric = torch.sqrt(variance, out=gradient).add_(self.epsilon * correction2)
        metric.mul_((1 / (self.learning_rate * correction2)).to(weights.dtype))
        weights.addcdiv_(mean, metric, value=-1 / correction1)
        prox(weights, metric)

    def _decay(self, weights: Tensor, gradient: Tensor) -> None:
        self._add_weight_decay(gradient, weights)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    def _decay(self, weights: Tensor, gradient: Tensor) -> None:
        if self.decays:
            weights.mul_((1 - self.learning_rate * self.weight_decay).to(weights.dtype))


OPTIMIZERS: Mapping[spec.Optimizer, type[Optimizer]] = {"sgd": Sgd, "adam": Adam, "adamw": AdamW}
