"""What training a population gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
from torch import Tensor

from workers.minibatch.trainer import SETTLING_STEPS, UNCHANGED_STEPS, Trainer
from workers.population.ledgers import Ledger, ScoredLedger, fold_means


@dataclass(frozen=True, kw_only=True)
class TrainedModels:
    """The models of P members on F folds, as training left them.

    nonzero_weights (P, F): penalised weights that are not exactly zero, of `weights` in one model.
    diverged_at (P,): epoch, counted from 1; 0 for members that did not diverge.
    settled (P,): the support stayed the same for 20 steps; True for penalties that set no zeros.
    converged (P,): by a solver's own residual; None where only a curve can tell.
    notes: what the job should warn of.
    """

    nonzero_weights: np.ndarray
    weights: int
    diverged_at: np.ndarray
    settled: np.ndarray
    converged: np.ndarray | None = None
    notes: tuple[str, ...]
    states: Mapping[str, Tensor] = field(repr=False)  # parameters and buffers, (P, F, ...)

    def parameters(self, member: int, fold: int) -> dict[str, Tensor]:
        """Parameters and buffers of one trained model; all zeros where the member diverged.

        A pruned member's are zeros too.
        """
        return {name: value[member, fold].clone() for name, value in self.states.items()}


@dataclass(frozen=True, kw_only=True)
class PopulationResult(TrainedModels):
    """What P members reached on F folds after E epochs.

    curves (P, E): mean over folds of the objective after each epoch, NaN from divergence on.
    values (P,), fold_values (P, F), standard_errors (P,). member_epochs (P,): what each member took
    of the epochs. value_epochs (P,): the epoch whose point of the curve is the value, of settled
    weights where the penalty is sparse; None where that is everybody's last. pruned_at (P,): epoch,
    0 for members that were not pruned; None where nobody was.
    updates: steps in so many epochs, settling left out.
    """

    curves: np.ndarray
    values: np.ndarray
    fold_values: np.ndarray
    standard_errors: np.ndarray
    epochs: int
    member_epochs: np.ndarray
    updates: int
    value_epochs: np.ndarray | None = None
    pruned_at: np.ndarray | None = None


class _Models(TypedDict):
    nonzero_weights: np.ndarray
    weights: int
    diverged_at: np.ndarray
    settled: np.ndarray
    notes: tuple[str, ...]
    states: Mapping[str, Tensor]


def models_of(trainer: Trainer, ledger: Ledger) -> TrainedModels:
    """What a ledger knows when all members have left."""
    return TrainedModels(**_models(trainer, ledger))


def result_of(trainer: Trainer, ledger: ScoredLedger) -> PopulationResult:
    """The same of members that were scored."""
    spec, folds = trainer.spec, len(trainer.folds)
    values, curves = fold_means(ledger.fold_values), ledger.curves(spec.epochs)
    errors = ledger.standard_errors
    if folds > 1:
        errors = ledger.fold_values.std(axis=1, ddof=1) / np.sqrt(folds)
    # Settling moved the weights after their epoch's point was taken.
    members = np.flatnonzero(ledger.alive)
    curves[members, ledger.value_epochs[members] - 1] = values[members]
    return PopulationResult(
        **_models(trainer, ledger),
        curves=curves,
        values=values,
        fold_values=ledger.fold_values,
        standard_errors=errors,
        epochs=spec.epochs,
        member_epochs=ledger.ended_at,
        updates=spec.epochs * math.ceil(max(trainer.fold_rows) / spec.batch_size),
        value_epochs=ledger.value_epochs,
        pruned_at=ledger.pruned_at,
    )


def _models(trainer: Trainer, ledger: Ledger) -> _Models:
    notes = [*trainer.notes, *ledger.notes]
    if not ledger.settled[ledger.whole].all():
        notes.append(_settling_note(trainer))
    return {
        "nonzero_weights": ledger.nonzero,
        "weights": trainer.layout.weights,
        "diverged_at": ledger.diverged_at,
        "settled": ledger.settled,
        "notes": tuple(notes),
        "states": ledger.states,
    }


def _settling_note(trainer: Trainer) -> str:
    """The same words whatever the number of members: a job tells each note once."""
    limit = trainer.settling_limit
    share = "a tenth of the training, here " if limit < SETTLING_STEPS else ""
    return (
        f"supports of some sparse members were not seen to stay the same for {UNCHANGED_STEPS} "
        f"steps (settling may take only {share}{limit} settling steps): their nonzero counts "
        "are taken as they were"
    )
