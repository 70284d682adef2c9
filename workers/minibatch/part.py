"""A part of a population that trains at one time: epoch by epoch, until every member has left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from workers.headway import span
from workers.minibatch.batches import Minibatches
from workers.minibatch.chunks import Chunk
from workers.minibatch.dense import train_epoch
from workers.population.configuration import Configuration
from workers.population.roll import Roll
from workers.population.state import PartState
from workers.transfers import Arriving

if TYPE_CHECKING:
    from workers.minibatch.trainer import Trainer

BEST = "best."  # before the names of a snapshot's tensors


class Part:
    """Members in training side by side.

    Where a member may end with an earlier epoch's weights, a snapshot keeps those of its best epoch
    so far, with optimiser state and buffers. Settling goes on from all of these, at that epoch's
    place in the schedule, so a member ends as in a training of so many epochs.
    """

    def __init__(
        self,
        trainer: Trainer,
        members: Sequence[Configuration],
        state: PartState,
        roll: Roll,
    ) -> None:
        """members: the configurations of the whole population."""
        self.trainer, self.roll, self.epoch = trainer, roll, state.epoch
        problem = trainer.problem
        self._minibatches = Minibatches(
            problem.fold_rows,
            problem.spec.batch_size,
            problem.seed,
            trainer.feed.home,
            trainer.feed.block,
        )
        self._minibatches.skip(state.epoch)
        own = [members[member] for member in state.members]
        self._chunks = trainer.chunks(own)
        for chunk in self._chunks:
            chunk.members = tuple(state.members[place] for place in chunk.members)
        self._best: list[Chunk] = []
        self._unheard: list[Callable[[], None]] = []  # notes of the last epoch, for the roll
        if state.epoch:
            _fill(self._chunks, state, "")
        if roll.keeps_best:
            self._best = [_copied(chunk) for chunk in self._chunks]
            if state.epoch:
                _fill(self._best, state, BEST)

    @property
    def members(self) -> tuple[int, ...]:
        """The members still in training, in order."""
        return tuple(sorted({member for chunk in self._chunks for member in chunk.members}))

    def train_epoch(self) -> None:
        """Train one epoch; members that diverge or have trained long enough leave.

        A GPU's numbers are waited for when the next epoch is on its way, or when they count: a
        member that diverged may train an epoch more, of which nothing is kept.
        """
        self.epoch += 1
        batches = self._minibatches.epoch()
        count = len(self._chunks)
        heard: list[Callable[[], None]] = []
        for number, chunk in enumerate(self._chunks):
            with span(number / count, (number + 1) / count):
                healthy = train_epoch(self.trainer, chunk, batches)
            heard += [self._trained(chunk, healthy), self.roll.judge_epoch(chunk, self.epoch)]
        self.catch_up()
        self._unheard = heard
        if not self.roll.keeps_best and not self.roll.leaving(self.epoch).any():
            return
        self.catch_up()
        if self._best:
            self._keep_improved()
        leaving = self.roll.leaving(self.epoch)
        self._finish([member for member in self.members if leaving[member]])
        self.compact()

    def catch_up(self) -> None:
        """Let the roll know what the last epoch came to; members that diverged leave."""
        for note in self._unheard:
            note()
        self._unheard = []
        self.compact()

    def _trained(self, chunk: Chunk, healthy: Tensor) -> Callable[[], None]:
        """Return what notes which of the members (P,) kept a finite loss in this epoch."""
        members, epoch, arriving = chunk.members, self.epoch, Arriving(healthy)

        def note() -> None:
            (healthy,) = arriving.tensors()
            self.roll.note_health(members, healthy, epoch)

        return note

    def compact(self) -> None:
        """Drop members that have left training, with all their folds."""
        stays = self.roll.in_training
        self._best = _only(self._best, stays)
        self._chunks = _only(self._chunks, stays)

    def frozen(self, decided: int) -> PartState:
        """Return a copy that another process can go on from."""
        self.catch_up()
        members = self.members
        steps = {fold: chunk.steps for chunk in self._chunks for fold in chunk.folds}
        tensors = _gathered(self._chunks, members)
        best = _gathered(self._best, members)
        return PartState(
            members=members,
            epoch=self.epoch,
            decided=decided,
            steps=tuple(steps[fold] for fold in sorted(steps)),
            tensors=tensors | {BEST + name: value for name, value in best.items()},
        )

    def _keep_improved(self) -> None:
        improved = self.roll.counted_epochs(self.epoch) == self.epoch
        for chunk, best in zip(self._chunks, self._best, strict=True):
            places = [place for place, member in enumerate(chunk.members) if improved[member]]
            if places:
                rows = _named(chunk)
                for name, kept in _named(best).items():
                    kept[:, places] = rows[name][:, places]

    def _finish(self, leaving: Sequence[int]) -> None:
        """Let members end with the weights of the epochs that count, one epoch's together."""
        epochs = self.roll.counted_epochs(self.epoch)
        for epoch in sorted({int(epochs[member]) for member in leaving}):
            together = {member for member in leaving if epochs[member] == epoch}
            chosen = np.zeros(len(epochs), dtype=bool)
            chosen[list(together)] = True
            for chunk in _only(self._best or self._chunks, chosen):
                # Every epoch takes as many steps as any other.
                steps = self._steps(chunk.folds[0]) * epoch // self.epoch
                self._end(replace(chunk, steps=steps), epoch)
            healthy = [member for member in together if self.roll.in_training[member]]
            self.roll.note_end(healthy, self.epoch, epoch)

    def _steps(self, fold: int) -> int:
        return next(chunk.steps for chunk in self._chunks if fold in chunk.folds)

    def _end(self, chunk: Chunk, epoch: int) -> None:
        """Settle the members that set zeros, and note what all of them end with."""
        sparse = chunk.settles
        ended: list[tuple[Chunk, bool]] = []
        if any(sparse):
            ended += self.trainer.settle(chunk.keep(sparse), self._minibatches.steps)
        if not all(sparse):
            ended.append((chunk.keep([not member for member in sparse]), True))
        for part, settled in ended:
            self.roll.judge_end(part, epoch)
            self.roll.note_models(part)
            self.roll.settled[list(part.members)] &= settled


def _copied(chunk: Chunk) -> Chunk:
    """Return a snapshot; its gradient, which it has no use for, is the chunk's own."""
    return replace(chunk.keep([True] * len(chunk.members)), gradient=chunk.gradient)


def _only(chunks: Sequence[Chunk], stays: np.ndarray) -> list[Chunk]:
    """Return the chunks with those members (P,) alone; themselves where nobody goes."""
    left: list[Chunk] = []
    for chunk in chunks:
        kept = [bool(stays[member]) for member in chunk.members]
        if any(kept):
            left.append(chunk if all(kept) else chunk.keep(kept))
    return left


def _named(chunk: Chunk) -> dict[str, Tensor]:
    """Return all of a chunk that training changes and needs, (F, P, ...) by name."""
    state = {f"state.{place}": tensor for place, tensor in enumerate(chunk.state)}
    buffers = {f"buffers.{name}": tensor for name, tensor in chunk.buffers.items()}
    return {"weights": chunk.weights, **state, **buffers}


def _place(chunk: Chunk, members: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return where a chunk lies in tensors (F, P, ...) of all folds and members."""
    columns = [members.index(member) for member in chunk.members]
    return torch.tensor(chunk.folds)[:, None], torch.tensor(columns)[None]


def _gathered(chunks: Sequence[Chunk], members: Sequence[int]) -> dict[str, Tensor]:
    """Return the chunks' tensors on the host, (F, P, ...) of all their folds and members."""
    folds = len({fold for chunk in chunks for fold in chunk.folds})
    whole: dict[str, Tensor] = {}
    for chunk in chunks:
        for name, rows in _named(chunk).items():
            shape = (folds, len(members), *rows.shape[2:])
            target = whole.setdefault(name, torch.empty(shape, dtype=rows.dtype))
            target[_place(chunk, members)] = rows.cpu()
    return whole


def _fill(chunks: Sequence[Chunk], state: PartState, prefix: str) -> None:
    """Bring fresh chunks to where a part was."""
    for chunk in chunks:
        chunk.steps = state.steps[chunk.folds[0]]
        place = _place(chunk, state.members)
        for name, rows in _named(chunk).items():
            rows.copy_(state.tensors[prefix + name][place])
