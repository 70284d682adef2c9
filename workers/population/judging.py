"""Scores of members on the validation rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from workers.backends import Backend, Buffers, Models
from workers.data.seeds import derived_seed
from workers.heeding import heed
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.models.building import ROWS_AT_ONCE
from workers.objectives.losses import Kind, finite, of_classes
from workers.objectives.metrics import REPLICATES, bootstrap_error, resampled_weights, score
from workers.population.problem import Problem


class Company(Protocol):
    """Members side by side on some folds, with the models that they have now.

    weights (F, P, columns); buffers (F, P, ...) by name.
    """

    @property
    def folds(self) -> tuple[int, ...]: ...
    @property
    def members(self) -> tuple[int, ...]: ...
    @property
    def weights(self) -> Tensor: ...
    @property
    def buffers(self) -> Buffers: ...


@dataclass(frozen=True)
class Scores:
    """Scores of a company's members on the validation rows.

    values (P, F) in the target's own units; errors (P,) of a single holdout, else NaN; healthy
    (P,): all logits finite.
    """

    values: Tensor
    errors: Tensor
    healthy: Tensor


class Judge:
    """A problem's validation rows on its device, and the backend that gives logits for them.

    beside: the judge of the rows that are scored as well, where the problem has some.
    """

    def __init__(self, problem: Problem, backend: Backend) -> None:
        self.problem, self.backend = problem, backend
        self.beside: Judge | None = None
        if problem.beside:
            self.beside = Judge(replace(problem, folds=problem.beside, beside=()), backend)
        folds, device = problem.folds, problem.device
        self.targets = [fold.valid_targets.to(device) for fold in folds]
        given = [fold.valid_weights for fold in folds]
        self.weights = [None if own is None else own.to(device) for own in given]
        longest = rounded_up(max(len(fold.valid_inputs) for fold in folds), ROW_ALIGNMENT)
        shape = (len(folds), longest, problem.inputs)
        self.inputs = torch.zeros(shape, dtype=problem.dtype, device=device)  # (F, m, d)
        for padded, fold in zip(self.inputs, folds, strict=True):
            padded[: len(fold.valid_inputs)] = fold.valid_inputs

    def scores(self, company: Company, *, with_errors: bool) -> Scores:
        """Return the objective on the validation rows.

        with_errors: with the standard errors of a holdout, which take a bootstrap.
        """
        members, device = len(company.members), company.weights.device
        values: list[Tensor] = []
        errors = torch.full((members,), torch.nan, dtype=torch.float64)
        healthy = torch.ones(members, dtype=torch.bool, device=device)
        for own, number in zip(self._logits(company), company.folds, strict=True):
            own = own[..., : len(self.targets[number])].transpose(1, 2)  # (P, m, outputs)
            healthy &= finite(own)
            own = self._own_units(own, number)
            spec, targets, weights = self.problem.spec, self.targets[number], self.weights[number]
            values.append(score(spec.objective, own, targets, self._own_kind(number), weights))
            if with_errors and len(self.targets) == 1:
                errors = self._bootstrap_errors(own, number)
        return Scores(torch.stack(values, 1).cpu(), errors.cpu(), healthy.cpu())

    def finite(self, company: Company) -> Tensor:
        """Return which members (P,) have finite logits for all validation rows of their folds."""
        folds = zip(self._logits(company), company.folds, strict=True)
        counted = [(own, len(self.targets[number])) for own, number in folds]
        return torch.stack([finite(own[..., :count]) for own, count in counted]).all(0).cpu()

    def _own_units(self, logits: Tensor, number: int) -> Tensor:
        """Return a regression's predictions in the target's units, other logits as they are."""
        kind = self.problem.kind
        if of_classes(kind):
            return logits
        return self.problem.folds[number].response(kind, logits.double())

    def _own_kind(self, number: int) -> Kind:
        return self.problem.folds[number].own_kind(self.problem.kind)

    def _bootstrap_errors(self, logits: Tensor, number: int) -> Tensor:
        spec, fold, targets = self.problem.spec, self.problem.folds[number], self.targets[number]
        seed = derived_seed(spec.seed, "bootstrap")
        drawn = resampled_weights(
            len(targets), fold.valid_groups, seed, REPLICATES, fold.valid_weights
        )
        return bootstrap_error(spec.objective, logits, targets, drawn, self._own_kind(number))

    def _logits(self, company: Company) -> Tensor:
        """Return (F, P, outputs, m), folds padded to equal length."""
        models = Models(company.weights, company.buffers)
        blocks: list[Tensor] = []
        for block in self.inputs[list(company.folds)].split(ROWS_AT_ONCE, dim=1):
            heed()
            blocks.append(self.backend.logits(models, block))
        return torch.cat(blocks, dim=-1)
