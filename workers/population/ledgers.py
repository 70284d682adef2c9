"""What is known of the members of a population in training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from workers.minibatch.chunks import Chunk
from workers.minibatch.trainer import Trainer
from workers.population.judging import Scores


class Roll:
    """Which of a population's members have left training, and with what.

    ended_at, diverged_at (P,): the epoch after which a member left, in which it diverged; 0 while
    it has not. states: what members end with, (P, F, ...) by name.
    """

    def __init__(self, members: int, states: Mapping[str, Tensor]) -> None:
        self.notes: list[str] = []  # what the job should warn of, beside the problem's
        self.diverged_at = np.zeros(members, dtype=np.int64)
        self.ended_at = np.zeros(members, dtype=np.int64)
        self.states = states

    @property
    def alive(self) -> np.ndarray:
        """Which members have not diverged: (P,)."""
        return self.diverged_at == 0

    @property
    def in_training(self) -> np.ndarray:
        """Which members have not left: (P,)."""
        return self.ended_at == 0

    def note_diverged(self, members: Sequence[int], healthy: Tensor, epoch: int) -> None:
        """Those of the members that are not healthy (P,) have diverged in this epoch, and leave."""
        for member, well in zip(members, healthy.tolist(), strict=True):
            if not well and self.diverged_at[member] == 0:
                self.diverged_at[member] = self.ended_at[member] = epoch

    def erase_unused(self) -> None:
        """A diverged member keeps nothing but its epoch."""
        self._erase(self.diverged_at > 0)

    def _erase(self, gone: np.ndarray) -> None:
        for value in self.states.values():
            value[torch.from_numpy(gone)] = 0

    # --- between two processes ----------------------------------------------------------------

    def arrays(self) -> dict[str, Tensor]:
        """Copies of all that is known, by name; of weights those of members that have left."""
        known = {name: torch.from_numpy(value.copy()) for name, value in self._kept().items()}
        ended = torch.from_numpy(~self.in_training)
        return known | {f"states.{name}": value[ended] for name, value in self.states.items()}

    def take(self, arrays: Mapping[str, Tensor]) -> None:
        """Know what another one's `arrays` say."""
        for name, value in self._kept().items():
            value[...] = arrays[name].numpy()
        ended = torch.from_numpy(~self.in_training)
        for name, value in self.states.items():
            value[ended] = arrays[f"states.{name}"]

    def _kept(self) -> dict[str, np.ndarray]:
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray)}


class Ledger(Roll):
    """What is known of a population's members, filled in as they go.

    value_epochs (P,): the epoch whose weights a member ended with, before settling.
    """

    def __init__(self, trainer: Trainer, epochs: Sequence[int]) -> None:
        """epochs: how long each member trains."""
        members, folds = len(epochs), len(trainer.folds)
        states = {
            name: value.unsqueeze(0).repeat(members, *[1] * value.dim()).cpu()
            for name, value in trainer.program.named().items()
            if name not in trainer.backend.dropouts
        }
        super().__init__(members, states)
        self.trainer = trainer
        self.epochs = np.array(epochs)
        self.value_epochs = np.zeros(members, dtype=np.int64)
        self.settled = np.ones(members, dtype=bool)
        self.nonzero = np.zeros((members, folds), dtype=np.int64)

    @property
    def whole(self) -> np.ndarray:
        """Which members went through their training: (P,)."""
        return self.alive

    # --- who ends when ------------------------------------------------------------------------

    def counted_epochs(self, epoch: int) -> np.ndarray:
        """The epoch whose weights each member would end with if it left now: (P,)."""
        return np.full(len(self.epochs), epoch)

    def leaving(self, epoch: int) -> np.ndarray:
        """Which members have trained long enough: (P,)."""
        return self.epochs <= epoch

    @property
    def keeps_best(self) -> bool:
        """Whether a member may end with weights of an earlier epoch than its last."""
        return False

    # --- what they reach ----------------------------------------------------------------------

    def judge_epoch(self, chunk: Chunk, epoch: int) -> None:
        """Nothing more than training itself tells."""

    def judge_end(self, chunk: Chunk, epoch: int) -> None:
        """Whether what the members ended with, of this epoch, can be used."""
        self.note_health(chunk, self.trainer.finite(chunk), epoch)

    def note_health(self, chunk: Chunk, healthy: Tensor, epoch: int) -> None:
        """Members that are not healthy (P,) have diverged in this epoch, and leave."""
        self.note_diverged(chunk.members, healthy, epoch)

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

    def note_end(self, members: Iterable[int], epoch: int, value_epoch: int) -> None:
        """These members leave after this epoch, with the weights of the other one."""
        self.ended_at[list(members)] = epoch
        self.value_epochs[list(members)] = value_epoch

    def _erase(self, gone: np.ndarray) -> None:
        super()._erase(gone)
        self.nonzero[gone] = 0
        self.settled[gone] = False


class ScoredLedger(Ledger):
    """Curves, values and standard errors too.

    fold_curves (P, F, E) as training went; fold_values (P, F) of what members ended with; pruned_at
    (P,): the epoch, 0 for members that were not pruned.
    """

    def __init__(self, trainer: Trainer, members: int) -> None:
        spec = trainer.spec
        super().__init__(trainer, [spec.epochs] * members)
        self.patience = spec.early_stopping.patience if spec.early_stopping else None
        self.pruned_at = np.zeros(members, dtype=np.int64)
        self.fold_curves = np.full((members, len(trainer.folds), spec.epochs), np.nan)
        self.fold_values = np.full((members, len(trainer.folds)), np.nan)
        self.standard_errors = np.full(members, np.nan)

    # --- who ends when ------------------------------------------------------------------------

    def counted_epochs(self, epoch: int) -> np.ndarray:
        if not self.keeps_best:
            return super().counted_epochs(epoch)
        return best_epochs(self.curves(epoch), self.trainer.spec.maximise)

    def leaving(self, epoch: int) -> np.ndarray:
        done = super().leaving(epoch)
        if self.patience is None:
            return done
        return done | (epoch - self.counted_epochs(epoch) >= self.patience)

    @property
    def keeps_best(self) -> bool:
        return self.patience is not None

    @property
    def whole(self) -> np.ndarray:
        return self.alive & (self.pruned_at == 0)

    def curves(self, epochs: int) -> np.ndarray:
        """Means over folds after each of the first epochs: (P, epochs)."""
        return fold_means(self.fold_curves[:, :, :epochs])

    def note_pruned(self, members: Iterable[int], epoch: int) -> None:
        """These members leave after this epoch, pruned."""
        members = list(members)
        self.pruned_at[members] = epoch
        self.fold_values[members] = self.fold_curves[members, :, epoch - 1]
        self.note_end(members, epoch, epoch)

    # --- what they reach ----------------------------------------------------------------------

    def judge_epoch(self, chunk: Chunk, epoch: int) -> None:
        scores = self.trainer.evaluate(chunk, with_errors=False)
        place = np.ix_(chunk.members, chunk.folds, [epoch - 1])
        self.fold_curves[place] = scores.values.numpy()[..., None]
        self.note_health(chunk, scores.healthy, epoch)

    def judge_end(self, chunk: Chunk, epoch: int) -> None:
        scores: Scores = self.trainer.evaluate(chunk, with_errors=True)
        self.fold_values[np.ix_(chunk.members, chunk.folds)] = scores.values.numpy()
        self.standard_errors[list(chunk.members)] = scores.errors.numpy()
        self.note_health(chunk, scores.healthy, epoch)

    def erase_unused(self) -> None:
        """A diverged member keeps its curve up to its last whole epoch too, a pruned one all."""
        super().erase_unused()
        self._erase(self.pruned_at > 0)
        for member in np.flatnonzero(~self.alive):
            self.fold_curves[member, :, self.diverged_at[member] - 1 :] = np.nan
            self.fold_values[member] = self.standard_errors[member] = np.nan


def fold_means(values: np.ndarray) -> np.ndarray:
    """Means (P, ...) over the folds of (P, F, ...), bitwise the same whatever the other axes."""
    return sum(values.swapaxes(0, 1)) / values.shape[1]


def best_epochs(curves: np.ndarray, maximise: bool) -> np.ndarray:
    """The epoch, counted from 1, of the best point of each curve (P, E): (P,).

    The first of equals; NaN is worse than any number, and 1 where there is nothing else.
    """
    losses = -curves if maximise else curves
    return np.where(np.isnan(losses), np.inf, losses).argmin(axis=1) + 1
