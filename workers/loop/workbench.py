"""What a worker keeps of a job from one population to the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ridgeway.jobs.plan import Engine
from workers.data.prepare import Prepared
from workers.minibatch.trainer import Trainer
from workers.pruning.reports import Reports
from workers.sampling import Mirror
from workers.train import own_generators

JOBS = 4  # whose data and history a worker keeps in memory
TRAINERS = 2  # of these, whose trainers it keeps too: they hold memory of the device
IDLE_SECONDS = 60.0  # after which a worker without work gives up its trainers


@dataclass
class Workbench:
    """A job's data, its study in memory, and its trainer once there is one.

    reports: what the job's pruner compares. sized: how many members share a step is settled.
    """

    prepared: Prepared
    mirror: Mirror
    reports: Reports
    device: torch.device
    sized: bool = False
    _trainer: Trainer | None = field(default=None, repr=False)
    _wanted: Engine = field(default_factory=Engine, repr=False)

    def trainer(self, engine: Engine) -> Trainer:
        """Return one that follows the engine as far as it can; JobUnrunnable if the model fails."""
        follows = self._trainer is not None and engine in (self._wanted, self._trainer.engine)
        if self._trainer is None or not follows:
            spec, prepared = self.prepared.spec, self.prepared
            with own_generators(self.device):
                self._trainer = Trainer(
                    spec, prepared.folds, prepared.outputs, spec.seed, self.device, engine=engine
                )
            self._wanted, self.sized = engine, False
        return self._trainer

    def release(self) -> None:
        """Give up the trainer, and what it holds of the device's memory."""
        if self._trainer is None:
            return
        self._trainer, self.sized = None, False
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


class Benches:
    """Those of the jobs that a worker has turned to last."""

    def __init__(self) -> None:
        self._benches: OrderedDict[str, Workbench] = OrderedDict()
        self._resting_since: float | None = None

    def of(self, job_id: str, make: Callable[[], Workbench]) -> Workbench:
        """The job's; others that have waited for longest make room."""
        self._resting_since = None
        bench = self._benches.pop(job_id, None) or make()
        self._benches[job_id] = bench
        while len(self._benches) > JOBS:
            self.forget(next(iter(self._benches)))
        for idle in list(self._benches.values())[:-TRAINERS]:
            idle.release()
        return bench

    def forget(self, job_id: str) -> None:
        """The job has ended."""
        bench = self._benches.pop(job_id, None)
        if bench is not None:
            bench.release()

    def rest(self) -> None:
        """There is no work now; where there has been none for a while, trainers go."""
        now = time.monotonic()
        if self._resting_since is None:
            self._resting_since = now
        if now - self._resting_since >= IDLE_SECONDS:
            for bench in self._benches.values():
                bench.release()
