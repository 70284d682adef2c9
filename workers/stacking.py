"""One architecture with many sets of weights: logits and gradients of all of them at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.layout import Layout
from workers.models import ELEMENTWISE

Buffers = dict[str, Tensor]
RowLoss = Callable[[Tensor, Tensor], Tensor]


class StackedModel(ABC):
    """M models as rows of one tensor (M, columns), and buffers (M, ...) by name.

    Random layers draw the same mask for every model: comparisons stay free of their noise, and a
    model doesn't depend on how many companions it has.
    """

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        self.model = model
        self.layout = layout

    @abstractmethod
    def forward(
        self, parameters: Mapping[str, Tensor], buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        """Logits (M, B, outputs) and new buffers; parameters (M, ...) by name, inputs (M, B, d)."""

    def logits(self, weights: Tensor, buffers: Buffers, inputs: Tensor) -> Tensor:
        """(M, B, outputs) of inputs (M, B, d), as in evaluation: no dropout, no gradient."""
        self.model.eval()
        with torch.no_grad():
            return self._in_company(self.layout.views(weights), buffers, inputs, 0)[0]

    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: tuple[Tensor, Tensor, Tensor],
        row_loss: RowLoss,
        seed: int | None,
    ) -> tuple[Tensor, Tensor, Buffers]:
        """Losses (M,), gradient (M, columns) and new buffers for a batch.

        batch: inputs (M, B, d), targets (M, B), row weights (M, B): the loss is their weighted sum.
        seed: of the random layers in this step; None evaluates as without dropout.
        """
        self.model.train(seed is not None)
        views = self.layout.views(weights.detach())
        leaves = {name: view.requires_grad_() for name, view in views.items()}
        inputs, targets, row_weights = batch
        logits, buffers = self._in_company(leaves, buffers, inputs, seed or 0)
        losses = (row_loss(logits, targets) * row_weights).sum(-1)
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        flat = torch.zeros_like(weights)
        for view, gradient in zip(self.layout.views(flat).values(), gradients, strict=True):
            if gradient is not None:
                view.copy_(gradient)
        return losses.detach(), flat, {name: value.detach() for name, value in buffers.items()}

    def _in_company(
        self, parameters: Buffers, buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        """Kernels for one matrix may round otherwise than those for many: one model gets a twin."""
        if inputs.shape[0] > 1:
            return self.forward(parameters, buffers, inputs, seed)
        pair = {name: torch.cat([value, value]) for name, value in parameters.items()}
        twice = {name: torch.cat([value, value]) for name, value in buffers.items()}
        logits, twice = self.forward(pair, twice, torch.cat([inputs, inputs]), seed)
        return logits[:1], {name: value[:1] for name, value in twice.items()}


class Dense(StackedModel):
    """Linear layers and elementwise activations, each as one batched product."""

    def __init__(self, model: nn.Module, layout: Layout) -> None:
        super().__init__(model, layout)
        # Not named_children(): that names a module which occurs twice once.
        self.layers = [(name, layer) for name, layer in model._modules.items() if layer is not None]

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Whether it is such layers in sequence, each weight and bias trained and used once."""
        if type(model) is nn.Linear:
            layers: list[nn.Module] = [model]
        elif type(model) is nn.Sequential:
            layers = list(model)
        else:
            return False
        if not all(type(layer) in (nn.Linear, *ELEMENTWISE) for layer in layers):
            return False
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        own = [parameter for layer in linear for parameter in (layer.weight, layer.bias)]
        trained = all(parameter is not None and parameter.requires_grad for parameter in own)
        return trained and len({id(parameter) for parameter in own}) == len(own)

    def forward(
        self, parameters: Mapping[str, Tensor], buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        if isinstance(self.model, nn.Linear):
            return _affine(inputs, parameters["weight"], parameters["bias"]), buffers
        hidden = inputs
        for name, layer in self.layers:
            if isinstance(layer, nn.Linear):
                weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
                hidden = _affine(hidden, weight, bias)
            else:
                hidden = layer(hidden)
        return hidden, buffers


class Mapped(StackedModel):
    """Any module that torch.vmap can do, called once for all models."""

    def forward(
        self, parameters: Mapping[str, Tensor], buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        _seed(inputs.device, seed)
        call = partial(_call, self.model)
        return vmap(call, randomness="same")(parameters, buffers, inputs)


class InTurn(StackedModel):
    """Any module at all, called for each model in turn; nothing is computed for two at once."""

    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: tuple[Tensor, Tensor, Tensor],
        row_loss: RowLoss,
        seed: int | None,
    ) -> tuple[Tensor, Tensor, Buffers]:
        results: list[tuple[Tensor, Tensor, Buffers]] = []
        for row in range(weights.shape[0]):
            one = slice(row, row + 1)
            own = {name: value[one].clone() for name, value in buffers.items()}
            inputs, targets, row_weights = batch
            own_batch = (inputs[one], targets[one], row_weights[one])
            results.append(super().gradient(weights[one], own, own_batch, row_loss, seed))
        losses, gradients, states = zip(*results, strict=True)
        after = {name: torch.cat([state[name] for state in states]) for name in buffers}
        return torch.cat(losses), torch.cat(gradients), after

    def forward(
        self, parameters: Mapping[str, Tensor], buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        results: list[tuple[Tensor, Buffers]] = []
        for row, row_inputs in enumerate(inputs):
            _seed(inputs.device, seed)
            own = {name: value[row] for name, value in parameters.items()}
            own_buffers = {name: value[row].clone() for name, value in buffers.items()}
            results.append(_call(self.model, own, own_buffers, row_inputs))
        logits = torch.stack([logits for logits, _ in results])
        return logits, {name: torch.stack([own[name] for _, own in results]) for name in buffers}

    _in_company = forward


def _affine(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """inputs (M, B, i), weight (M, o, i), bias (M, o) -> (M, B, o)."""
    return torch.baddbmm(bias.unsqueeze(1), inputs, weight.transpose(1, 2))


def _call(
    model: nn.Module, parameters: Mapping[str, Tensor], buffers: Buffers, inputs: Tensor
) -> tuple[Tensor, Buffers]:
    state = {**parameters, **buffers}
    logits = functional_call(model, state, (inputs,))
    # functional_call writes a buffer that the module replaced back into `state`.
    return logits, {name: state[name] for name in buffers}


def _seed(device: torch.device, seed: int) -> None:
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
