"""One architecture with many sets of weights: logits and gradients of all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from workers.layout import Layout

State = dict[str, Tensor]
RowLoss = Callable[[Tensor, Tensor], Tensor]


class StackedModel:
    """M models as rows of one tensor (M, columns), and buffers (M, ...) by name.

    `mapped` calls the module once under vmap; otherwise once for each model, in turn. Random
    layers draw the same mask for every model: comparisons stay free of their noise, and a model
    doesn't depend on how many companions it has.
    """

    def __init__(self, model: nn.Module, layout: Layout, *, mapped: bool = True) -> None:
        self.model = model
        self.layout = layout
        self.mapped = mapped

    def logits(self, weights: Tensor, buffers: State, inputs: Tensor) -> Tensor:
        """(M, B, outputs) of inputs (M, B, d), as in evaluation: no dropout, no gradient."""
        self.model.eval()
        with torch.no_grad():
            return self._forward(self.layout.views(weights), buffers, inputs, 0)[0]

    def gradient(
        self,
        weights: Tensor,
        buffers: State,
        batch: tuple[Tensor, Tensor, Tensor],
        row_loss: RowLoss,
        seed: int | None,
    ) -> tuple[Tensor, Tensor, State]:
        """Losses (M,), gradient (M, columns) and new buffers for a batch.

        batch: inputs (M, B, d), targets (M, B), row weights (M, B): the loss is their weighted sum.
        seed: of the random layers in this step; None evaluates as without dropout.
        """
        self.model.train(seed is not None)
        views = self.layout.views(weights.detach())
        leaves = {name: view.requires_grad_() for name, view in views.items()}
        inputs, targets, row_weights = batch
        logits, buffers = self._forward(leaves, buffers, inputs, seed or 0)
        losses = (row_loss(logits, targets) * row_weights).sum(-1)
        gradients = torch.autograd.grad(losses.sum(), list(leaves.values()), allow_unused=True)
        flat = torch.zeros_like(weights)
        for slot, gradient in zip(self.layout.slots, gradients, strict=True):
            if gradient is not None:
                flat[:, slot.start : slot.stop] = gradient.flatten(1)
        return losses.detach(), flat, {name: value.detach() for name, value in buffers.items()}

    def _forward(
        self, parameters: State, buffers: State, inputs: Tensor, seed: int
    ) -> tuple[Tensor, State]:
        if not self.mapped:
            return self._in_turn(parameters, buffers, inputs, seed)
        if inputs.shape[0] > 1:
            _seed(inputs.device, seed)
            return vmap(self._call, randomness="same")(parameters, buffers, inputs)
        # Kernels for one matrix may round differently from those for many: give it a companion.
        pair = {name: torch.cat([value, value]) for name, value in parameters.items()}
        twice = {name: torch.cat([value, value]) for name, value in buffers.items()}
        logits, twice = self._forward(pair, twice, torch.cat([inputs, inputs]), seed)
        return logits[:1], {name: value[:1] for name, value in twice.items()}

    def _in_turn(
        self, parameters: State, buffers: State, inputs: Tensor, seed: int
    ) -> tuple[Tensor, State]:
        # unbind's gradient is one stack; indexing would add up M tensors of zeros.
        rows = {name: value.unbind(0) for name, value in parameters.items()}
        results: list[tuple[Tensor, State]] = []
        for row, row_inputs in enumerate(inputs):
            _seed(inputs.device, seed)
            own = {name: value[row].clone() for name, value in buffers.items()}
            mine = {name: values[row] for name, values in rows.items()}
            results.append(self._call(mine, own, row_inputs))
        logits = torch.stack([logits for logits, _ in results])
        return logits, {name: torch.stack([own[name] for _, own in results]) for name in buffers}

    def _call(
        self, parameters: Mapping[str, Tensor], buffers: State, inputs: Tensor
    ) -> tuple[Tensor, State]:
        state = {**parameters, **buffers}
        logits = functional_call(self.model, state, (inputs,))
        # functional_call writes a buffer that the module replaced back into `state`.
        return logits, {name: state[name] for name in buffers}


def _seed(device: torch.device, seed: int) -> None:
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
