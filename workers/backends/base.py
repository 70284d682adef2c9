"""The interface of backends: logits and gradients of many models of one architecture at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from workers.models.dropout import Dropout
from workers.models.layout import Layout
from workers.objectives.losses import Kind

Buffers = dict[str, Tensor]


@dataclass(frozen=True)
class StepBatch:
    """One step's rows of F folds.

    inputs (F, B, d); targets (F, B); weights (F, B): a model's loss is the weighted sum over rows.
    noise (F, B, d): what `Perturbation.input_noise` scales; None without it.
    """

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    noise: Tensor | None = None

    def at(self, fold: int) -> StepBatch:
        """Return one fold's rows, sharing memory: inputs (B, d), targets and weights (B,)."""
        noise = None if self.noise is None else self.noise[fold]
        return StepBatch(self.inputs[fold], self.targets[fold], self.weights[fold], noise)


@dataclass(frozen=True)
class Perturbation:
    """Perturbations of the members' data in training alone; each (P,), or None.

    All members share the draws, each scales its own.
    """

    label_smoothing: Tensor | None = None
    input_noise: Tensor | None = None

    def keep(self, index: Tensor) -> Perturbation:
        """Return the perturbation of the members at these positions."""
        rows = (self.label_smoothing, self.input_noise)
        return Perturbation(*(None if row is None else row[index] for row in rows))


@dataclass(frozen=True)
class Model:
    """One of many models: weights (columns,) and buffers by name, views of all models' tensors.

    label_smoothing (1,) and input_noise (): the member's own; None where it has none.
    """

    weights: Tensor
    buffers: Buffers
    label_smoothing: Tensor | None
    input_noise: Tensor | None


@dataclass(frozen=True)
class Models:
    """F x P models of one architecture: F folds with P members each.

    weights (F, P, columns); buffers (F, P, ...) by name; perturbation: of the members' data.
    seed: of the random layers in this step. Without one the models are evaluated: no dropout, and
    nothing is done to the data.
    """

    weights: Tensor
    buffers: Buffers = field(default_factory=dict)
    perturbation: Perturbation = Perturbation()
    seed: int | None = None

    @property
    def shape(self) -> torch.Size:
        """Return the numbers of folds and of members."""
        return self.weights.shape[:2]

    @property
    def training(self) -> bool:
        """Return whether random layers and perturbations are on."""
        return self.seed is not None

    @property
    def label_smoothing(self) -> Tensor | None:
        """Return the share of each target that training spreads over all classes (P,)."""
        return self.perturbation.label_smoothing if self.training else None

    @property
    def input_noise(self) -> Tensor | None:
        """Return the scale of the noise that training adds to the inputs (P,)."""
        return self.perturbation.input_noise if self.training else None

    def at(self, fold: int, member: int) -> Model:
        """Return one model, sharing memory."""
        smoothing, noise = self.label_smoothing, self.input_noise
        return Model(
            self.weights[fold, member],
            {name: value[fold, member] for name, value in self.buffers.items()},
            None if smoothing is None else smoothing[member : member + 1],
            None if noise is None else noise[member],
        )

    def keep(self, index: Tensor) -> Models:
        """Return copies of the members at these positions, as often as they are named."""
        return Models(
            self.weights.index_select(1, index),
            {name: value.index_select(1, index) for name, value in self.buffers.items()},
            self.perturbation.keep(index),
            self.seed,
        )


class Backend(ABC):
    """Compute logits and gradients of many models at once.

    Random layers draw the same numbers for every model: comparisons stay free of their noise, and
    a model doesn't depend on how many companions it has.
    """

    name: ClassVar[str]
    capturable: ClassVar[bool] = True  # whether a step may be captured and replayed

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        self.model = model
        self.layout = layout
        self.kind: Kind = kind
        self.dropouts = [
            f"{name}.rate" if name else "rate"
            for name, module in model.named_modules()
            if isinstance(module, Dropout)
        ]

    @abstractmethod
    def logits(self, models: Models, inputs: Tensor) -> Tensor:
        """Return logits (F, P, outputs, B) of inputs (F, B, d), in evaluation whatever the seed."""

    @abstractmethod
    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        """Return losses (F, P) and new buffers; the gradient goes to `out` (F, P, columns)."""


def set_mode(model: nn.Module, training: bool) -> None:
    """Set training or evaluation; unlike train(), free where the module is in that mode already."""
    if model.training != training:
        model.train(training)


def per_model(rows: Tensor, members: int) -> Tensor:
    """Copy every fold's rows for each of its members: (F, ...) to (F * P, ...)."""
    shape = (rows.shape[0], members, *rows.shape[1:])
    copies = rows.unsqueeze(1).expand(shape).clone(memory_format=torch.contiguous_format)
    return copies.flatten(0, 1)


def noisy(batch: StepBatch, scale: Tensor | None, members: int) -> Tensor:
    """Return inputs (F * P, B, d), each member's with its own share of the batch's noise."""
    inputs = per_model(batch.inputs, members)
    if scale is None or batch.noise is None:
        return inputs
    own = scale.repeat(len(batch.noise))[:, None, None]
    return inputs.addcmul_(per_model(batch.noise, members), own)


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generator that random layers draw from."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def with_twin(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Double each tensor (1, ...): kernels for one matrix round otherwise than those for many."""
    return [torch.cat([tensor, tensor]) for tensor in tensors]
