"""Linear layers and elementwise activations in sequence, their gradient written out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.backends.base import (
    Backend,
    Buffers,
    Perturbation,
    StepBatch,
    noisy,
    seed_generator,
    with_twin,
)
from workers.backends.layers import (
    BACKWARD,
    Activation,
    Layer,
    Linear,
    Masked,
    Models,
)
from workers.models.layout import Layout
from workers.models.models import Dropout
from workers.objectives.losses import Kind, loss_and_gradient


class Dense(Backend):
    """That of `linear`, `mlp` and plug-ins of the same layers on a GPU, and where `Fused` can't."""

    name = "dense"

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        super().__init__(model, layout, kind)
        self._layers = _layers(modules_of(model))

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Whether it is such layers in sequence, each weight and bias trained and used once."""
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

    def logits(self, weights: Tensor, buffers: Buffers, inputs: Tensor) -> Tensor:
        if weights.shape[:2].numel() == 1:
            (twins,) = with_twin([weights[0]])
            return self.logits(twins.unsqueeze(0), {}, inputs)[:, :1]
        models = Models(self.layout.views(weights), {}, buffers, shared=True, training=False)
        hidden = inputs.transpose(1, 2)
        for layer in self._layers:
            hidden, _ = layer.forward(models, hidden)
        return hidden.unflatten(0, weights.shape[:2])

    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        out: Tensor,
    ) -> tuple[Tensor, Buffers]:
        folds, members = weights.shape[:2]
        if folds * members == 1:
            return self._gradient_of_one(weights, buffers, batch, perturbation, seed, out)
        training = seed is not None
        if training and self.dropouts:
            seed_generator(weights.device, seed)
        noise = perturbation.input_noise if training else None
        shared = noise is None or batch.noise is None
        inputs = batch.inputs if shared else noisy(batch, noise, members)
        own, slopes = self.layout.views(weights), self.layout.views(out)
        models = Models(own, slopes, buffers, shared, training)
        outputs, saved = [inputs.transpose(1, 2)], []
        for layer in self._layers:
            after, extra = layer.forward(models, outputs[-1])
            outputs.append(after)
            saved.append(extra)
        grad = outputs[-1]
        smoothing = perturbation.label_smoothing if training else None
        losses = loss_and_gradient(
            self.kind,
            grad.unflatten(0, (folds, members)),
            batch.targets,
            batch.weights,
            smoothing,
        )
        for place in reversed(range(len(saved))):
            before, after = outputs[place : place + 2]
            grad = self._layers[place].backward(models, grad, before, after, saved[place])
        return losses, buffers

    def _gradient_of_one(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        out: Tensor,
    ) -> tuple[Tensor, Buffers]:
        names = list(buffers)
        twins, *states = with_twin([weights[0], *(buffers[name][0] for name in names)])
        twice = {name: state.unsqueeze(0) for name, state in zip(names, states, strict=True)}
        index = torch.zeros(2, dtype=torch.int64, device=weights.device)
        gradients = torch.zeros(1, 2, *weights.shape[2:], dtype=out.dtype, device=out.device)
        losses, _ = self.gradient(
            twins.unsqueeze(0), twice, batch, perturbation.keep(index), seed, gradients
        )
        out.copy_(gradients[:, :1])
        return losses[:, :1], buffers


Modules = Sequence[tuple[str, nn.Module]]  # with the prefix of their parameters' names


def modules_of(model: nn.Module) -> Modules:
    """The layers of a model that fits, in order."""
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
