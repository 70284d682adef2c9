"""The backend of what vmap can do, compiled: twice as fast, and a minute to compile."""

from __future__ import annotations

import os
from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from workers.backends.base import Buffers, Models, StepBatch, set_mode
from workers.backends.mapped import Mapped, call
from workers.guard import Steady
from workers.heeding import heed
from workers.kernels import private_folder
from workers.models.layout import Layout
from workers.objectives.losses import Kind, row_losses

# Members that one call computes. It is fixed, because every other number would be compiled anew,
# and so that a member's bits can't depend on how many there are; the last block is filled up.
BLOCK_MEMBERS = 16
MOST_SHAPES = 256  # that one process may compile; a job has one


class Members(NamedTuple):
    """The tensors that each of a block's members has of its own.

    buffers (m, ...); label_smoothing and input_noise (m, 1), None where the job has none.
    """

    buffers: Buffers
    label_smoothing: Tensor | None
    input_noise: Tensor | None


class Rows(NamedTuple):
    """The rows that they share: inputs and noise (B, d), targets and weights (B,)."""

    inputs: Tensor
    targets: Tensor
    weights: Tensor
    noise: Tensor | None


class Compiled(Mapped):
    """Blocks of members in a compiled step, which is kept on disk for the next worker."""

    name = "compiled"
    capturable = False

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        super().__init__(model, layout, kind)
        self._compiled_step = _compiled(self._step)

    def gradient(self, models: Models, batch: StepBatch, out: Tensor) -> tuple[Tensor, Buffers]:
        if not models.training:  # settling: other shapes, and few steps
            return super().gradient(models, batch, out)
        set_mode(self.model, True)
        folds, members = models.shape
        losses = torch.empty_like(out[..., 0])
        for fold, start in product(range(folds), range(0, members, BLOCK_MEMBERS)):
            heed()
            place = (fold, slice(start, start + BLOCK_MEMBERS))
            parameters = self.layout.views(_filled(models.weights[place]))
            rows = Rows(**vars(batch.at(fold)))
            with Steady():
                gradients, found = self._compiled_step(parameters, _members(models, *place), rows)
            own = out[place]
            losses[place] = found[: len(own)]
            for name, view in self.layout.views(own).items():
                view.copy_(gradients[name][: len(own)])
        # A module whose training changes buffers has batch statistics, and runs in turn.
        return losses, models.buffers

    def _step(
        self, parameters: Buffers, members: Members, rows: Rows
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return gradients by name and losses (m,) of a block's members; this is compiled."""
        smoothing = None if members.label_smoothing is None else 0
        noise = None if members.input_noise is None else 0
        step = vmap(grad_and_value(self._loss), in_dims=(0, 0, smoothing, noise, None))
        return step(parameters, *members, rows)

    def _loss(
        self,
        parameters: Buffers,
        buffers: Buffers,
        label_smoothing: Tensor | None,
        input_noise: Tensor | None,
        rows: Rows,
    ) -> Tensor:
        """Return one model's loss ()."""
        inputs = rows.inputs.clone()  # a module may write into what it is given
        if input_noise is not None and rows.noise is not None:
            inputs = inputs + input_noise * rows.noise
        logits, _ = call(self.model, parameters, buffers, inputs)
        losses = row_losses(self.kind, logits, rows.targets, label_smoothing)
        return (losses * rows.weights).sum()


def _members(models: Models, fold: int, block: slice) -> Members:
    """Return these members' own tensors, filled up to a block."""
    smoothing, noise = models.label_smoothing, models.input_noise
    return Members(
        {name: _filled(value[fold, block]) for name, value in models.buffers.items()},
        None if smoothing is None else _filled(smoothing[block, None]),
        None if noise is None else _filled(noise[block, None]),
    )


def _filled(rows: Tensor) -> Tensor:
    """Add copies of the first row to rows (m, ...), up to BLOCK_MEMBERS."""
    lacking = BLOCK_MEMBERS - len(rows)
    if not lacking:
        return rows
    return torch.cat([rows, rows[:1].expand(lacking, *rows.shape[1:])])


def _compiled(step: Any) -> Any:
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(private_folder() / "inductor"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else it starts processes
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    return torch.compile(step, dynamic=False, fullgraph=True)
