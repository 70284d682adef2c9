"""A population's way through training: parts in turn, rungs, memory that runs out, checkpoints."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from workers.headway import tell, telling
from workers.population.configuration import Configuration
from workers.population.roll import Roll
from workers.population.solver import InTraining, Solver
from workers.population.state import PartState, PopulationState
from workers.population.watch import Watch

FEWER_NOTE = (
    "a worker ran out of memory and trained fewer trials side by side: the results are the same, "
    "and it took longer"
)


class Run:
    """Trains a population's members until all have left."""

    def __init__(
        self, solver: Solver, members: Sequence[Configuration], roll: Roll, watch: Watch
    ) -> None:
        self.solver, self.members, self.roll, self.watch = solver, members, roll, watch
        parts = tuple(PartState(tuple(part)) for part in solver.parts(len(members)))
        state = watch.start(solver)
        if state is not None:
            roll.take(state.roll)
            parts = state.parts
        self._todo = deque(parts)
        self._done = 0
        self._reached = 0.0  # share of the population's training
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
        self.roll.erase_unused()

    def _train(self) -> str | None:
        """Train the current part to its end; return what memory it lacked, None if enough."""
        try:
            self._train_part(self.solver.begin(self.members, self._last, self.roll))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return str(error)
        return None

    def _train_part(self, part: InTraining) -> None:
        epochs = self.solver.problem.spec.epochs
        while part.members:
            with telling(self._listener(part)):
                tell(0.0)
                part.train_epoch()
            if part.epoch in self.watch.rungs:
                part.catch_up()
                if part.members:
                    self._prune(part)
            if part.members or self._todo:
                self.watch.keep(lambda: self._state(part))
            self.watch.on_epoch(
                self._done * epochs + part.epoch, (self._done + 1 + len(self._todo)) * epochs
            )

    @cached_property
    def _work(self) -> np.ndarray:
        """The members' shares (P,) of the population's training."""
        work = np.array(self.solver.work(self.members), dtype=float)
        return work / work.sum()

    def _listener(self, part: InTraining) -> Callable[[float], None]:
        """Return what tells the watch the population's share when it is told the next epoch's."""
        waiting = sum(
            self._work[list(each.members)].sum() * self.solver.share(each.epoch, 0.0)
            for each in self._todo
        )
        before = float(self._work[~self.roll.in_training].sum() + waiting)
        own, epoch = float(self._work[list(part.members)].sum()), part.epoch

        def listen(within: float) -> None:
            share = min(1.0, before + own * self.solver.share(epoch, within))
            if share > self._reached or self._reached == 0:
                self._reached = share
                self.watch.on_share(share)

        return listen

    def _prune(self, part: InTraining) -> None:
        """Ask once: members that go through a rung again, for lack of memory, are not asked."""
        if part.epoch <= self._last.decided:
            return
        self.roll.prune(part.members, part.epoch, self.watch.prune)
        part.compact()
        self._last = replace(self._last, decided=part.epoch)

    def _state(self, part: InTraining) -> PopulationState:
        self._last = part.frozen(self._last.decided)
        current = (self._last,) if self._last.members else ()
        return PopulationState(self.roll.arrays(), (*current, *self._todo))

    def _halve(self, lacking: str) -> None:
        """Go on from where members were last kept, with half as many at a time.

        A member is bitwise the same in any company, so nobody's result changes.
        """
        staying = set(np.flatnonzero(self.roll.in_training).tolist())
        part = self._last.only(staying)
        size = len(part.members)
        if size == 0:  # all had left: it was a checkpoint that did not fit
            return
        if size == 1:
            raise MemoryError(f"one trial alone does not fit into memory: {lacking}")
        if self.solver.problem.device.type == "cuda":
            torch.cuda.empty_cache()
        self.roll.notes = [FEWER_NOTE]
        half = (size + 1) // 2
        self.solver.together = min(self.solver.together, half)
        self._todo = deque(one for whole in (part, *self._todo) for one in whole.split(half))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an allocation failed, on a device or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
