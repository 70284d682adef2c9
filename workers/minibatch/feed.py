"""A job's training rows on a device, as the steps of an epoch read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch

from workers.backends import StepBatch
from workers.data.seeds import derived_seed
from workers.minibatch.batches import Batch, batch_width
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.models.building import ROWS_AT_ONCE
from workers.objectives.losses import of_classes, row_weights
from workers.population.problem import Problem

EPOCH_FLOATS = 2**24  # an epoch of fewer input numbers is laid out at once, for all chunks


class Feed:
    """The rows of all folds end to end.

    inputs (n, d), targets (n,), row_weights (n,) float64; fold_rows: how many are whose.
    """

    def __init__(self, problem: Problem) -> None:
        spec, folds, device = problem.spec, problem.folds, problem.device
        self.fold_rows = problem.fold_rows
        self.dtype, self.device, self._batch_size = problem.dtype, device, spec.batch_size
        inputs = torch.cat([fold.train_inputs for fold in folds])
        targets = torch.cat([fold.train_targets for fold in folds])
        weights = torch.cat(
            [row_weights(spec, fold.train_targets, fold.train_weights) for fold in folds]
        )
        self.inputs = inputs.to(device, self.dtype)
        kind = torch.int64 if of_classes(problem.kind) else self.dtype
        self.targets = targets.to(device, kind)
        self.row_weights = weights.to(device)
        self.full_batches = self._full_batches()
        self._noise_seed = derived_seed(problem.seed, "noise") >> 8  # room for a number per step
        self._epoch: tuple[Sequence[Batch], tuple[int, ...], list[StepBatch]] | None = None

    def epoch(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterable[StepBatch]:
        """Return what these folds read in an epoch, step by step."""
        if self._epoch and self._epoch[0] is batches and self._epoch[1] == folds:
            return self._epoch[2]
        widths = [batch.rows.shape[1] for batch in batches]
        one_by_one = (self.step(batch, folds) for batch in batches)
        if sum(widths) * len(folds) * self.inputs.shape[1] > EPOCH_FLOATS:
            return one_by_one
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
        rows = torch.arange(width, device=self.device).remainder(self.fold_rows[0])[None]
        even = torch.full(rows.shape, 1 / width, dtype=self.dtype, device=self.device)
        return StepBatch(self.inputs[rows], self.targets[rows], even)

    def _laid_out(self, batches: Sequence[Batch], folds: tuple[int, ...]) -> Iterator[StepBatch]:
        chosen = list(folds)
        rows = torch.stack([batch.rows for batch in batches])[:, chosen]  # (S, F, B)
        weights = torch.stack([batch.weights for batch in batches])[:, chosen]
        places = rows.flatten()
        inputs = self.inputs.index_select(0, places).unflatten(0, rows.shape)
        targets = self.targets.index_select(0, places).view(rows.shape)
        weights = weights * self.row_weights.index_select(0, places).view(rows.shape)
        for step in zip(inputs, targets, weights.to(self.dtype), strict=True):
            yield StepBatch(*step)

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
            Batch(rows.to(self.device), weights.to(self.device), tuple(self.fold_rows))
            for rows, weights in blocks
        ]
