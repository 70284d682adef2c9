"""What vmap can do as one compiled step: twice as fast, and a minute to compile."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from workers.backends.base import Buffers, Perturbation, StepBatch, set_mode
from workers.backends.mapped import Mapped, call
from workers.kernels import private_folder
from workers.models.layout import Layout
from workers.objectives.losses import Kind, row_losses

# Members that one call computes. It is fixed, because every other number would be compiled anew,
# and so that a member's bits can't depend on how many there are; the last block is filled up.
BLOCK_MEMBERS = 16
MOST_SHAPES = 256  # that one process may compile; a job has one


class Compiled(Mapped):
    """For jobs long enough to pay for it. What was compiled is kept on disk for the next worker."""

    name = "compiled"
    capturable = False

    def __init__(self, model: nn.Module, layout: Layout, kind: Kind) -> None:
        super().__init__(model, layout, kind)
        self._compiled_step = _compiled(vmap(grad_and_value(self._loss), in_dims=(0, 0, None)))

    def gradient(
        self,
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        seed: int | None,
        out: Tensor,
    ) -> tuple[Tensor, Buffers]:
        if seed is None:  # settling: other shapes, and few steps
            return super().gradient(weights, buffers, batch, perturbation, seed, out)
        set_mode(self.model, True)
        folds, members = weights.shape[:2]
        starts = range(0, members, BLOCK_MEMBERS)
        places = [
            (fold, slice(start, start + BLOCK_MEMBERS)) for fold in range(folds) for start in starts
        ]
        losses = [
            self._block(place, weights, buffers, batch, perturbation, out) for place in places
        ]
        # A module whose training changes buffers has batch statistics, and runs in turn.
        return torch.cat(losses).view(folds, members), buffers

    def _block(
        self,
        place: tuple[int, slice],
        weights: Tensor,
        buffers: Buffers,
        batch: StepBatch,
        perturbation: Perturbation,
        out: Tensor,
    ) -> Tensor:
        """Losses at `place`, a fold and some of its members; the gradient goes to `out`."""
        fold, block = place
        of_members: dict[str, Any] = {
            name: _filled(scale[block, None])
            for name, scale in vars(perturbation).items()
            if scale is not None
        }
        of_members["buffers"] = {name: _filled(own[place]) for name, own in buffers.items()}
        of_fold = {name: rows[fold] for name, rows in vars(batch).items() if rows is not None}
        parameters = self.layout.views(_filled(weights[place]))
        gradients, losses = self._compiled_step(parameters, of_members, of_fold)
        rows = out[place]
        for name, view in self.layout.views(rows).items():
            view.copy_(gradients[name][: len(rows)])
        return losses[: len(rows)]

    def _loss(self, parameters: Buffers, own: dict[str, Any], shared: dict[str, Tensor]) -> Tensor:
        """Of one model: what is its own, and what it shares with all members of its fold."""
        inputs = shared["inputs"].clone()  # a module may write into what it is given
        if "input_noise" in own and "noise" in shared:
            inputs = inputs + own["input_noise"] * shared["noise"]
        logits, _ = call(self.model, parameters, own["buffers"], inputs)
        losses = row_losses(self.kind, logits, shared["targets"], own.get("label_smoothing"))
        return (losses * shared["weights"]).sum()


def _filled(rows: Tensor) -> Tensor:
    """Rows (m, ...) and copies of the first one up to BLOCK_MEMBERS."""
    lacking = BLOCK_MEMBERS - len(rows)
    if not lacking:
        return rows
    return torch.cat([rows, rows[:1].expand(lacking, *rows.shape[1:])])


def _compiled(step: Any) -> Any:
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(private_folder() / "inductor"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # else it starts processes
    torch._dynamo.config.recompile_limit = MOST_SHAPES
    return torch.compile(step, dynamic=False, fullgraph=True)
