"""Minibatches: the rows of each step, one sequence per fold, shared by all members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workers.data.seeds import derived_seed
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.transfers import sent

WINDOW = 1024  # blocks of rows that are mixed


@dataclass(frozen=True)
class Batch:
    """One step's rows of every fold.

    rows (F, width): indices into the folds' training rows laid end to end; weights (F, width): one
    over the fold's batch size, 0 for padding; sizes (F,): rows that are not padding.
    """

    rows: Tensor
    weights: Tensor
    sizes: tuple[int, ...]


def batch_width(fold_rows: Sequence[int], batch_size: int) -> int:
    """Return how many rows the largest fold's batch has, padding included."""
    steps = math.ceil(max(fold_rows) / batch_size)
    return rounded_up(math.ceil(max(fold_rows) / steps), ROW_ALIGNMENT)


def shuffled(rows: int, block: int, generator: torch.Generator) -> Tensor:
    """Return the places 0 ... rows - 1 in a random order.

    Of rows in blocks the blocks are shuffled, and then the rows of WINDOW blocks at a time, so that
    a file that is larger than memory is read once an epoch, in large pieces.
    """
    if block == 1:
        return torch.randperm(rows, generator=generator)
    within = torch.arange(block)
    found: list[Tensor] = []
    for blocks in torch.randperm(math.ceil(rows / block), generator=generator).split(WINDOW):
        places = (blocks[:, None] * block + within).flatten()
        places = places[places < rows]
        found.append(places[torch.randperm(len(places), generator=generator)])
    return torch.cat(found)


class Minibatches:
    """Epochs of near-equal batches, as many for each fold: ceil(largest fold / batch size).

    block: rows that lie side by side and are read together, where that is more than one.
    """

    def __init__(
        self,
        fold_rows: Sequence[int],
        batch_size: int,
        seed: int,
        device: torch.device,
        block: int = 1,
    ) -> None:
        self.fold_rows = fold_rows
        self.steps = math.ceil(max(fold_rows) / batch_size)
        self.width = batch_width(fold_rows, batch_size)
        self.device, self._block = device, block
        self.starts = [sum(fold_rows[:fold]) for fold in range(len(fold_rows))]
        self.generators = [
            torch.Generator().manual_seed(derived_seed(seed, "batches", fold))
            for fold in range(len(fold_rows))
        ]

        self.sizes = [
            tuple(rows * (step + 1) // self.steps - rows * step // self.steps for rows in fold_rows)
            for step in range(self.steps)
        ]
        self.places, weights = self._places()
        self.weights = weights.to(device)

    def epoch(self) -> list[Batch]:
        """Draw the next epoch's batches: every row of every fold once, in a new order."""
        order = torch.cat(
            [
                shuffled(rows, self._block, generator) + start
                for rows, start, generator in zip(
                    self.fold_rows, self.starts, self.generators, strict=True
                )
            ]
        )
        rows = sent(order[self.places], self.device)  # (steps, F, width)
        del order
        return [
            Batch(*step)
            for step in zip(rows.unbind(), self.weights.unbind(), self.sizes, strict=True)
        ]

    def skip(self, epochs: int) -> None:
        """Go on as if so many epochs had been drawn."""
        for _ in range(epochs):
            for rows, generator in zip(self.fold_rows, self.generators, strict=True):
                shuffled(rows, self._block, generator)

    def _places(self) -> tuple[Tensor, Tensor]:
        """Return where in an epoch's order each batch finds its rows, and their weights."""
        shape = (self.steps, len(self.fold_rows), self.width)
        places = torch.empty(shape, dtype=torch.int64)
        weights = torch.zeros(shape, dtype=torch.float64)
        for step, sizes in enumerate(self.sizes):
            for fold, size in enumerate(sizes):
                first = self.starts[fold] + self.fold_rows[fold] * step // self.steps
                # Padding repeats a row of the same fold: its loss is finite where the batch's is.
                places[step, fold] = first if size else self.starts[fold]
                places[step, fold, :size] = torch.arange(first, first + size)
                weights[step, fold, :size] = 1 / max(size, 1)
        return places, weights
