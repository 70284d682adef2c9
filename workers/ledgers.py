"""What is known of the members of a population in training."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workers.chunks import Chunk
from workers.judging import Scores
from workers.training import Trainer


class Ledger:
    """What is known of a population's members, filled in as they go."""

    def __init__(self, trainer: Trainer, members: int) -> None:
        folds, layout = len(trainer.folds), trainer.layout
        self.trainer = trainer
        self.diverged_at = np.zeros(members, dtype=np.int64)
        self.settled = np.ones(members, dtype=bool)
        self.nonzero = np.zeros((members, folds), dtype=np.int64)
        self.states = {
            name: value.unsqueeze(0).repeat(members, *[1] * value.dim()).cpu()
            for name, value in {**layout.views(trainer.initial), **trainer.initial_buffers}.items()
            if name not in trainer.backend.dropouts
        }

    @property
    def alive(self) -> np.ndarray:
        """Which members have not diverged: (P,)."""
        return self.diverged_at == 0

    def judge_epoch(self, chunk: Chunk, epoch: int) -> None:
        """Nothing more than training itself tells."""

    def judge_end(self, chunk: Chunk) -> None:
        """Whether what the members ended with can be used."""
        self.note_health(chunk, self.trainer.finite(chunk), self.trainer.spec.epochs)

    def note_health(self, chunk: Chunk, healthy: Tensor, epoch: int) -> None:
        """Members that are not healthy (P,) have diverged in this epoch."""
        for member, well in zip(chunk.members, healthy.tolist(), strict=True):
            if not well and self.diverged_at[member] == 0:
                self.diverged_at[member] = epoch

    def note_weights(self, chunk: Chunk) -> None:
        """The chunk's members end with these parameters and buffers."""
        layout = self.trainer.layout
        place = np.ix_(chunk.members, chunk.folds)
        by_member = chunk.weights.transpose(0, 1)  # (P, F, columns)
        self.nonzero[place] = layout.nonzero(by_member).cpu().numpy()
        named = {name: rows.transpose(0, 1) for name, rows in layout.views(chunk.weights).items()}
        for name, rows in chunk.buffers.items():
            named[name] = rows.transpose(0, 1)
        index = (torch.tensor(chunk.members)[:, None], torch.tensor(chunk.folds)[None])
        for name in self.states:
            self.states[name][index] = named[name].cpu()

    def erase_diverged(self) -> None:
        """A diverged member keeps nothing but its epoch."""
        for member in np.flatnonzero(~self.alive):
            self.nonzero[member] = 0
            self.settled[member] = False
            for value in self.states.values():
                value[member] = 0


class ScoredLedger(Ledger):
    """Curves and standard errors too."""

    def __init__(self, trainer: Trainer, members: int) -> None:
        super().__init__(trainer, members)
        self.fold_curves = np.full((members, len(trainer.folds), trainer.spec.epochs), np.nan)
        self.standard_errors = np.full(members, np.nan)

    def judge_epoch(self, chunk: Chunk, epoch: int) -> None:
        self._note_scores(chunk, self.trainer.evaluate(chunk, with_errors=False), epoch)

    def judge_end(self, chunk: Chunk) -> None:
        scores = self.trainer.evaluate(chunk, with_errors=True)
        self._note_scores(chunk, scores, self.trainer.spec.epochs)
        self.standard_errors[list(chunk.members)] = scores.errors.numpy()

    def _note_scores(self, chunk: Chunk, scores: Scores, epoch: int) -> None:
        place = np.ix_(chunk.members, chunk.folds, [epoch - 1])
        self.fold_curves[place] = scores.values.numpy()[..., None]
        self.note_health(chunk, scores.healthy, epoch)

    def erase_diverged(self) -> None:
        """A diverged member keeps its curve up to its last whole epoch too."""
        super().erase_diverged()
        for member in np.flatnonzero(~self.alive):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            self.standard_errors[member] = np.nan
