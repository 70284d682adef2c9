"""P members trained as one torch program on every fold: `train_population`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ridgeway.spec import JobSpec
from workers.batches import Minibatches
from workers.chunks import Chunk, Configuration
from workers.datasets import Fold
from workers.layout import Layout
from workers.models import predict
from workers.training import Scores, Trainer

__all__ = ["Configuration", "PopulationResult", "predict", "train_population"]


@dataclass(frozen=True)
class PopulationResult:
    """What P members reached on F folds after E epochs.

    curves (P, E): mean over folds of the objective after each epoch, NaN from divergence on; the
    last point is the value. values (P,), fold_values (P, F), standard_errors (P,).
    updates: steps that each model took, settling left out.
    nonzero_weights (P, F): penalised weights that are not exactly zero, of `weights` in one model.
    diverged_at (P,): epoch, counted from 1; 0 for members that did not diverge.
    settled (P,): the support stayed the same for 20 steps; True for penalties that set no zeros.
    notes: what the job should warn of.
    """

    curves: np.ndarray
    values: np.ndarray
    fold_values: np.ndarray
    standard_errors: np.ndarray
    nonzero_weights: np.ndarray
    weights: int
    epochs: int
    updates: int
    diverged_at: np.ndarray
    settled: np.ndarray
    notes: tuple[str, ...]
    states: Mapping[str, Tensor] = field(repr=False)  # parameters and buffers, (P, F, ...)

    def parameters(self, member: int, fold: int) -> dict[str, Tensor]:
        """State dict of one trained model; all zeros where the member diverged."""
        return {name: value[member, fold].clone() for name, value in self.states.items()}


def train_population(
    spec: JobSpec,
    configurations: Sequence[Configuration],
    folds: Sequence[Fold],
    outputs: int,
    *,
    seed: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    on_epoch: Callable[[int, int], None] = lambda epoch, epochs: None,
) -> PopulationResult:
    """Train every configuration on every fold. A member is bitwise the same in any company.

    on_epoch(done, of) is called after each epoch; what it raises ends the training. Where members
    don't fit into memory together they train in parts, and `of` counts the epochs of all parts.
    JobUnrunnable where the model can't be built or trained.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        trainer = Trainer(spec, folds, outputs, seed, device, dtype)
        parts = trainer.parts(len(configurations))
        results: list[PopulationResult] = []
        for number, part in enumerate(parts):
            members = [configurations[member] for member in part]

            def progress(epoch: int, epochs: int, before: int = number) -> None:
                on_epoch(before * epochs + epoch, len(parts) * epochs)

            results.append(_train_part(trainer, members, progress))
    return results[0] if len(results) == 1 else _joined(results)


class _Ledger:
    """What is known of a population's members, filled in as they go."""

    def __init__(self, trainer: Trainer, members: int) -> None:
        folds, epochs, layout = len(trainer.folds), trainer.spec.epochs, trainer.layout
        self.fold_curves = np.full((members, folds, epochs), np.nan)
        self.standard_errors = np.full(members, np.nan)
        self.diverged_at = np.zeros(members, dtype=np.int64)
        self.settled = np.ones(members, dtype=bool)
        self.nonzero = np.zeros((members, folds), dtype=np.int64)
        self.states = {
            name: value.unsqueeze(0).repeat(members, *[1] * value.dim()).cpu()
            for name, value in _named(trainer, layout).items()
        }

    @property
    def alive(self) -> np.ndarray:
        """Which members have not diverged: (P,)."""
        return self.diverged_at == 0

    def note_scores(self, chunk: Chunk, scores: Scores, epoch: int) -> None:
        members, folds = list(chunk.members), list(chunk.folds)
        self.fold_curves[np.ix_(members, folds, [epoch - 1])] = scores.values.numpy()[..., None]

    def note_health(self, chunk: Chunk, healthy: Tensor, epoch: int) -> None:
        for member, well in zip(chunk.members, healthy.tolist(), strict=True):
            if not well and self.diverged_at[member] == 0:
                self.diverged_at[member] = epoch

    def note_weights(self, chunk: Chunk, layout: Layout) -> None:
        place = np.ix_(chunk.members, chunk.folds)
        by_member = chunk.weights.transpose(0, 1)  # (P, F, columns)
        self.nonzero[place] = layout.nonzero(by_member).cpu().numpy()
        shape = (len(chunk.folds), len(chunk.members))
        named = {name: rows.transpose(0, 1) for name, rows in layout.views(chunk.weights).items()}
        for name, rows in chunk.buffers.items():
            named[name] = rows.unflatten(0, shape).transpose(0, 1)
        index = (torch.tensor(chunk.members)[:, None], torch.tensor(chunk.folds)[None])
        for name, value in named.items():
            self.states[name][index] = value.cpu()

    def erase_diverged(self) -> None:
        """A diverged member keeps its curve up to its last whole epoch, and nothing else."""
        for member in np.flatnonzero(~self.alive):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            self.standard_errors[member] = np.nan
            self.nonzero[member] = 0
            self.settled[member] = False
            for value in self.states.values():
                value[member] = 0


def _named(trainer: Trainer, layout: Layout) -> dict[str, Tensor]:
    return {**layout.views(trainer.initial), **trainer.initial_buffers}


def _train_part(
    trainer: Trainer,
    configurations: Sequence[Configuration],
    on_epoch: Callable[[int, int], None],
) -> PopulationResult:
    spec = trainer.spec
    ledger = _Ledger(trainer, len(configurations))
    minibatches = Minibatches(trainer.fold_rows, spec.batch_size, trainer.seed, trainer.device)
    chunks = trainer.chunks(configurations, minibatches.width)
    for epoch in range(1, spec.epochs + 1):
        batches = minibatches.epoch()
        for chunk in chunks:
            healthy = trainer.train_epoch(chunk, batches, (epoch - 1) * minibatches.steps)
            scores = trainer.evaluate(chunk, with_errors=False)
            ledger.note_scores(chunk, scores, epoch)
            ledger.note_health(chunk, healthy.cpu() & scores.healthy, epoch)
        chunks = _without_diverged(chunks, ledger)
        on_epoch(epoch, spec.epochs)
    for chunk in chunks:
        _finish(trainer, chunk, ledger)
    ledger.erase_diverged()
    return _result(trainer, ledger)


def _without_diverged(chunks: Sequence[Chunk], ledger: _Ledger) -> list[Chunk]:
    """All folds of a member leave together."""
    left: list[Chunk] = []
    for chunk in chunks:
        alive = cast("list[bool]", ledger.alive[list(chunk.members)].tolist())
        if all(alive):
            left.append(chunk)
        elif any(alive):
            left.append(chunk.keep(alive))
    return left


def _finish(trainer: Trainer, chunk: Chunk, ledger: _Ledger) -> None:
    """Settle the members that set zeros, and note what all of them end with."""
    sparse = chunk.settles
    ended: list[tuple[Chunk, bool]] = []
    if any(sparse):
        ended += trainer.settle(chunk.keep(sparse))
    if not all(sparse):
        ended.append((chunk.keep([not member for member in sparse]), True))
    for part, settled in ended:
        scores = trainer.evaluate(part, with_errors=True)
        members = list(part.members)
        ledger.note_scores(part, scores, trainer.spec.epochs)
        ledger.note_health(part, scores.healthy, trainer.spec.epochs)
        ledger.note_weights(part, trainer.layout)
        ledger.standard_errors[members] = scores.errors.numpy()
        ledger.settled[members] &= settled


def _result(trainer: Trainer, ledger: _Ledger) -> PopulationResult:
    fold_values = ledger.fold_curves[:, :, -1]
    folds = fold_values.shape[1]
    errors = ledger.standard_errors
    if folds > 1:
        errors = fold_values.std(axis=1, ddof=1) / np.sqrt(folds)
    notes = list(trainer.notes)
    if not ledger.settled[ledger.alive].all():
        notes.append(
            "nonzero counts of some sparse members were still changing after "
            f"{trainer.settling_limit} settling steps (settling may take a tenth of the training): "
            "more epochs make them steadier"
        )
    return PopulationResult(
        curves=ledger.fold_curves.mean(axis=1),
        values=fold_values.mean(axis=1),
        fold_values=fold_values,
        standard_errors=errors,
        nonzero_weights=ledger.nonzero,
        weights=trainer.layout.weights,
        epochs=trainer.spec.epochs,
        updates=trainer.spec.epochs * math.ceil(max(trainer.fold_rows) / trainer.spec.batch_size),
        diverged_at=ledger.diverged_at,
        settled=ledger.settled,
        notes=tuple(notes),
        states=ledger.states,
    )


def _joined(results: Sequence[PopulationResult]) -> PopulationResult:
    """Parts of one population, one after the other."""

    def rows(name: str) -> np.ndarray:
        return np.concatenate([getattr(result, name) for result in results])

    first = results[0]
    return PopulationResult(
        curves=rows("curves"),
        values=rows("values"),
        fold_values=rows("fold_values"),
        standard_errors=rows("standard_errors"),
        nonzero_weights=rows("nonzero_weights"),
        weights=first.weights,
        epochs=first.epochs,
        updates=first.updates,
        diverged_at=rows("diverged_at"),
        settled=rows("settled"),
        notes=tuple(dict.fromkeys(note for result in results for note in result.notes)),
        states={
            name: torch.cat([result.states[name] for result in results]) for name in first.states
        },
    )
