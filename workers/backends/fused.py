"""The backend of linear layers and activations in turn, on a CPU: model by model in C."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from workers.backends.base import Backend, Buffers, Models, StepBatch, seed_generator
from workers.backends.dense import Dense, modules_of
from workers.kernels import Library, Net, NetBatch, NetShape
from workers.models.dropout import Dropout
from workers.models.layout import Layout
from workers.objectives.losses import Kind

NAMES = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.SiLU: "silu", nn.GELU: "gelu"}
LETTERS = {nn.Linear: "L", Dropout: "D", **dict.fromkeys(NAMES, "A")}
FEW_OUTPUTS, FEW_INPUTS = 4, 100
MOST_WEIGHTS = 2**21
SHAPE = re.compile("L(AD?L)*")


class Fused(Backend):
    """Each model's whole step in C; for `linear` and `mlp` where the kernels are compiled.

    A model's step stays in the second cache, where members of a batched product have to take turns
    (docs/decisions/fused.md).
    """

    name = "fused"

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind, library: Library) -> None:
        super().__init__(model, layout, kind)
        modules = modules_of(model)
        starts = {slot.name: slot.start for slot in layout.slots}
        layers = [(name, module) for name, module in modules if isinstance(module, nn.Linear)]
        self._rates = _rates_after(modules)
        self._units = [layer.out_features for _, layer in layers]
        shape = NetShape(
            layout.columns,
            widths=[layers[0][1].in_features, *self._units],
            weights=[starts[f"{name}weight"] for name, _ in layers],
            biases=[starts[f"{name}bias"] for name, _ in layers],
            activations=[NAMES[type(module)] for _, module in modules if type(module) in NAMES],
        )
        self._net = Net(library, kind, shape)

    @staticmethod
    def fits(model: nn.Module, library: Library) -> bool:
        """Return whether it is such layers, of sizes that the library is faster with than torch."""
        if not library.fast or not Dense.fits(model):
            return False
        modules = [module for _, module in modules_of(model)]
        if any(isinstance(each, nn.GELU) and each.approximate != "none" for each in modules):
            return False
        letters = "".join(LETTERS.get(type(module), "?") for module in modules)
        layers = [module for module in modules if isinstance(module, nn.Linear)]
        return SHAPE.fullmatch(letters) is not None and _are_of_fast_sizes(layers)

    def logits(self, models: Models, inputs: Tensor) -> Tensor:
        return self._net.logits(models.weights, inputs)

    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        return self._net.gradient(models.weights, self._rows(models, batch), out), models.buffers

    def _rows(self, models: Models, batch: StepBatch) -> NetBatch:
        """Return the rows with what training does to them, dropout drawn as `Dropout` draws it."""
        scales, smoothing = models.input_noise, models.label_smoothing
        noise = None if scales is None else batch.noise
        rows = NetBatch(
            batch.inputs,
            batch.targets,
            batch.weights,
            noise=noise,
            noise_scales=scales,
            smoothing=smoothing,
        )
        if models.seed is None or not self.dropouts:
            return rows
        seed_generator(batch.inputs.device, models.seed)
        shapes = [(batch.inputs.shape[1], units) for units in self._units]
        draws = [
            None if name is None else torch.rand(shape, dtype=batch.inputs.dtype)
            for name, shape in zip(self._rates, shapes, strict=False)
        ]
        rates = [None if name is None else models.buffers[name] for name in self._rates]
        return replace(rows, draws=draws, dropouts=rates)


def _are_of_fast_sizes(layers: Sequence[nn.Linear]) -> bool:
    """Return whether the kernels are faster with such layers than batched products.

    Members that share wide inputs, each with a few outputs, are faster as one product; and hidden
    layers far larger than the second cache gain nothing in turn.
    """
    first, *hidden = layers
    narrow = first.out_features < FEW_OUTPUTS and first.in_features > FEW_INPUTS
    return not narrow and all(layer.weight.numel() <= MOST_WEIGHTS for layer in hidden)


def _rates_after(modules: Sequence[tuple[str, nn.Module]]) -> list[str | None]:
    """Return the buffer with the rate of the dropout after each layer but the last, if any."""
    rates: list[str | None] = []
    for name, module in modules:
        if type(module) in NAMES:
            rates.append(None)
        elif isinstance(module, Dropout):
            rates[-1] = f"{name}rate"
    return rates
