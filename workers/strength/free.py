"""Linear models of the inputs that no penalty holds: what λ_max leaves in a model."""

from __future__ import annotations

import torch
from torch import Tensor

from ridgeway.spec.space import quantile
from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.fullbatch.initial import at_optimum
from workers.fullbatch.links import link_of
from workers.fullbatch.paths import BEYOND, Wanted
from workers.fullbatch.quantile import QuantileFold
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library, load
from workers.models.by_input import ByInput
from workers.objectives.losses import kind_of, row_weights
from workers.penalties.components import Components


def middle_smoothing(spec: JobSpec) -> float:
    """Return the job's label smoothing; where that is searched, the middle of its range."""
    searched = spec.search.label_smoothing
    return spec.label_smoothing if searched is None else quantile(searched, 0.5)


def fitted_by_free(spec: JobSpec, rows: Fold, outputs: int, own: ByInput) -> Tensor:
    """Return what the model of inputs of factor 0 alone predicts of the rows, (n, outputs).

    Probabilities, numbers or expectations, at the optimum. The intercept is zero where it is
    penalised.
    """
    fit, strength = _fit_by_free(spec, rows, outputs, own)
    strengths = Strengths.of([Components(l1=strength)], [middle_smoothing(spec)])
    library = load(torch.float64)
    usable = library if isinstance(library, Library) and fit.bounds is None else None
    solver, (training,) = at_optimum(fit, strengths, usable), fit.folds
    logits = training.inputs[:] @ solver.weights[0, 0].T + solver.intercepts[0, 0]
    return link_of(fit.kind).predict(logits.T).T


def pinball_by_free(spec: JobSpec, rows: Fold, outputs: int, own: ByInput) -> Tensor:
    """Return the slopes (n, 1) of the rows' pinball losses at the same model's optimum.

    They are those of the solution, which balance on the rows that lie on the kink.
    """
    fit, strength = _fit_by_free(spec, rows, outputs, own)
    return QuantileFold(fit, 0).slopes(Wanted(Components(l1=strength)))[:, None]


def _fit_by_free(spec: JobSpec, rows: Fold, outputs: int, own: ByInput) -> tuple[LinearFit, float]:
    """Return the fit of the inputs that no penalty holds, and the strength that is the rest's."""
    assert own.factors is not None
    free, kind = own.factors == 0, kind_of(spec, outputs)
    inputs, targets = rows.train_inputs[:, free][:].double(), rows.train_targets
    bounds = own.scaled_bounds(rows.input_scales, rows.linear_units(kind)[1])
    fit = LinearFit(
        [TrainingRows(inputs, targets, row_weights(spec, targets, rows.train_weights))],
        kind,
        outputs,
        torch.float64,
        torch.device("cpu"),
        penalize=spec.penalize,
        factors=torch.zeros(inputs.shape[1], dtype=torch.float64),
        bounds=None if bounds is None else bounds[None, :, free],
    )
    return fit, BEYOND if spec.penalize == "all" else 0.0  # of the intercept alone
