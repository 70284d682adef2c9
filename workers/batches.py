"""Which rows each fold sees at each step: one sequence per fold, shared by all members."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

# Rows are padded to a multiple of this. Vectorised kernels round exp and its like differently in
# the last few numbers of an array; so that no member has those, each fills whole vectors.
ROW_ALIGNMENT = 32


def aligned(rows: int) -> int:
    """The least multiple of ROW_ALIGNMENT that holds as many rows."""
    return -(-rows // ROW_ALIGNMENT) * ROW_ALIGNMENT


def derived_seed(seed: int, *purpose: int | str) -> int:
    """A seed of its own for each purpose, from the job's seed."""
    words = [word if isinstance(word, int) else int.from_bytes(word.encode()) for word in purpose]
    sequence = np.random.SeedSequence([seed, *words])
    return int(sequence.generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class Batch:
    """One step's rows of every fold.

    rows (F, width): indices into the folds' training rows laid end to end; weights (F, width): one
    over the fold's batch size, 0 for padding; sizes (F,): rows that are not padding.
    """

    rows: Tensor
    weights: Tensor
    sizes: tuple[int, ...]


class Minibatches:
    """Epochs of near-equal batches, as many for each fold: ceil(largest fold / batch size)."""

    def __init__(
        self, fold_rows: Sequence[int], batch_size: int, seed: int, device: torch.device
    ) -> None:
        self.fold_rows = fold_rows
        self.steps = math.ceil(max(fold_rows) / batch_size)
        self.width = aligned(math.ceil(max(fold_rows) / self.steps))
        self.device = device
        self.starts = [sum(fold_rows[:fold]) for fold in range(len(fold_rows))]
        self.generators = [
            torch.Generator().manual_seed(derived_seed(seed, "batches", fold))
            for fold in range(len(fold_rows))
        ]

    def epoch(self) -> list[Batch]:
        """The next epoch's batches: every row of every fold once, in a new order."""
        orders = [
            torch.randperm(rows, generator=generator)
            for rows, generator in zip(self.fold_rows, self.generators, strict=True)
        ]
        return [self._batch(orders, step) for step in range(self.steps)]

    def _batch(self, orders: Sequence[Tensor], step: int) -> Batch:
        rows = torch.empty(len(orders), self.width, dtype=torch.int64)
        weights = torch.zeros(len(orders), self.width, dtype=torch.float64)
        sizes: list[int] = []
        for fold, order in enumerate(orders):
            count = len(order)
            chosen = order[count * step // self.steps : count * (step + 1) // self.steps]
            size = len(chosen)
            # Padding repeats a row of the same fold: its loss is finite where the batch's is.
            rows[fold] = self.starts[fold] + (chosen[0] if size else order[0])
            rows[fold, :size] = self.starts[fold] + chosen
            weights[fold, :size] = 1 / max(size, 1)
            sizes.append(size)
        return Batch(rows.to(self.device), weights.to(self.device), tuple(sizes))
