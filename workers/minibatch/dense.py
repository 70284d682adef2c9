"""The dense net that a descent begins with: of members that are still the same, one trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from workers.minibatch.batches import Batch
from workers.minibatch.chunks import Chunk, descends
from workers.population.configuration import Configuration

if TYPE_CHECKING:
    from workers.minibatch.trainer import Trainer


def train_epoch(trainer: Trainer, chunk: Chunk, batches: Sequence[Batch]) -> Tensor:
    """Train one epoch, in place; return which members (P,) kept a finite loss throughout.

    Until strengths begin to grow, members that differ in them alone are bitwise the same: the first
    of them trains, and the others take its numbers. Not where a chunk's steps are captured as
    graphs: a smaller chunk would need its own, and on a GPU it takes as long.
    """
    leads = _leads(trainer, chunk, len(batches))
    kept = [lead == place for place, lead in enumerate(leads)]
    if all(kept) or trainer.graphs is not None:
        return trainer.train_epoch(chunk, batches)
    first = chunk.keep(kept)
    healthy = trainer.train_epoch(first, batches)
    ranks = torch.tensor(kept).cumsum(0) - 1  # a lead's place in the smaller chunk
    index = ranks[torch.tensor(leads)].to(healthy.device)
    chunk.take(first, index)
    return healthy[index]


def _leads(trainer: Trainer, chunk: Chunk, steps: int) -> list[int]:
    """Return of each member the place of the first that these steps leave the same."""
    uses = trainer.program.optimizer.uses
    if chunk.steps + steps > uses.descent.dense:
        return list(range(len(chunk.members)))
    found: dict[Configuration, int] = {}
    return [
        found.setdefault(replace(own, strength=0.0, l1_ratio=0.0), place)
        if descends(own, uses)
        else place
        for place, own in enumerate(chunk.configurations)
    ]
