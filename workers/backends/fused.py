"""Linear layers with ReLU between them, each model's whole gradient in one go on a CPU."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from workers.backends.base import Backend, Buffers, Perturbation, StepBatch, seed_generator
from workers.backends.dense import Dense, modules_of
from workers.kernels import Library, Net, NetBatch
from workers.layout import Layout
from workers.losses import Kind
from workers.models import Dropout

LETTERS = {nn.Linear: "L", nn.ReLU: "R", Dropout: "D"}
SHAPE = re.compile("L(RD?L)*")


class Fused(Backend):
    """The backend of `linear` and `mlp` where the kernels are compiled: model by model in C.

    A model's step stays in the second cache; no other backend's does (docs/decisions/fused.md).
    """

    name = "fused"
    capturable = False

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind, library: Library) -> None:
        super().__init__(model, layout, kind)
        modules = modules_of(model)
        starts = {slot.name: slot.start for slot in layout.slots}
        layers = [(name, module) for name, module in modules if isinstance(module, nn.Linear)]
        self._rates = _rates_after(modules)
        self._units = [layer.out_features for _, layer in layers]
        self._net = Net(
            library,
            kind,
            layout.columns,
            [layers[0][1].in_features, *self._units],
            [starts[f"{name}weight"] for name, _ in layers],
            [starts[f"{name}bias"] for name, _ in layers],
        )

    @staticmethod
    def fits(model: nn.Module, library: Library) -> bool:
        """Whether it is such layers, and the library's products are as fast as torch's."""
        if not library.fast or not Dense.fits(model):
            return False
        letters = "".join(LETTERS.get(type(module), "?") for _, module in modules_of(model))
        return SHAPE.fullmatch(letters) is not None

    def logits(self, weights: Tensor, buffers: Buffers, inputs: Tensor) -> Tensor:
        return self._net.logits(weights, inputs)

    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        out: Tensor,
    ) -> tuple[Tensor, Buffers]:
        given = NetBatch(batch.inputs, batch.targets, batch.weights)
        if seed is not None:
            noise = None if perturbation.input_noise is None else batch.noise
            given = NetBatch(
                batch.inputs,
                batch.targets,
                batch.weights,
                noise=noise,
                noise_scales=perturbation.input_noise,
                smoothing=perturbation.label_smoothing,
                draws=self._draws(weights, batch.inputs.shape[1], seed),
                dropouts=[None if name is None else buffers[name] for name in self._rates],
            )
        return self._net.gradient(weights, given, out), buffers

    def _draws(self, weights: Tensor, rows: int, seed: int) -> list[Tensor | None]:
        """What dropout compares its rates with, one draw for all models, as `Dropout` has it."""
        if self.dropouts:
            seed_generator(weights.device, seed)
        return [
            None if name is None else torch.rand(rows, units, dtype=weights.dtype)
            for name, units in zip(self._rates, self._units, strict=False)
        ]


def _rates_after(modules: Sequence[tuple[str, nn.Module]]) -> list[str | None]:
    """The buffer with the rate of the dropout after each layer but the last, if there is one."""
    rates: list[str | None] = []
    for name, module in modules:
        if isinstance(module, nn.ReLU):
            rates.append(None)
        elif isinstance(module, Dropout):
            rates[-1] = f"{name}rate"
    return rates
