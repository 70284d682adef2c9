"""The backend of linear layers and activations in sequence, with a gradient written out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.backends.base import Backend, Buffers, Models, StepBatch, noisy, seed_generator
from workers.backends.layers import BACKWARD, Activation, Layer, Linear, Masked, Operands
from workers.models.dropout import Dropout
from workers.models.layout import Layout
from workers.objectives.losses import Kind, loss_and_gradient


class Dense(Backend):
    """Batched products of all models; for `linear`, `mlp` and the like where `Fused` can't."""

    name = "dense"

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        super().__init__(model, layout, kind)
        self._layers = _layers(modules_of(model))

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Return whether it is such layers, each weight and bias trained and used once."""
        if type(model) not in (nn.Linear, nn.Sequential):
            return False
        layers = [layer for _, layer in modules_of(model)]
        if not layers or not isinstance(layers[0], nn.Linear):
            return False
        if not all(type(layer) in (nn.Linear, Dropout, *BACKWARD) for layer in layers):
            return False
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        own = [parameter for layer in linear for parameter in (layer.weight, layer.bias)]
        trained = all(parameter is not None and parameter.requires_grad for parameter in own)
        return trained and len({id(parameter) for parameter in own}) == len(own)

    def logits(self, models: Models, inputs: Tensor) -> Tensor:
        if models.shape.numel() == 1:
            return self.logits(_with_twin(models), inputs)[:, :1]
        weights = self.layout.views(models.weights)
        operands = Operands(weights, {}, models.buffers, shared=True, training=False)
        hidden = inputs.transpose(1, 2)
        for layer in self._layers:
            hidden, _ = layer.forward(operands, hidden)
        return hidden.unflatten(0, models.shape)

    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        if models.shape.numel() == 1:
            gradients = out.new_zeros(1, 2, out.shape[2])
            losses, _ = self.gradient(_with_twin(models), batch, gradients)
            out.copy_(gradients[:, :1])
            return losses[:, :1], models.buffers
        if models.seed is not None and self.dropouts:
            seed_generator(models.weights.device, models.seed)
        noise, shared = models.input_noise, models.input_noise is None or batch.noise is None
        inputs = batch.inputs if shared else noisy(batch, noise, models.shape[1])
        weights, slopes = self.layout.views(models.weights), self.layout.views(out)
        operands = Operands(weights, slopes, models.buffers, shared, models.training)
        outputs, saved = [inputs.transpose(1, 2)], []
        for layer in self._layers:
            after, extra = layer.forward(operands, outputs[-1])
            outputs.append(after)
            saved.append(extra)
        grad = outputs[-1]
        logits = grad.unflatten(0, models.shape)
        smoothing = models.label_smoothing
        losses = loss_and_gradient(self.kind, logits, batch.targets, batch.weights, smoothing)
        for place in reversed(range(len(saved))):
            before, after = outputs[place : place + 2]
            grad = self._layers[place].backward(operands, grad, before, after, saved[place])
        return losses, models.buffers


def _with_twin(models: Models) -> Models:
    """Double one model: kernels for one matrix round otherwise than those for many."""
    return models.keep(torch.zeros(2, dtype=torch.int64, device=models.weights.device))


Modules = Sequence[tuple[str, nn.Module]]  # with the prefix of their parameters' names


def modules_of(model: nn.Module) -> Modules:
    """Return the layers of a model that fits, in order."""
    if isinstance(model, nn.Linear):
        return [("", model)]
    # Not named_children(): that names a module which occurs twice once.
    return [(f"{name}.", module) for name, module in model._modules.items() if module]


def _layers(modules: Modules) -> list[Layer]:
    layers: list[Layer] = []
    for place, (name, module) in enumerate(modules):
        if isinstance(module, Dropout):
            layers.append(Masked(name))
        elif isinstance(module, nn.Linear):
            layers.append(Linear(name, first=place == 0))
        else:
            layers.append(Activation(module))
    return layers
