"""The parts of a worker that the work on a lease needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ridgeway.data.store import Store
from ridgeway.measures import Recorder
from ridgeway.settings import Settings
from workers.loop.persistence import Persistence
from workers.loop.store_outage import StoreOutage
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels
from workers.population.watch import Watch
from workers.train import refit, train


class TrainDoor(Protocol):
    """`workers.train.train`, or what stands in for it."""

    def __call__(
        self, problem: Problem, members: Sequence[Configuration], watch: Watch
    ) -> PopulationResult: ...


class RefitDoor(Protocol):
    """`workers.train.refit`, or what stands in for it."""

    def __call__(
        self,
        problem: Problem,
        members: Sequence[Configuration],
        epochs: Sequence[int] | None = None,
        watch: Watch | None = None,
    ) -> TrainedModels: ...


@dataclass(frozen=True)
class Doors:
    """The ways into training, and who is told of each epoch: a worker's entrance for tests."""

    train: TrainDoor = train
    refit: RefitDoor = refit
    on_epoch: Callable[[int, int], None] = lambda done, of: None


@dataclass(frozen=True)
class Tools:
    """A worker's database, store, settings, device, and ways into training.

    check(done, of) is called between epochs: Withdrawn where the lease is no longer the worker's,
    Stopping where it was told to stop, which `stopping` asks. on_share(share) is told how much of
    the lease's training is done. recorder: of what operators see. outage: of the store.
    """

    persistence: Persistence
    store: Store
    settings: Settings
    device: torch.device
    doors: Doors
    check: Callable[[int, int], None]
    on_share: Callable[[float], None]
    stopping: Callable[[], bool]
    recorder: Recorder
    outage: StoreOutage
