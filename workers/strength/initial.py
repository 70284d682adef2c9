"""The adaptive lasso's weights of inputs on any rows: they are part of what λ_max depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from ridgeway.spec.spec import JobSpec
from workers.data.folds import Fold
from workers.fullbatch.initial import adaptive_weights
from workers.fullbatch.rows import LinearFit
from workers.fullbatch.stand_in import training_rows
from workers.kernels import Library, load
from workers.models.by_input import ByInput
from workers.objectives.losses import kind_of
from workers.optimizers.precision import dtype_of


def initial_weights(spec: JobSpec, rows: Fold, outputs: int, own: ByInput) -> Tensor:
    """Return the weights (d,) float64 that a solver's own initial fit of these rows gives."""
    kind, dtype = kind_of(spec, outputs), dtype_of(spec)
    bounds = own.scaled_bounds(rows.input_scales, rows.linear_units(kind)[1])
    fit = LinearFit(
        [training_rows(spec, rows, kind)],
        kind,
        outputs,
        dtype,
        torch.device("cpu"),
        spec.group_by,
        spec.penalize,
        own.factors,
        own.groups,
        None if bounds is None else bounds[None],
    )
    library = load(dtype)
    usable = library if isinstance(library, Library) and bounds is None else None
    return adaptive_weights(fit, usable)[0]
