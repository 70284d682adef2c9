"""Watching a population train: epochs, rungs, and copies of its state."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.population.state import PopulationState

if TYPE_CHECKING:
    from workers.population.solver import Solver


@dataclass(frozen=True)
class Rung:
    """An epoch after which pruning decides on the members that train at this time.

    curves: by a member's position, the means over folds after each epoch 1 ... epoch.
    """

    epoch: int
    curves: Mapping[int, Sequence[float]]


@dataclass(frozen=True)
class Watch:
    """Questions and reports between the epochs of a population, and where it begins.

    on_epoch(done, of) is called after each epoch; what it raises ends the training. Where members
    don't fit into memory together they train in parts, and `of` counts the epochs of all parts.
    on_share(share) is told, within epochs too, how much of the population's training is done: from
    0 to 1, and never less than before. It has to be quick.
    prune is asked after each epoch of `rungs` which members to end. keep may call what it is given,
    after any epoch, for a copy of the state. start: a state to go on from; it must be of the same
    population and problem.
    """

    on_epoch: Callable[[int, int], None] = lambda done, of: None
    on_share: Callable[[float], None] = lambda share: None
    rungs: Collection[int] = ()
    prune: Callable[[Rung], Collection[int]] = lambda rung: ()
    keep: Callable[[Callable[[], PopulationState]], None] = lambda state: None
    start: Callable[[Solver], PopulationState | None] = lambda solver: None
