"""P members trained as one torch program: on every fold to be scored, or on one to be used."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TypedDict, TypeVar

import numpy as np
import torch
from torch import Tensor

from ridgeway.spec import JobSpec
from workers.batches import Minibatches
from workers.chunks import Chunk, alive_only
from workers.configurations import Configuration
from workers.datasets import Fold
from workers.ledgers import Ledger, ScoredLedger
from workers.models import predict
from workers.results import PopulationResult, TrainedModels
from workers.training import SETTLING_STEPS, UNCHANGED_STEPS, Trainer

__all__ = [
    "PopulationResult",
    "TrainedModels",
    "predict",
    "refit_population",
    "train_population",
]


def train_population(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    folds: Sequence[Fold],
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
) -> PopulationResult:
    """Train every configuration on every fold. A member is bitwise the same in any company.

    on_epoch(done, of) is called after each epoch; what it raises ends the training. Where members
    don't fit into memory together they train in parts, and `of` counts the epochs of all parts.
    JobUnrunnable where the model can't be built or trained.
    """
    with _own_generators(device):
        trainer = Trainer(spec, folds, outputs, seed, device, dtype)
        return _scored(trainer, _trained(trainer, configurations, ScoredLedger, on_epoch))


def refit_population(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    fold: Fold,
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype | None = None,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
) -> TrainedModels:
    """Train every configuration on one fold without scoring any: bitwise train_population's models.

    Divergence shows in the training loss, and at the end in logits for the fold's validation rows
    that are not finite. on_epoch and JobUnrunnable as in train_population.
    """
    with _own_generators(device):
        trainer = Trainer(spec, [fold], outputs, seed, device, dtype)
        return TrainedModels(
            **_models(trainer, _trained(trainer, configurations, Ledger, on_epoch))
        )


def _own_generators(device: torch.device) -> AbstractContextManager[None]:
    """Seeds set inside are undone outside."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


L = TypeVar("L", bound=Ledger)


def _trained(
    trainer: Trainer,
    configurations: Sequence[Configuration],
    new_ledger: Callable[[Trainer, int], L],
    on_epoch: Callable[[int, int], None],
) -> list[L]:
    """The parts of a population that fit into memory, trained one after the other."""
    parts = trainer.parts(len(configurations))
    ledgers: list[L] = []
    for number, part in enumerate(parts):
        members = [configurations[member] for member in part]

        def progress(epoch: int, epochs: int, before: int = number) -> None:
            on_epoch(before * epochs + epoch, len(parts) * epochs)

        ledger = new_ledger(trainer, len(members))
        _train_part(trainer, members, ledger, progress)
        ledgers.append(ledger)
    return ledgers


def _train_part(
    trainer: Trainer,
    configurations: Sequence[Configuration],
    ledger: Ledger,
    on_epoch: Callable[[int, int], None],
) -> None:
    spec = trainer.spec
    minibatches = Minibatches(trainer.fold_rows, spec.batch_size, trainer.seed, trainer.device)
    chunks = trainer.chunks(configurations, minibatches.width)
    for epoch in range(1, spec.epochs + 1):
        batches = minibatches.epoch()
        for chunk in chunks:
            healthy = trainer.train_epoch(chunk, batches)
            ledger.note_health(chunk, healthy.cpu(), epoch)
            ledger.judge_epoch(chunk, epoch)
        chunks = alive_only(chunks, ledger.alive.tolist())
        on_epoch(epoch, spec.epochs)
    for chunk in chunks:
        _finish(trainer, chunk, ledger, minibatches.steps)
    ledger.erase_diverged()


def _finish(trainer: Trainer, chunk: Chunk, ledger: Ledger, steps_per_epoch: int) -> None:
    """Settle the members that set zeros, and note what all of them end with."""
    sparse = chunk.settles
    ended: list[tuple[Chunk, bool]] = []
    if any(sparse):
        ended += trainer.settle(chunk.keep(sparse), steps_per_epoch)
    if not all(sparse):
        ended.append((chunk.keep([not member for member in sparse]), True))
    for part, settled in ended:
        ledger.judge_end(part)
        ledger.note_weights(part)
        ledger.settled[list(part.members)] &= settled


# --- results ----------------------------------------------------------------------------------


class _Models(TypedDict):
    nonzero_weights: np.ndarray
    weights: int
    diverged_at: np.ndarray
    settled: np.ndarray
    notes: tuple[str, ...]
    states: Mapping[str, Tensor]


def _models(trainer: Trainer, parts: Sequence[Ledger]) -> _Models:
    """The fields of TrainedModels, parts laid end to end."""
    settled = np.concatenate([part.settled for part in parts])
    alive = np.concatenate([part.alive for part in parts])
    notes = list(trainer.notes)
    if not settled[alive].all():
        notes.append(_settling_note(trainer))
    return {
        "nonzero_weights": np.concatenate([part.nonzero for part in parts]),
        "weights": trainer.layout.weights,
        "diverged_at": np.concatenate([part.diverged_at for part in parts]),
        "settled": settled,
        "notes": tuple(notes),
        "states": {
            name: torch.cat([part.states[name] for part in parts]) for name in parts[0].states
        },
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


def _scored(trainer: Trainer, parts: Sequence[ScoredLedger]) -> PopulationResult:
    fold_curves = np.concatenate([part.fold_curves for part in parts])
    fold_values = fold_curves[:, :, -1]
    folds, spec = fold_values.shape[1], trainer.spec
    errors = np.concatenate([part.standard_errors for part in parts])
    if folds > 1:
        errors = fold_values.std(axis=1, ddof=1) / np.sqrt(folds)
    return PopulationResult(
        **_models(trainer, parts),
        curves=fold_curves.mean(axis=1),
        values=fold_values.mean(axis=1),
        fold_values=fold_values,
        standard_errors=errors,
        epochs=spec.epochs,
        updates=spec.epochs * math.ceil(max(trainer.fold_rows) / spec.batch_size),
    )
