"""The plain linear model that a net has to beat: an L2 penalty, solved to the optimum."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ridgeway.jobs.plan import Engine
from ridgeway.spec.directions import as_loss
from ridgeway.spec.models import LinearModel
from ridgeway.spec.names import RIDGE
from ridgeway.spec.spec import JobSpec
from workers.answer.confirmation import Confirmed, confirm
from workers.answer.training import Training
from workers.data.prepare import Prepared
from workers.population.configuration import Configuration
from workers.population.results import TrainedModel

STRENGTHS = np.geomspace(1e-4, 10, 6)  # of Σ w² on standardised inputs
LARGEST = 5e8  # products of one curvature, beyond which it takes too long beside the search


@dataclass(frozen=True)
class Rival:
    """The linear model, its scores on the job's folds and on the confirmation's."""

    spec: JobSpec
    member: Configuration
    value: float
    standard_error: float
    model: TrainedModel
    confirmed: Confirmed | None


def linear_rival(prepared: Prepared, training: Training) -> Rival | None:
    """Choose a strength on the job's folds, refit, and confirm; None for jobs of linear models.

    None too where rows and columns are so many that it would take longer than the search.
    """
    spec = prepared.spec
    rows, weights = prepared.rows, prepared.inputs * prepared.outputs
    if isinstance(spec.model, LinearModel) or rows * min(rows, weights) * weights > LARGEST:
        return None
    own = _linear_spec(spec)
    problem = replace(training.problem, spec=own, engine=Engine(), sources=prepared.source_columns)
    members = [Configuration(RIDGE, float(strength), 0.0, 0.0, 0.0) for strength in STRENGTHS]
    found = training.train(replace(problem, folds=prepared.folds), members)
    if found is None or not np.isfinite(found.values).any():
        return None
    losses = as_loss(found.values, own.maximise)
    place = int(np.nanargmin(losses))
    member = members[place]
    models = training.refit(replace(problem, folds=[prepared.development()]), [member], None)
    confirmed = confirm([member], prepared, replace(training, problem=problem))
    return Rival(
        spec=own,
        member=member,
        value=float(found.values[place]),
        standard_error=float(found.standard_errors[place]),
        model=models.model(0),
        confirmed=confirmed,
    )


def _linear_spec(spec: JobSpec) -> JobSpec:
    """Return the same job with a linear model, without what only training in steps has."""
    of_data = ("dataset", "target", "groups", "weights", "drop", "task")
    of_splits = ("validation", "test_fraction")
    kept = (*of_data, *of_splits, "class_weights", "objective", "seed", "loss")
    fields = {name: getattr(spec, name) for name in kept}
    return JobSpec(**fields, model=LinearModel())
