"""A job's training rows, as the steps of an epoch read them: from a device, or streamed to it.

Rows that lie in a file, or that would take more than their share of a GPU's memory, stay where they
are: each epoch's batches are gathered by a thread that is a few of them ahead, and copied to the
device as they come. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from workers.backends import StepBatch
from workers.data.folds import slice_of
from workers.data.seeds import derived_seed
from workers.minibatch.ahead import ahead
from workers.minibatch.batches import Batch, batch_width
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.models.building import ROWS_AT_ONCE
from workers.objectives.losses import of_classes, row_weights
from workers.population.memory import fits_device
from workers.population.problem import Problem
from workers.transfers import sent

SHUFFLED_BYTES = 2**34  # of a fold's inputs, up to which any row may follow any other
BLOCK_ROWS = 1024  # that stay together beyond it
GATHERED_FLOATS = 2**19  # input numbers of the batches that are gathered together
EPOCH_FLOATS = 2**24  # an epoch of fewer input numbers is laid out at once, for all chunks


class Feed:
    """The rows of all folds end to end.

    targets (n,), row_weights (n,) float64; fold_rows: how many are whose. home: the device where
    these lie, and where batches tell their rows; the host's memory where inputs are streamed.
    block: rows that an epoch reads side by side, for data that no memory may hold: by the data's
    size alone, so that batches are the same wherever the rows lie.
    """

    def __init__(self, problem: Problem) -> None:
        spec, folds, device = problem.spec, problem.folds, problem.device
        self.fold_rows = problem.fold_rows
        large = max(self.fold_rows) * problem.inputs * problem.dtype.itemsize > SHUFFLED_BYTES
        self.block = BLOCK_ROWS if large else 1
        self.dtype, self.device, self._batch_size = problem.dtype, device, spec.batch_size
        self._inputs = _resident(problem)  # (n, d)
        self._sources = [fold.train_inputs for fold in folds]
        self.home = device if self._inputs is not None else torch.device("cpu")
        targets = torch.cat([fold.train_targets for fold in folds])
        weights = torch.cat(
            [row_weights(spec, fold.train_targets, fold.train_weights) for fold in folds]
        )
        kind = torch.int64 if of_classes(problem.kind) else self.dtype
        self.targets = targets.to(self.home, kind)
        self.row_weights = weights.to(self.home)
        self.full_batches = self._full_batches()
        self._noise_seed = derived_seed(problem.seed, "noise") >> 8  # room for a number per step
        self._epoch: tuple[Sequence[Batch], tuple[int, ...], list[StepBatch]] | None = None

    def epoch(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterable[StepBatch]:
        """Return what these folds read in an epoch, step by step."""
        if self._epoch and self._epoch[0] is batches and self._epoch[1] == folds:
            return self._epoch[2]
        widths = [batch.rows.shape[1] for batch in batches]
        one_by_one = (self.step(batch, folds) for batch in batches)
        if sum(widths) * len(folds) * self._sources[0].shape[1] > EPOCH_FLOATS:
            return one_by_one if self._inputs is not None else self._streamed(batches, folds)
        alike = len(set(widths)) == 1
        laid_out = list(self._laid_out(batches, folds) if alike else one_by_one)
        self._epoch = (batches, folds, laid_out)
        return laid_out

    def step(self, batch: Batch, folds: tuple[int, ...]) -> StepBatch:
        """Return one batch, padding included."""
        return next(self._laid_out([batch], folds))

    def unpadded_step(self, batch: Batch, fold: int) -> StepBatch:
        """Return one batch of one fold, its own rows alone."""
        size = batch.sizes[fold]
        own = replace(batch, rows=batch.rows[:, :size], weights=batch.weights[:, :size])
        return self.step(own, (fold,))

    def with_noise(self, step: StepBatch, number: int) -> StepBatch:
        """Return a step with normal noise (F, B, d), drawn by its number, shared by all members."""
        draw = torch.Generator(self.device).manual_seed(self._noise_seed + number)
        shape = step.inputs.shape[1:]
        noise = torch.randn(shape, generator=draw, dtype=self.dtype, device=self.device)
        return replace(step, noise=noise.expand(step.inputs.shape))

    def check_step(self) -> StepBatch:
        """Return as many rows of the first fold as a batch has."""
        width = batch_width(self.fold_rows, self._batch_size)
        rows = torch.arange(width, device=self.home).remainder(self.fold_rows[0])[None]
        even = torch.full(rows.shape, 1 / width, dtype=self.dtype, device=self.home)
        inputs = self._gathered(rows[None], [0])[0]
        return self._moved(StepBatch(inputs, self.targets[rows], even))

    def _laid_out(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterator[StepBatch]:
        return map(self._moved, self._at_home(batches, folds))

    def _at_home(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterator[StepBatch]:
        """Yield batches of one width; what all of them read is gathered together."""
        chosen = slice_of(folds)
        rows = torch.stack([batch.rows[chosen] for batch in batches])  # (S, F, B)
        weights = torch.stack([batch.weights[chosen] for batch in batches])
        places = rows.flatten()
        inputs = self._gathered(rows, folds)
        targets = self.targets.index_select(0, places).view(rows.shape)
        weights = weights * self.row_weights.index_select(0, places).view(rows.shape)
        return map(StepBatch, inputs, targets, weights.to(self.dtype))

    def _gathered(self, rows: Tensor, folds: Sequence[int]) -> Tensor:
        """Return the inputs (S, F, B, d) of rows (S, F, B), of these folds."""
        if self._inputs is not None:
            return self._inputs.index_select(0, rows.flatten()).unflatten(0, rows.shape)
        found = [
            self._sources[fold][own.flatten() - sum(self.fold_rows[:fold])].unflatten(0, own.shape)
            for fold, own in zip(folds, rows.unbind(1), strict=True)
        ]
        return torch.stack(found, 1) if len(found) > 1 else found[0].unsqueeze(1)

    def _streamed(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterator[StepBatch]:
        """Yield an epoch's batches, gathered ahead of the steps that take them."""
        inputs = sum(self._sources[fold].shape[1] for fold in folds)
        at_once = max(1, GATHERED_FLOATS // (batches[0].rows.shape[1] * inputs))
        alike = (list(own) for _, own in groupby(batches, lambda batch: batch.rows.shape[1]))
        parts = (own[at : at + at_once] for own in alike for at in range(0, len(own), at_once))
        gathered = ahead(lambda part: list(self._at_home(part, folds)), parts)
        return (self._moved(step) for steps in gathered for step in steps)

    def _moved(self, step: StepBatch) -> StepBatch:
        """Bring a batch to the device, without waiting for it to be there."""
        if self.home == self.device:
            return step
        own = (step.inputs, step.targets, step.weights)
        return StepBatch(*(sent(each, self.device) for each in own))

    def _full_batches(self) -> list[Batch]:
        """Return every training row once, in blocks; weighted losses add up to the mean loss."""
        longest = rounded_up(max(self.fold_rows), ROW_ALIGNMENT)
        place = torch.arange(longest)
        counts = torch.tensor(self.fold_rows)[:, None]
        starts = counts.cumsum(0) - counts
        rows = starts + torch.where(place < counts, place, 0)
        weights = torch.where(place < counts, 1 / counts.double(), 0)
        blocks = zip(rows.split(ROWS_AT_ONCE, 1), weights.split(ROWS_AT_ONCE, 1), strict=True)
        return [
            Batch(rows.to(self.home), weights.to(self.home), tuple(self.fold_rows))
            for rows, weights in blocks
        ]


def _resident(problem: Problem) -> Tensor | None:
    """Return all folds' inputs (n, d) on the device; None where they are to be streamed."""
    tensors = [fold.train_inputs for fold in problem.folds if isinstance(fold.train_inputs, Tensor)]
    needed = sum(own.numel() * own.element_size() for own in tensors)
    if len(tensors) < len(problem.folds) or not fits_device(needed, problem.device):
        return None
    return torch.cat(tensors).to(problem.device, problem.dtype)
