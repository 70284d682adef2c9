"""Scores of members on the validation rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from workers.backends import Backend, Buffers, Models
from workers.data.folds import slice_of
from workers.data.mapped import LazyRows
from workers.data.seeds import derived_seed
from workers.heeding import heed
from workers.models.alignment import ROW_ALIGNMENT, rounded_up
from workers.models.building import ROWS_AT_ONCE
from workers.objectives.losses import Kind, finite, of_classes
from workers.objectives.metrics import REPLICATES, bootstrap_error, resampled_weights, score
from workers.population.memory import fits_device
from workers.population.problem import Problem
from workers.transfers import Arriving

LOGITS_FLOATS = 2**26  # of members that are judged together
SCORED_FLOATS = 2**23  # of members whose scores are computed together, in float64


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
    """A problem's validation rows, and the backend that gives logits for them.

    The rows lie on the device where they fit, else they are read block by block, and brought there.
    Members are judged some at a time, so that their logits take bounded memory.

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
        self._longest = rounded_up(max(len(fold.valid_inputs) for fold in folds), ROW_ALIGNMENT)
        self._inputs = self._resident()  # (F, m, d)

    def scores(self, company: Company, *, with_errors: bool) -> Scores:
        """Return the objective on the validation rows.

        with_errors: with the standard errors of a holdout, which take a bootstrap.
        """
        return Scores(*self.arriving(company, with_errors=with_errors).tensors())

    def arriving(self, company: Company, *, with_errors: bool) -> Arriving:
        """Return what `scores` are made of, on its way: a GPU need not be waited for yet."""
        parts = [self._scores(models, company.folds, with_errors) for models in self._some(company)]
        columns = zip(*((each.values, each.errors, each.healthy) for each in parts), strict=True)
        return Arriving(*(torch.cat(own) for own in columns))

    def _scores(self, models: Models, folds: Sequence[int], with_errors: bool) -> Scores:
        values: list[Tensor] = []
        members, device = models.shape[1], models.weights.device
        errors = torch.full((members,), torch.nan, dtype=torch.float64)
        healthy = torch.ones(members, dtype=torch.bool, device=device)
        for own, number in zip(self._logits(models, folds), folds, strict=True):
            own = own[..., : len(self.targets[number])].transpose(1, 2)  # (P, m, outputs)
            some = own.split(max(1, SCORED_FLOATS // max(1, own[0].numel())))
            healthy &= torch.cat([finite(each) for each in some])
            values.append(torch.cat([self._score(each, number) for each in some]))
            if with_errors and len(self.targets) == 1:
                errors = torch.cat([self._bootstrap_errors(each, number) for each in some])
        return Scores(torch.stack(values, 1), errors, healthy)

    def _score(self, logits: Tensor, number: int) -> Tensor:
        spec, targets, weights = self.problem.spec, self.targets[number], self.weights[number]
        own, kind = self._own_units(logits, number), self._own_kind(number)
        return score(spec.objective, own, targets, kind, weights)

    def finite(self, company: Company) -> Tensor:
        """Return which members (P,) have finite logits for all validation rows of their folds."""
        return torch.cat([self._finite(own, company.folds) for own in self._some(company)]).cpu()

    def _finite(self, models: Models, folds: Sequence[int]) -> Tensor:
        pairs = zip(self._logits(models, folds), folds, strict=True)
        counted = [(own, len(self.targets[number])) for own, number in pairs]
        return torch.stack([finite(own[..., :count]) for own, count in counted]).all(0)

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
        seed, logits = derived_seed(spec.seed, "bootstrap"), self._own_units(logits, number)
        drawn = resampled_weights(
            len(targets), fold.valid_groups, seed, REPLICATES, fold.valid_weights
        )
        return bootstrap_error(spec.objective, logits, targets, drawn, self._own_kind(number))

    def _some(self, company: Company) -> Iterator[Models]:
        """Yield the members' models, so many at a time that their logits are not too many."""
        whole = Models(company.weights, company.buffers)
        rows, count = len(company.folds) * self._longest * self.problem.outputs, whole.shape[1]
        at_once = max(1, LOGITS_FLOATS // rows)
        if count <= at_once:
            yield whole
            return
        places = torch.arange(count, device=company.weights.device)
        yield from (whole.keep(index) for index in places.split(at_once))

    def _logits(self, models: Models, folds: Sequence[int]) -> Tensor:
        """Return (F, P, outputs, m), folds padded to equal length."""
        blocks: list[Tensor] = []
        for block in self._blocks(folds):
            heed()
            blocks.append(self.backend.logits(models, block))
        return torch.cat(blocks, dim=-1)

    def _resident(self) -> Tensor | None:
        """Return the validation rows (F, m, d) on the device; None where they stay elsewhere."""
        problem = self.problem
        own = [fold.valid_inputs for fold in problem.folds]
        in_file = any(isinstance(rows, LazyRows) and rows.in_file for rows in own)
        needed = sum(rows.numel() for rows in own) * problem.dtype.itemsize
        if in_file or not fits_device(needed, problem.device):
            return None
        shape = (len(own), self._longest, problem.inputs)
        inputs = torch.zeros(shape, dtype=problem.dtype, device=problem.device)
        for padded, rows in zip(inputs, own, strict=True):
            padded[: len(rows)] = rows[:]
        return inputs

    def _blocks(self, folds: Sequence[int]) -> Iterator[Tensor]:
        """Yield the validation rows of these folds, (F, B, d) block after block."""
        if self._inputs is not None:
            yield from self._inputs[slice_of(folds)].split(ROWS_AT_ONCE, dim=1)
            return
        problem = self.problem
        for start in range(0, self._longest, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, self._longest - start)
            block = torch.zeros(len(folds), rows, problem.inputs, dtype=problem.dtype)
            for padded, number in zip(block, folds, strict=True):
                own = problem.folds[number].valid_inputs[start : start + rows]
                padded[: len(own)] = own
            yield block.to(problem.device)
