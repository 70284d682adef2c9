"""The backend of any module at all: it is called for each model in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import torch
from torch import Tensor, nn

from workers.backends.base import (
    Backend,
    Buffers,
    Model,
    Models,
    StepBatch,
    seed_generator,
    set_mode,
)
from workers.backends.mapped import call
from workers.guard import Steady
from workers.heeding import heed
from workers.models.layout import Layout
from workers.objectives.losses import Kind, row_losses


class InTurn(Backend):
    """One model after the other; for modules that vmap can't do, or makes slower.

    channels_last: weights and results of 2-d convolutions lie in that layout. On a CPU they are a
    sixth faster so, with all that follows; a module that takes a `view` of a convolution's result
    fails.
    """

    name = "loop"
    capturable = False  # seeds for each model, and a module may read numbers back

    def __init__(
        self, model: nn.Module, layout: Layout, kind: Kind, *, channels_last: bool = False
    ) -> None:
        super().__init__(model, layout, kind)
        self._convolutions = {
            f"{name}.weight" if name else "weight": module
            for name, module in model.named_modules()
            if channels_last and isinstance(module, nn.Conv2d)
        }

    def _laid_out(self, name: str, weight: Tensor) -> Tensor:
        if name not in self._convolutions:
            return weight
        return weight.contiguous(memory_format=torch.channels_last)

    @contextmanager
    def _giving_channels_last(self) -> Iterator[None]:
        """Lay out every convolution's result channels last: one channel alone tells no layout.

        Only while the context lasts, for other backends call the same module.
        """
        hooks = [
            module.register_forward_hook(_as_channels_last)
            for module in self._convolutions.values()
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def logits(self, models: Models, inputs: Tensor) -> Tensor:
        results: list[Tensor] = []
        set_mode(self.model, False)
        with torch.no_grad(), self._giving_channels_last(), Steady() as steady:
            for fold, member in product(*map(range, models.shape)):
                heed()
                model = models.at(fold, member)
                own = {name: value.clone() for name, value in model.buffers.items()}
                parameters = self.layout.views(model.weights)
                # A copy, here and below: a module may write into what it is given.
                results.append(call(self.model, parameters, own, inputs[fold].clone())[0])
                steady.put_back()
        return torch.stack(results).unflatten(0, models.shape).transpose(2, 3)

    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        losses = models.weights.new_empty(models.shape)
        buffers = {name: value.clone() for name, value in models.buffers.items()}
        set_mode(self.model, models.training)
        with self._giving_channels_last(), Steady() as steady:
            for fold, member in product(*map(range, models.shape)):
                heed()
                seed_generator(models.weights.device, models.seed or 0)
                model, place = models.at(fold, member), (fold, member)
                losses[place], after = self._gradient_of_one(model, batch.at(fold), out[place])
                steady.put_back()
                for name, value in after.items():
                    buffers[name][place] = value
        return losses, buffers

    def _gradient_of_one(
        self, model: Model, rows: StepBatch, out: Tensor
    ) -> tuple[Tensor, Buffers]:
        """Return one model's loss () and new buffers; its gradient goes to `out` (columns,)."""
        views = self.layout.views(model.weights.detach())
        leaves = {name: self._laid_out(name, view).requires_grad_() for name, view in views.items()}
        inputs = rows.inputs.clone()
        if model.input_noise is not None and rows.noise is not None:
            inputs = inputs + rows.noise * model.input_noise
        own = {name: value.clone() for name, value in model.buffers.items()}
        logits, after = call(self.model, leaves, own, inputs)
        losses = row_losses(self.kind, logits, rows.targets, model.label_smoothing)
        loss = (losses * rows.weights).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for view, gradient in zip(self.layout.views(out).values(), gradients, strict=True):
            if gradient is not None:
                view.copy_(gradient)
        return loss.detach(), {name: value.detach() for name, value in after.items()}


def _as_channels_last(module: nn.Module, inputs: object, given: Tensor) -> Tensor:
    # An image without a batch has no such layout.
    return given.contiguous(memory_format=torch.channels_last) if given.dim() == 4 else given
