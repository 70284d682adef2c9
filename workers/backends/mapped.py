"""The backend of any module that torch.vmap can do, called once for all models."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.backends.base import (
    Backend,
    Buffers,
    Models,
    StepBatch,
    noisy,
    per_model,
    seed_generator,
    set_mode,
    with_twin,
)
from workers.guard import Steady
from workers.objectives.losses import row_losses

# An operation without a batching rule (attention's kernel) is done model by model inside the mapped
# call, which still takes less time than whole models in turn. Torch warns of it; a job's owner
# could not mend it, and where warnings are errors the warning would choose the backend.
_functorch = torch._C._functorch  # pyright: ignore[reportAttributeAccessIssue] # no stub
_functorch._set_vmap_fallback_warning_enabled(False)


class Mapped(Backend):
    """One forward pass of all models under vmap, and one backward pass."""

    name = "vmap"

    def logits(self, models: Models, inputs: Tensor) -> Tensor:
        set_mode(self.model, False)
        views = self.layout.views(models.weights.flatten(0, 1))
        with torch.no_grad(), Steady():
            rows = per_model(inputs, models.shape[1])
            logits, _ = self._forward(views, _flat(models.buffers), rows, 0)
        return logits.unflatten(0, models.shape).transpose(2, 3)

    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        folds, members = models.shape
        views = self.layout.views(models.weights.detach().flatten(0, 1))
        leaves = {name: view.requires_grad_() for name, view in views.items()}
        rows = noisy(batch, models.input_noise, members)
        set_mode(self.model, models.training)
        smoothing = models.label_smoothing
        own = None if smoothing is None else smoothing.repeat(folds).unsqueeze(1)
        with Steady():
            logits, after = self._forward(leaves, _flat(models.buffers), rows, models.seed or 0)
            losses = row_losses(self.kind, logits, per_model(batch.targets, members), own)
            losses = (losses * per_model(batch.weights, members)).sum(-1)
            gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        for view, gradient in zip(
            self.layout.views(out.flatten(0, 1)).values(), gradients, strict=True
        ):
            if gradient is not None:
                view.copy_(gradient)
        state = {name: value.detach().unflatten(0, models.shape) for name, value in after.items()}
        return losses.detach().view(folds, members), state

    def _forward(
        self, parameters: Buffers, buffers: Buffers, inputs: Tensor, seed: int
    ) -> tuple[Tensor, Buffers]:
        """Return logits (M, B, outputs) and new buffers. One model alone gets a twin."""
        if len(inputs) > 1:
            seed_generator(inputs.device, seed)
            return vmap(self._call, randomness="same")(parameters, buffers, inputs)
        names, states = [*parameters], [*buffers]
        doubled = with_twin([*parameters.values(), *buffers.values(), inputs])
        pair = dict(zip(names, doubled, strict=False))
        twice = dict(zip(states, doubled[len(names) :], strict=False))
        logits, twice = self._forward(pair, twice, doubled[-1], seed)
        return logits[:1], {name: value[:1] for name, value in twice.items()}

    def _call(
        self, parameters: Buffers, buffers: Buffers, inputs: Tensor
    ) -> tuple[Tensor, Buffers]:
        return call(self.model, parameters, buffers, inputs)


def call(
    model: nn.Module, parameters: Buffers, buffers: Buffers, inputs: Tensor
) -> tuple[Tensor, Buffers]:
    """Return logits (B, outputs) and new buffers of one model."""
    state = {**parameters, **buffers}
    logits = functional_call(model, state, (inputs,))
    # functional_call writes a buffer that the module replaced back into `state`.
    return logits, {name: state[name] for name in buffers}


def _flat(buffers: Buffers) -> Buffers:
    return {name: value.flatten(0, 1) for name, value in buffers.items()}
