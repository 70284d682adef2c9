"""What the answer says of each feature: weight, rank, folds that use it, halves, importance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ridgeway.answers import Choice, Interval
from ridgeway.features import Feature, Features
from ridgeway.spec.models import LinearModel, MlpModel
from ridgeway.spec.spec import JobSpec
from workers.answer.choice import Refit
from workers.answer.columns import Units, column_norms
from workers.answer.comparing import percentile_interval
from workers.answer.sealed import SealedTest
from workers.answer.stability import Selections, selections
from workers.answer.training import Training
from workers.data.folds import Fold
from workers.data.mapped import Rows
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.models.building import RowSource, predict
from workers.objectives.losses import kind_of, response_losses
from workers.objectives.metrics import resampled_units
from workers.penalties.penalties import PENALTIES
from workers.population.configuration import Configuration
from workers.population.problem import SETTLING_SHARE

MOST_SHUFFLED = 100  # features, those with the largest norms, whose importance is worked out
NUMBERS = 5e7  # inputs that shuffled rows have in all
SHUFFLES = 10
REPLICATES = 1000


@dataclass(frozen=True)
class Usage:
    """Where a member uses each source column: shares of the job's folds, and of halves."""

    folds: Mapping[str, float]
    selections: Selections | None


def usage(member: Configuration, prepared: Prepared, training: Training) -> Usage | None:
    """Train the member on folds and halves; None where its first layer isn't known, or fails."""
    if not isinstance(prepared.spec.model, LinearModel | MlpModel):
        return None
    problem = replace(training.problem, settling_share=SETTLING_SHARE)
    found = training.train(problem, [member])
    del problem  # with its solver: those of the halves need the memory
    if found is None or found.diverged_at[0]:
        return None
    names = list(dict.fromkeys(prepared.source_columns))
    used = dict.fromkeys(names, 0.0)
    folds = len(prepared.folds)
    for fold in range(folds):
        for name, norm in column_norms(found.parameters(0, fold), prepared).items():
            used[name] += (norm > 0) / folds
    return Usage(used, selections(member, prepared, training))


def described_features(
    choice: Choice, refit: Refit, own: Usage, sealed: SealedTest, prepared: Prepared
) -> Features:
    """Return what the answer says of the refit's features, the largest first."""
    parameters = refit.model.parameters
    norms = column_norms(parameters, prepared)
    ordered = sorted(norms, key=lambda name: -norms[name])
    shuffled = [name for name in ordered if norms[name] > 0][:MOST_SHUFFLED]
    shuffles = _shuffles(len(sealed.fold.valid_targets) * prepared.inputs * len(shuffled))
    worth = importances(shuffled, shuffles, parameters, sealed.fold, prepared)
    weights = _weights(parameters, prepared)
    sparse = PENALTIES[Configuration.from_params(prepared.spec, refit.trial.params).penalty].sparse
    return Features(
        choice=choice,
        trial=refit.trial.number,
        settled=refit.model.settled if sparse else None,
        permutations=shuffles,
        left_out=sum(norm > 0 for norm in norms.values()) - len(shuffled),
        stability=None if own.selections is None else own.selections.described(),
        features=[
            Feature(
                name=name,
                rank=place + 1,
                norm=norms[name],
                coefficients=None if weights is None else weights[name],
                sign=None if weights is None else _sign(weights[name]),
                used=norms[name] > 0,
                folds=own.folds[name],
                frequency=None if own.selections is None else own.selections.frequency(name),
                importance=worth[name][0] if name in worth else 0.0 if not norms[name] else None,
                importance_interval=worth[name][1] if name in worth else None,
            )
            for place, name in enumerate(ordered)
        ],
    )


# --- pieces -----------------------------------------------------------------------------------


def _weights(
    parameters: Mapping[str, Tensor], prepared: Prepared
) -> dict[str, dict[str, list[float]]] | None:
    """Return a linear model's coefficients in the table's units, by source and encoded column."""
    if not isinstance(prepared.spec.model, LinearModel):
        return None
    weights, _ = Units.of(prepared).coefficients(parameters)
    found: dict[str, dict[str, list[float]]] = {name: {} for name in prepared.source_columns}
    for place, source in enumerate(prepared.source_columns):
        found[source][prepared.features[place]] = weights[:, place].tolist()
    return found


def _sign(weights: dict[str, list[float]]) -> int | None:
    values = [value for own in weights.values() for value in own]
    return int(np.sign(values[0])) if len(values) == 1 else None


def _shuffles(numbers: int) -> int:
    return int(min(SHUFFLES, max(1, NUMBERS // max(1, numbers))))


def importances(
    names: list[str],
    shuffles: int,
    parameters: Mapping[str, Tensor],
    fold: Fold,
    prepared: Prepared,
) -> dict[str, tuple[float, Interval | None]]:
    """Return by how much the loss of the fold's validation rows rises when a column is shuffled.

    All inputs that come from a column move together. The interval is of the mean over rows, by
    resampled rows or groups; the loss is that of training, a regression's in its own units.
    """
    spec, outputs, inputs = prepared.spec, prepared.outputs, fold.valid_inputs
    before = _losses(spec, parameters, inputs, fold, outputs)
    generator = torch.Generator().manual_seed(derived_seed(spec.seed, "importance") % 2**63)
    orders = [torch.randperm(len(inputs), generator=generator) for _ in range(shuffles)]
    means: list[float] = []
    rises = _Rises(fold, derived_seed(spec.seed, "importance bootstrap") % 2**63)
    for name in names:
        places = [at for at, source in enumerate(prepared.source_columns) if source == name]
        total = torch.zeros_like(before)
        for order in orders:
            shuffled = _Shuffled(inputs, places, order)
            total += _losses(spec, parameters, shuffled, fold, outputs) - before
        means.append(rises.add(total / shuffles))
    return dict(zip(names, zip(means, rises.intervals(), strict=True), strict=True))


@dataclass(frozen=True, eq=False)
class _Shuffled:
    """Rows with some columns taken from other rows, in the order that these come in (n,)."""

    rows: Rows
    columns: list[int]
    order: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows.shape

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: slice) -> Tensor:
        found = self.rows[index].clone()
        found[:, self.columns] = self.rows[self.order[index]][:, self.columns]
        return found


def _losses(
    spec: JobSpec, parameters: Mapping[str, Tensor], inputs: RowSource, fold: Fold, outputs: int
) -> Tensor:
    logits = predict(spec, parameters, inputs, outputs).double().cpu()
    kind = kind_of(spec, outputs)
    return response_losses(fold.own_kind(kind), fold.response(kind, logits), fold.valid_targets)


class _Rises:
    """What one column after the other does to the loss of a fold's rows.

    Kept are sums over the units that a bootstrap draws: numbers of every row and column would be
    several gigabytes where rows are many.
    """

    def __init__(self, fold: Fold, seed: int) -> None:
        rows = len(fold.valid_targets)
        self._weights = fold.valid_weights
        self._unit, self._drawn = resampled_units(rows, fold.valid_groups, seed, REPLICATES)
        ones = torch.ones(rows, dtype=torch.float64)
        self._sizes = self._unit.bincount(ones if self._weights is None else self._weights)
        self._sums: list[Tensor] = []  # (units,) of each column

    def add(self, rise: Tensor) -> float:
        """Take the rise of each row's loss (rows,) float64; return its mean."""
        weighted = rise if self._weights is None else rise * self._weights
        sums = torch.zeros(len(self._sizes), dtype=torch.float64)
        self._sums.append(sums.index_add_(0, self._unit, weighted))
        return float(weighted.mean())

    def intervals(self) -> list[Interval | None]:
        """Return the interval of the mean rise, of each column; may be called once."""
        if not self._sums:
            return []
        sums = torch.stack(self._sums, 1)  # (units, columns)
        drawn = [counts @ sums / (counts @ self._sizes)[:, None] for counts in self._drawn]
        return [percentile_interval(own.numpy(), 0.95) for own in torch.cat(drawn).T]
