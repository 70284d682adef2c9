"""What members reach on the validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.backends import Backend
from workers.data.prepare import Fold
from workers.data.seeds import derived_seed
from workers.minibatch.chunks import Chunk
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.models.building import ROWS_AT_ONCE
from workers.objectives.losses import Kind, finite
from workers.objectives.metrics import bootstrap_error, score


@dataclass(frozen=True)
class Scores:
    """What a chunk's members reach on the validation rows.

    values (P, F) in the target's own units; errors (P,) of a single holdout, else NaN; healthy
    (P,): all logits finite.
    """

    values: Tensor
    errors: Tensor
    healthy: Tensor


class Judge:
    """One job's validation rows on a device."""

    def __init__(
        self,
        spec: JobSpec,
        kind: Kind,
        folds: Sequence[Fold],
        seed: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.spec, self.kind, self.folds, self.seed = spec, kind, folds, seed
        self.targets = [fold.valid_targets.to(device) for fold in folds]
        longest = rounded_up(max(len(fold.valid_inputs) for fold in folds), ROW_ALIGNMENT)
        shape = (len(folds), longest, folds[0].valid_inputs.shape[1])
        self.inputs = torch.zeros(shape, dtype=dtype, device=device)  # (F, m, d)
        for padded, fold in zip(self.inputs, folds, strict=True):
            padded[: len(fold.valid_inputs)] = fold.valid_inputs

    def scores(self, backend: Backend, chunk: Chunk, *, with_errors: bool) -> Scores:
        """The objective on the validation rows; standard errors of a holdout where asked for."""
        return self.scores_of(self._logits(backend, chunk), chunk.folds, with_errors=with_errors)

    def scores_of(self, logits: Tensor, folds: Sequence[int], *, with_errors: bool) -> Scores:
        """Those of logits (F, P, outputs, m) for the validation rows of these folds."""
        values: list[Tensor] = []
        errors = torch.full((logits.shape[1],), torch.nan, dtype=torch.float64)
        healthy = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
        for own, number in zip(logits, folds, strict=True):
            fold, targets = self.folds[number], self.targets[number]
            own = own[..., : len(targets)].transpose(1, 2)  # (P, m, outputs)
            healthy &= finite(own)
            if self.kind == "regression":
                own = fold.target_mean + fold.target_scale * own.double()
            metric, task = self.spec.objective, self.spec.task
            values.append(score(metric, own, targets, task))
            if with_errors and len(self.folds) == 1:
                groups, seed = fold.valid_groups, derived_seed(self.seed, "bootstrap")
                errors = bootstrap_error(metric, own, targets, groups, seed, task)
        return Scores(torch.stack(values, 1).cpu(), errors.cpu(), healthy.cpu())

    def finite(self, backend: Backend, chunk: Chunk) -> Tensor:
        """Which members (P,) have finite logits for all validation rows of all their folds."""
        folds = zip(self._logits(backend, chunk), chunk.folds, strict=True)
        counted = [(own, len(self.targets[number])) for own, number in folds]
        return torch.stack([finite(own[..., :count]) for own, count in counted]).all(0).cpu()

    def _logits(self, backend: Backend, chunk: Chunk) -> Tensor:
        """(F, P, outputs, m), folds padded to equal length."""
        blocks = [
            backend.logits(chunk.models(None), block)
            for block in self.inputs[list(chunk.folds)].split(ROWS_AT_ONCE, dim=1)
        ]
        return torch.cat(blocks, dim=-1)
