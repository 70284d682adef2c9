"""Any module at all, called for each model in turn; nothing is computed for two at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import torch
from torch import Tensor, nn

from workers.backends.base import (
    Backend,
    Buffers,
    Perturbation,
    StepBatch,
    seed_generator,
    set_mode,
)
from workers.backends.mapped import call
from workers.models.layout import Layout
from workers.objectives.losses import Kind, row_losses


class InTurn(Backend):
    """What vmap can't do, or makes slower.

    channels_last: 2-d convolutions take their weights, and give what they give, in that layout. On
    a CPU they are a sixth faster so, with all that follows; a module that takes a `view` of what a
    convolution gives fails.
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
        """One input channel alone does not tell a convolution which layout is meant.

        While the context lasts: other backends call the same module.
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

    def logits(self, weights: Tensor, buffers: Buffers, inputs: Tensor) -> Tensor:
        results: list[Tensor] = []
        set_mode(self.model, False)
        with torch.no_grad(), self._giving_channels_last():
            for place in product(range(weights.shape[0]), range(weights.shape[1])):
                own = {name: value[place].clone() for name, value in buffers.items()}
                parameters = self.layout.views(weights[place])
                # A copy, here and below: a module may write into what it is given.
                results.append(call(self.model, parameters, own, inputs[place[0]].clone())[0])
        return torch.stack(results).unflatten(0, weights.shape[:2]).transpose(2, 3)

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
        losses = torch.empty(folds, members, dtype=weights.dtype, device=weights.device)
        after = {name: value.clone() for name, value in buffers.items()}
        set_mode(self.model, seed is not None)
        with self._giving_channels_last():
            for place in product(range(folds), range(members)):
                self._one(weights, buffers, batch, perturbation, seed, place, losses, after, out)
        return losses, after

    def _one(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        place: tuple[int, int],
        losses: Tensor,
        after: Buffers,
        out: Tensor,
    ) -> None:
        """The model at `place` (fold, member); what it gives goes to losses, after and out."""
        fold, member = place
        seed_generator(weights.device, seed or 0)
        views = self.layout.views(weights[place].detach())
        leaves = {name: self._laid_out(name, view).requires_grad_() for name, view in views.items()}
        inputs, smoothing = batch.inputs[fold].clone(), None
        if seed is not None and perturbation.input_noise is not None and batch.noise is not None:
            inputs = inputs + batch.noise[fold] * perturbation.input_noise[member]
        if seed is not None and perturbation.label_smoothing is not None:
            smoothing = perturbation.label_smoothing[member : member + 1]
        own = {name: value[place].clone() for name, value in buffers.items()}
        logits, state = call(self.model, leaves, own, inputs)
        rows = row_losses(self.kind, logits, batch.targets[fold], smoothing)
        loss = (rows * batch.weights[fold]).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        for view, gradient in zip(self.layout.views(out[place]).values(), gradients, strict=True):
            if gradient is not None:
                view.copy_(gradient)
        losses[place] = loss.detach()
        for name, value in state.items():
            after[name][place] = value.detach()


def _as_channels_last(module: nn.Module, inputs: object, given: Tensor) -> Tensor:
    # An image without a batch has no such layout.
    return given.contiguous(memory_format=torch.channels_last) if given.dim() == 4 else given
