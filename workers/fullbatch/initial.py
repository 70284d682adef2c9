"""The initial fit of the adaptive lasso (Zou 2006): how strongly each input is penalised.

A ridge on the rows of a fold, of the strength that is best where inputs explain half of what there
is to explain and each as much as the others: (features / rows) times half of the loss's second
derivative, 1 for squared errors. It falls as 1 / rows, so that the estimate's bias vanishes as Zou
needs, and it exists where there are more inputs than rows (docs/decisions/adaptive.md).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from workers.fullbatch.exact import Exact, exact_folds
from workers.fullbatch.fista import Fista
from workers.fullbatch.links import link_of
from workers.fullbatch.rows import LinearFit, TrainingRows
from workers.fullbatch.terms import Strengths
from workers.kernels import Library
from workers.penalties.components import Components

ROUNDS = 60  # of batched steps, for what the exact solver leaves over
FLOOR = 1e-4  # of the largest initial weight: inputs below it are penalised as if they had it


def at_optimum(fit: LinearFit, strengths: Strengths, library: Library | None) -> Exact | Fista:
    """Return members at their optimum, or where ROUNDS rounds have brought them.

    library: None to solve them side by side, as bounds need.
    """
    solver: Exact | Fista
    if library is None:
        solver = Fista(fit, strengths)
    else:
        solver = Exact(fit, strengths, exact_folds(fit, library))
    for _ in range(ROUNDS):
        if not solver.active.any():
            break
        solver.advance()
    return solver


def adaptive_weights(fit: LinearFit, library: Library | None) -> Tensor:
    """Return a (F, d) float64: the largest initial weight over each input's own, 1 to 1 / FLOOR.

    By fold, from the rows that it trains on alone; of several outputs an input's weight is their
    root mean square. Factors, bounds, and row weights of the fit hold for the initial one too.
    """
    return torch.stack([_of_fold(fit, place, library) for place in range(len(fit.folds))])


def _of_fold(fit: LinearFit, place: int, library: Library | None) -> Tensor:
    bounds = None if fit.bounds is None else fit.bounds[place : place + 1]
    alone = replace(fit, folds=[fit.folds[place]], bounds=bounds)
    strength = _ridge(alone, fit.folds[place])
    solver = at_optimum(alone, Strengths.of([Components(l2=strength)]), library)
    sizes = solver.weights[0, 0].double().square().mean(0).sqrt().cpu()
    largest = sizes.max()
    if not 0 < largest < torch.inf:  # the rows tell nothing
        return torch.ones_like(sizes)
    return largest / sizes.clamp_min(FLOOR * largest)


def _ridge(fit: LinearFit, rows: TrainingRows) -> float:
    """Return the strength of the initial ridge; rows count by Kish's effective number of them."""
    count, features = rows.inputs.shape
    if rows.weights is not None:
        own = rows.weights.double()
        count = (own.sum().square() / own.square().sum()).item()
    return features / count * link_of(fit.kind).bound / 2
