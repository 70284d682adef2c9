"""Scores of the refits on the sealed test set."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from ridgeway.answers import SealedScores
from ridgeway.spec.names import SHOWN_FOR_LOSS, Objective
from ridgeway.spec.spec import JobSpec
from workers.answer.choice import Refit
from workers.data.prepare import Fold
from workers.models.building import predict
from workers.objectives.constant import constant_logits
from workers.objectives.metrics import score


def sealed_metric(spec: JobSpec) -> Objective:
    """Return what the sealed test set is scored by: the objective, or for a loss a plain score."""
    assert spec.task is not None, "a job's task is filled in before it trains"
    return SHOWN_FOR_LOSS[spec.task] if spec.objective == "loss" else spec.objective


def sealed_scores(
    spec: JobSpec, refits: Sequence[Refit], sealed: Fold, outputs: int
) -> SealedScores:
    """Score the refits that did not diverge, and the constant predictor, on the sealed rows."""
    metric = sealed_metric(spec)
    logits = {
        refit.role: _own_units(
            predict(spec, refit.model.parameters, sealed.valid_inputs, outputs), sealed
        )
        for refit in refits
        if not refit.model.diverged_at
    }

    def scores(by: Objective) -> dict[str, float | None]:
        return {
            str(role): _finite(score(by, given[None], sealed.valid_targets, spec.task))
            for role, given in logits.items()
        }

    by_role = scores(metric)
    return SealedScores(
        evaluations=1,
        metric=metric,
        rows=len(sealed.valid_targets),
        simplest=by_role.get("simplest"),
        best=by_role.get("best"),
        none=by_role.get("none"),
        baseline=constant_score(metric, sealed, outputs),
        loss={**scores("loss"), "baseline": constant_score("loss", sealed, outputs)},
    )


def constant_score(metric: Objective, sealed: Fold, outputs: int) -> float:
    """Score the constant predictor of the development rows on the sealed ones."""
    constant = _own_units(constant_logits(sealed.train_targets, outputs), sealed)
    rows = len(sealed.valid_targets)
    return float(score(metric, constant.expand(1, rows, outputs), sealed.valid_targets)[0])


def _own_units(predictions: Tensor, sealed: Fold) -> Tensor:
    """Return predictions of a standardised target in its own units; logits as they are."""
    return predictions * sealed.target_scale + sealed.target_mean


def _finite(values: Tensor) -> float | None:
    value = float(values[0])
    return value if math.isfinite(value) else None
