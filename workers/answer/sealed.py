"""The sealed test set: opened once, when every choice is made and every model trained."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ridgeway.answers import Interval, SealedScores
from ridgeway.spec.directions import as_loss
from ridgeway.spec.names import SHOWN_FOR_LOSS, Objective, objectives_of
from ridgeway.spec.spec import JobSpec
from workers.answer.comparing import percentile_interval
from workers.data.folds import Fold
from workers.data.prepare import Prepared
from workers.data.seeds import derived_seed
from workers.data.weights import effective_rows
from workers.models.building import predict
from workers.objectives.constant import constant_logits
from workers.objectives.losses import Kind, kind_of
from workers.objectives.metrics import resampled_weights, score, weighted_score
from workers.population.results import TrainedModel

REPLICATES = 2000  # of a bootstrap over sealed rows
NUMBERS = 1e8  # of rows in all of them, where rows are many; 200 replicates at least
BASELINE = "baseline"


@dataclass(frozen=True)
class SealedTest:
    """The sealed rows, and what each model of the answer predicts for them.

    logits: (rows, outputs) by role, the constant's included, a regression's in its own units.
    """

    spec: JobSpec
    fold: Fold
    logits: Mapping[str, Tensor]

    @classmethod
    def opened(
        cls, prepared: Prepared, models: Mapping[str, tuple[JobSpec, Mapping[str, Tensor]]]
    ) -> SealedTest:
        """Open the seal and predict. models: spec and parameters by role, of those that exist."""
        fold, outputs = prepared.sealed(), prepared.outputs
        given = {
            role: predict(spec, parameters, fold.valid_inputs, outputs).double().cpu()
            for role, (spec, parameters) in models.items()
        }
        rows = len(fold.valid_targets)
        constant = constant_logits(fold.train_targets, outputs, fold.train_weights)
        given[BASELINE] = constant.expand(rows, -1)
        kind = kind_of(prepared.spec, outputs)
        own_units = {role: fold.response(kind, logits) for role, logits in given.items()}
        return cls(prepared.spec, fold, own_units)

    @property
    def rows(self) -> int:
        """The number of sealed rows."""
        return len(self.fold.valid_targets)

    @property
    def effective_rows(self) -> int:
        """The number of rows, or of rows of one weight that would tell as much as these."""
        weights = self.fold.valid_weights
        return self.rows if weights is None else effective_rows(weights.numpy())

    @property
    def units(self) -> int:
        """The number of rows, or of groups of rows, that are resampled; groups by their weights."""
        groups, weights = self.fold.valid_groups, self.fold.valid_weights
        if groups is None:
            return self.rows
        _, place = groups.unique(return_inverse=True)
        sums = place.bincount(weights).double()
        return len(sums) if weights is None else effective_rows(sums.numpy())

    def value(self, role: str, metric: Objective) -> float | None:
        """Score a role; None where its refit diverged."""
        if role not in self.logits:
            return None
        value = self._score(metric, self.logits[role])
        return value if math.isfinite(value) else None

    def interval(self, role: str, metric: Objective) -> Interval | None:
        """Return the 95 % interval of a role's score over resampled rows or groups."""
        if role not in self.logits:
            return None
        return percentile_interval(self._replicates[metric][role].numpy(), 0.95)

    def difference(self, role: str, rival: str) -> tuple[float, Interval] | None:
        """Return by how much a role is better than a rival in the objective, and its interval.

        98 %, by rows or groups drawn for both at once. None where a model is missing.
        """
        metric, maximise = self.spec.objective, self.spec.maximise
        own, its = self.value(role, metric), self.value(rival, metric)
        if own is None or its is None:
            return None
        replicates = self._replicates[metric]
        apart = as_loss(replicates[rival] - replicates[role], maximise)
        interval = percentile_interval(apart.numpy(), 0.98)
        return None if interval is None else (as_loss(its - own, maximise), interval)

    def scores(self, recommended: str) -> SealedScores:
        """Return the scores of every role as the answer shows them."""
        metric = sealed_metric(self.spec)
        return SealedScores(
            evaluations=1,
            metric=metric,
            rows=self.rows,
            simplest=self.value("simplest", metric),
            best=self.value("best", metric),
            none=self.value("none", metric),
            linear=self.value("linear", metric),
            baseline=self.value(BASELINE, metric),
            interval=self.interval(recommended, metric),
            loss={role: self.value(role, "loss") for role in self.logits},
            metrics={role: self._metrics(role) for role in self.logits},
        )

    def losses(self, models: Sequence[TrainedModel]) -> list[float]:
        """Return the loss of each model that did not diverge, of one that is in the answer."""
        outputs = next(iter(self.logits.values())).shape[-1]
        losses: list[float] = []
        for model in models:
            if model.diverged_at:
                continue
            logits = predict(self.spec, model.parameters, self.fold.valid_inputs, outputs)
            own = self.fold.response(kind_of(self.spec, outputs), logits.double().cpu())
            losses.append(self._score("loss", own))
        return losses

    # --- pieces -------------------------------------------------------------------------------

    @property
    def _targets(self) -> Tensor:
        return self.fold.valid_targets

    @property
    def _kind(self) -> Kind:
        """The loss of the logits, in the target's own units."""
        outputs = next(iter(self.logits.values())).shape[-1]
        return self.fold.own_kind(kind_of(self.spec, outputs))

    def _score(self, metric: Objective, logits: Tensor) -> float:
        weights = self.fold.valid_weights
        return float(score(metric, logits[None], self._targets, self._kind, weights)[0])

    def _mean(self, rows: Tensor) -> float:
        weights = self.fold.valid_weights
        return float((rows if weights is None else rows * weights).mean())

    @cached_property
    def _replicates(self) -> dict[Objective, dict[str, Tensor]]:
        """The objective and the metric shown, of every role on the same resampled rows: (R,)."""
        logits = torch.stack(list(self.logits.values()))
        seed = derived_seed(self.spec.seed, "sealed bootstrap")
        count = int(min(REPLICATES, max(200, NUMBERS / self.rows)))
        parts: dict[Objective, list[Tensor]] = {
            metric: [] for metric in (self.spec.objective, sealed_metric(self.spec))
        }
        # Drawing the rows takes longer than to score them: it is done once.
        fold = self.fold
        drawn = resampled_weights(self.rows, fold.valid_groups, seed, count, fold.valid_weights)
        for weights in drawn:
            for metric, own in parts.items():
                own.append(weighted_score(metric, logits, self._targets, weights, self._kind))
        return {
            metric: dict(zip(self.logits, torch.cat(own, dim=-1), strict=True))
            for metric, own in parts.items()
        }

    def _metrics(self, role: str) -> dict[str, float]:
        """Return every metric of the task that is a number here, by name."""
        task, logits = self.spec.task, self.logits[role]
        assert task is not None
        values = {str(name): self.value(role, name) for name in objectives_of(task)}
        if task == "regression":
            values["mae"] = self._mean((logits.squeeze(-1) - self._targets).abs())
        else:
            values["brier"] = self._mean(_squared_error_of_shares(logits, self._targets))
        return {
            name: value
            for name, value in values.items()
            if value is not None and math.isfinite(value)
        }


def _squared_error_of_shares(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the Brier score of each row, halved for more classes so that two agree with one."""
    if logits.shape[-1] == 1:
        return (logits.squeeze(-1).sigmoid() - targets).square()
    truth = torch.nn.functional.one_hot(targets, logits.shape[-1])
    return (logits.softmax(-1) - truth).square().sum(-1) / 2


def sealed_metric(spec: JobSpec) -> Objective:
    """Return what the sealed test set is scored by: the objective, or for a loss a plain score."""
    assert spec.task is not None, "a job's task is filled in before it trains"
    return SHOWN_FOR_LOSS[spec.task] if spec.objective == "loss" else spec.objective
