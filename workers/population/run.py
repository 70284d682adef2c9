"""A population's way through training: parts in turn, rungs, memory that runs out, checkpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ridgeway.jobs.plan import Engine
from ridgeway.spec.spec import JobSpec
from workers.minibatch.parts import PartState
from workers.models.layout import Layout
from workers.population.ledgers import Roll, ScoredLedger

FEWER_NOTE = (
    "a worker ran out of memory and trained fewer trials side by side: the results are the same, "
    "and it took longer"
)


class Problem(Protocol):
    """One job's model and folds on a device: what decides a member's bits, and how many fit."""

    @property
    def spec(self) -> JobSpec: ...
    @property
    def seed(self) -> int: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def engine(self) -> Engine: ...
    @property
    def fold_rows(self) -> Sequence[int]: ...
    @property
    def layout(self) -> Layout: ...

    together: int

    def parts(self, members: int) -> Sequence[Sequence[int]]:
        """Members that fit into memory together, in order."""
        ...


class InTraining(Protocol):
    """Members that train side by side until each has left."""

    epoch: int

    @property
    def members(self) -> tuple[int, ...]: ...
    def train_epoch(self) -> None: ...
    def compact(self) -> None: ...
    def frozen(self, decided: int) -> PartState: ...


@dataclass(frozen=True)
class Rung:
    """An epoch after which pruning decides on the members that train at this time.

    curves: by a member's position, the means over folds after each epoch 1 ... epoch.
    """

    epoch: int
    curves: Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class PopulationState:
    """A population between two epochs, on the host: what its ledger knows, and what is to do."""

    ledger: Mapping[str, Tensor]
    parts: tuple[PartState, ...]


@dataclass(frozen=True)
class Watch:
    """Who looks on while a population trains, and where it begins.

    prune is asked after each epoch of `rungs` which members to end. keep may call what it is given,
    after any epoch, for a copy of the state. start: a state to go on from; it must be of the same
    population and problem.
    """

    rungs: Collection[int] = ()
    prune: Callable[[Rung], Collection[int]] = lambda rung: ()
    keep: Callable[[Callable[[], PopulationState]], None] = lambda state: None
    start: Callable[[Problem], PopulationState | None] = lambda problem: None


class Run:
    """Trains a population's members until all have left."""

    def __init__(
        self,
        problem: Problem,
        begin: Callable[[PartState], InTraining],
        ledger: Roll,
        on_epoch: Callable[[int, int], None],
        watch: Watch,
    ) -> None:
        """begin: a part in training, where its state left off; it tells the ledger who leaves."""
        self.problem, self.begin, self.ledger = problem, begin, ledger
        self.on_epoch, self.watch = on_epoch, watch
        parts = (PartState(tuple(part)) for part in problem.parts(len(ledger.ended_at)))
        state = watch.start(problem)
        if state is not None:
            ledger.take(state.ledger)
            parts = state.parts
        self._todo = deque(parts)
        self._done = 0
        self._last = PartState(())  # the part in training, as it was when it was last kept

    def finish(self) -> None:
        """Train what is to do; a part that does not fit into memory is halved and goes on."""
        while self._todo:
            self._last = self._todo.popleft()
            lacking = self._train()
            if lacking is None:
                self._done += 1
            else:
                self._halve(lacking)
        self.ledger.erase_unused()

    def _train(self) -> str | None:
        """The current part to its end; what memory it lacked, None if it had enough."""
        try:
            self._train_part(self.begin(self._last))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return str(error)
        return None

    def _train_part(self, part: InTraining) -> None:
        epochs = self.problem.spec.epochs
        while part.members:
            part.train_epoch()
            if part.members and part.epoch in self.watch.rungs:
                self._prune(part)
            if part.members or self._todo:
                self.watch.keep(lambda: self._state(part))
            self.on_epoch(
                self._done * epochs + part.epoch, (self._done + 1 + len(self._todo)) * epochs
            )

    def _prune(self, part: InTraining) -> None:
        """Ask once: members that go through a rung again, for lack of memory, are not asked."""
        assert isinstance(self.ledger, ScoredLedger)
        if part.epoch <= self._last.decided:
            return
        curves = self.ledger.curves(part.epoch)
        rung = Rung(part.epoch, {member: curves[member].tolist() for member in part.members})
        self.ledger.note_pruned(self.watch.prune(rung), part.epoch)
        part.compact()
        self._last = replace(self._last, decided=part.epoch)

    def _state(self, part: InTraining) -> PopulationState:
        self._last = part.frozen(self._last.decided)
        current = (self._last,) if self._last.members else ()
        return PopulationState(self.ledger.arrays(), (*current, *self._todo))

    def _halve(self, lacking: str) -> None:
        """Members still in training go on from where they were last kept, half as many at a time.

        A member is bitwise the same in any company, so nobody's result changes.
        """
        staying = set(np.flatnonzero(self.ledger.in_training).tolist())
        part = self._last.only(staying)
        size = len(part.members)
        if size == 0:  # all had left: it was a checkpoint that did not fit
            return
        if size == 1:
            raise MemoryError(f"one trial alone does not fit into memory: {lacking}")
        if self.problem.device.type == "cuda":
            torch.cuda.empty_cache()
        self.ledger.notes = [FEWER_NOTE]
        half = (size + 1) // 2
        self.problem.together = min(self.problem.together, half)
        self._todo = deque(one for whole in (part, *self._todo) for one in whole.split(half))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed, on a device or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
