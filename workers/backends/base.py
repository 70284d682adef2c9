"""What every backend does: logits and gradients of many models of one architecture at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from workers.models.layout import Layout
from workers.models.models import Dropout
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


@dataclass(frozen=True)
class Perturbation:
    """What training, and training alone, does to a member's data; each (P,), or None.

    All members share the draws, each scales its own.
    """

    label_smoothing: Tensor | None = None
    input_noise: Tensor | None = None

    def keep(self, index: Tensor) -> Perturbation:
        """That of the members at these positions."""
        rows = (self.label_smoothing, self.input_noise)
        return Perturbation(*(None if row is None else row[index] for row in rows))


class Backend(ABC):
    """F x P models: weights (F, P, columns), F folds with P members each; buffers (F, P, ...).

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
    def logits(self, weights: Tensor, buffers: Buffers, inputs: Tensor) -> Tensor:
        """(F, P, outputs, B) of inputs (F, B, d), as in evaluation: no dropout, no gradient."""

    @abstractmethod
    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        out: Tensor,
    ) -> tuple[Tensor, Buffers]:
        """Losses (F, P) and new buffers; the gradient goes to `out` (F, P, columns).

        seed: of the random layers in this step; None evaluates as without dropout.
        """


def set_mode(model: nn.Module, training: bool) -> None:
    """Training or evaluation; unlike train(), free where the module is in that mode already."""
    if model.training != training:
        model.train(training)


def per_model(rows: Tensor, members: int) -> Tensor:
    """(F, ...) to (F * P, ...): every member of a fold gets a copy of the fold's rows."""
    shape = (rows.shape[0], members, *rows.shape[1:])
    copies = rows.unsqueeze(1).expand(shape).clone(memory_format=torch.contiguous_format)
    return copies.flatten(0, 1)


def noisy(batch: StepBatch, scale: Tensor | None, members: int) -> Tensor:
    """Inputs (F * P, B, d), each member's with its own share of the batch's noise."""
    inputs = per_model(batch.inputs, members)
    if scale is None or batch.noise is None:
        return inputs
    own = scale.repeat(len(batch.noise))[:, None, None]
    return inputs.addcmul_(per_model(batch.noise, members), own)


def seed_generator(device: torch.device, seed: int) -> None:
    """The generator that random layers draw from."""
    if device.type == "cuda":
        index = torch.cuda.current_device() if device.index is None else device.index
        torch.cuda.default_generators[index].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def with_twin(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Each tensor (1, ...) twice: kernels for one matrix round otherwise than those for many."""
    return [torch.cat([tensor, tensor]) for tensor in tensors]
