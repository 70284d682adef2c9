"""What training a population gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class TrainedModels:
    """The models of P members on F folds, as training left them.

    nonzero_weights (P, F): penalised weights that are not exactly zero, of `weights` in one model.
    diverged_at (P,): epoch, counted from 1; 0 for members that did not diverge.
    settled (P,): the support stayed the same for 20 steps; True for penalties that set no zeros.
    notes: what the job should warn of.
    """

    nonzero_weights: np.ndarray
    weights: int
    diverged_at: np.ndarray
    settled: np.ndarray
    notes: tuple[str, ...]
    states: Mapping[str, Tensor] = field(repr=False)  # parameters and buffers, (P, F, ...)

    def parameters(self, member: int, fold: int) -> dict[str, Tensor]:
        """Parameters and buffers of one trained model; all zeros where the member diverged."""
        return {name: value[member, fold].clone() for name, value in self.states.items()}


@dataclass(frozen=True, kw_only=True)
class PopulationResult(TrainedModels):
    """What P members reached on F folds after E epochs.

    curves (P, E): mean over folds of the objective after each epoch, NaN from divergence on; the
    last point is the value. values (P,), fold_values (P, F), standard_errors (P,).
    updates: steps that each model took, settling left out.
    """

    curves: np.ndarray
    values: np.ndarray
    fold_values: np.ndarray
    standard_errors: np.ndarray
    epochs: int
    updates: int
