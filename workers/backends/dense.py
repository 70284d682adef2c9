"""Linear layers and elementwise activations in sequence, their gradient written out.

Hidden units lie as (models, units, rows): a product's result is what the next one reads, and
activations, masks and losses run along rows without a copy. All members of a fold read the same
rows, so the first layer is one product per fold, however many members there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

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
from workers.layout import Layout
from workers.losses import Kind, loss_and_gradient
from workers.models import Dropout

# Products with fewer rows, or a ragged last few, go through other kernels that round otherwise.
PRODUCT_ROWS = 16

aten = torch.ops.aten
# Gradient in the input, from that in the output, the input and the output.
BACKWARD: Mapping[type[nn.Module], Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]] = {
    nn.ReLU: lambda layer, grad, x, y: aten.threshold_backward(grad, y, 0),
    nn.Tanh: lambda layer, grad, x, y: aten.tanh_backward(grad, y),
    nn.SiLU: lambda layer, grad, x, y: aten.silu_backward(grad, x),
    nn.GELU: lambda layer, grad, x, y: aten.gelu_backward(
        grad, x, approximate=cast("nn.GELU", layer).approximate
    ),
}


@dataclass(frozen=True)
class _Trace:
    """What the backward pass needs of one layer: its input, its output, its mask."""

    before: Tensor
    after: Tensor
    mask: Tensor | None = None


class Dense(Backend):
    """The backend of `linear` and `mlp`, and of plug-ins made of the same layers."""

    name = "dense"

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        super().__init__(model, layout, kind)
        # Not named_children(): that names a module which occurs twice once.
        self.layers = (
            [("", model)]
            if isinstance(model, nn.Linear)
            else [(f"{name}.", layer) for name, layer in model._modules.items() if layer]
        )

    @staticmethod
    def fits(model: nn.Module) -> bool:
        """Whether it is such layers in sequence, each weight and bias trained and used once."""
        if type(model) is nn.Linear:
            layers: list[nn.Module] = [model]
        elif type(model) is nn.Sequential:
            layers = list(model)
        else:
            return False
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
        hidden = inputs.transpose(1, 2)  # (F, d, B), then (F * P, units, B)
        for place, (name, layer) in enumerate(self.layers):
            if isinstance(layer, nn.Linear):
                hidden = self._linear(name, weights, hidden, shared=place == 0)
            elif not isinstance(layer, Dropout):
                hidden = layer(hidden)
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
        if seed is not None and self.dropouts:
            seed_generator(weights.device, seed)
        noise = perturbation.input_noise if seed is not None else None
        shared = noise is None or batch.noise is None
        rows = batch.inputs if shared else noisy(batch, noise, members)
        hidden = rows.transpose(1, 2)
        traces: list[_Trace] = []
        for place, (name, layer) in enumerate(self.layers):
            before, mask = hidden, None
            if isinstance(layer, nn.Linear):
                hidden = self._linear(name, weights, hidden, shared=shared and place == 0)
            elif not isinstance(layer, Dropout):
                hidden = hidden.relu_() if isinstance(layer, nn.ReLU) else layer(hidden)
            elif seed is not None:
                mask = _mask(buffers[f"{name}rate"], hidden)
                hidden = hidden * mask
            traces.append(_Trace(before, hidden, mask))
        logits = hidden.unflatten(0, (folds, members))
        smoothing = perturbation.label_smoothing if seed is not None else None
        losses = loss_and_gradient(self.kind, logits, batch.targets, batch.weights, smoothing)
        self._backward(weights, hidden, traces, shared, out)
        return losses, buffers

    def _backward(
        self, weights: Tensor, grad: Tensor, traces: list[_Trace], shared: bool, out: Tensor
    ) -> None:
        """From the gradient in the logits (F * P, outputs, B) to that in the weights."""
        own, gradients = self.layout.views(weights.flatten(0, 1)), self.layout.views(out)
        flat = self.layout.views(out.flatten(0, 1))
        for place in reversed(range(len(self.layers))):
            (name, layer), trace = self.layers[place], traces[place]
            if isinstance(layer, nn.Linear):
                flat[f"{name}bias"].copy_(grad.sum(2))
                if shared and place == 0:
                    _shared_gradient(grad, trace.before, gradients[f"{name}weight"])
                else:
                    torch.bmm(grad, trace.before.transpose(1, 2), out=flat[f"{name}weight"])
                if place > 0:
                    grad = torch.bmm(own[f"{name}weight"].transpose(1, 2), grad)
            elif isinstance(layer, Dropout):
                grad = grad if trace.mask is None else grad.mul_(trace.mask)
            else:
                grad = BACKWARD[type(layer)](layer, grad, trace.before, trace.after)

    def _linear(self, name: str, weights: Tensor, hidden: Tensor, *, shared: bool) -> Tensor:
        """(F * P, o, B) of hidden (F * P, i, B), or of (F, i, B) that the members share."""
        views = self.layout.views(weights)
        weight, bias = views[f"{name}weight"], views[f"{name}bias"]
        models = weights.shape[:2].numel()
        if not shared:
            return torch.baddbmm(bias.flatten(0, 1).unsqueeze(2), weight.flatten(0, 1), hidden)
        rows = bias.shape[1:].numel()
        stacked = _whole(weight.flatten(1, 2), rows)
        product = torch.baddbmm(_whole(bias.flatten(1, 2).unsqueeze(2), rows), stacked, hidden)
        own = product[:, :rows].reshape(models, bias.shape[2], hidden.shape[2])
        return own.contiguous()  # kernels run differently along rows with gaps between them

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


def _shared_gradient(grad: Tensor, inputs: Tensor, out: Tensor) -> None:
    """Of a layer whose inputs the members share.

    grad (F * P, o, B), inputs (F, i, B), out (F, P, o, i).
    """
    folds, members, units = out.shape[:3]
    rows = members * units
    stacked = _whole(grad.view(folds, rows, -1), rows)
    product = torch.bmm(stacked, inputs.transpose(1, 2))
    out.copy_(product[:, :rows].unflatten(1, (members, units)))


def _whole(rows: Tensor, count: int) -> Tensor:
    """(F, count, n) with zeros behind, up to a whole number of the kernels' rows."""
    lacking = -count % PRODUCT_ROWS
    if not lacking:
        return rows
    whole = rows.new_empty(rows.shape[0], count + lacking, rows.shape[2])
    whole[:, :count] = rows
    whole[:, count:] = 0
    return whole


def _mask(rate: Tensor, hidden: Tensor) -> Tensor:
    """Inverted dropout's factors (F * P, units, B): one draw, each model's own rate (F, P)."""
    _, units, rows = hidden.shape
    draws = torch.rand(rows, units, dtype=hidden.dtype, device=hidden.device).t()
    own = rate.flatten()[:, None, None]
    return (draws >= own).to(hidden.dtype).div_(1 - own)
