"""A job's data, study and solver, kept from one population to the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from ridgeway.jobs.plan import Engine
from ridgeway.jobs.sizes import Pace
from ridgeway.spec.spec import JobSpec
from workers.data.loading import give_back_memory
from workers.data.prepare import Prepared
from workers.population.problem import Problem
from workers.pruning.reports import Reports
from workers.sampling import Mirror

JOBS = 4  # whose data and history a worker keeps in memory
SOLVERS = 2  # of these, whose solvers it keeps too: they hold memory of the device
IDLE_SECONDS = 60.0  # after which a worker without work gives up its solvers


@dataclass
class Workbench:
    """A job's data, its study in memory, and its problem, with a solver once there is one.

    reports: what the job's pruner compares. sized: how many members share a step is settled;
    measured: by a measurement. pace: how fast this worker is at the job. changes: what plug-ins of
    the job changed and guards put back, as its owner is told.
    """

    prepared: Prepared
    mirror: Mirror
    reports: Reports
    problem: Problem
    sized: bool = False
    measured: bool = False
    pace: Pace = field(default_factory=Pace)
    changes: list[str] = field(default_factory=list[str])

    @property
    def spec(self) -> JobSpec:
        """The job's spec, as its data fill it in."""
        return self.problem.spec

    def follow(self, engine: Engine) -> Problem:
        """Return the problem; its solver follows this engine as far as it can."""
        made = self.problem.made_solver
        if engine != self.problem.engine and (made is None or engine != made.engine):
            self.problem, self.sized = replace(self.problem, engine=engine), False
        return self.problem

    def release(self) -> None:
        """Give up the solver, and what it holds of the device's memory."""
        if self.problem.made_solver is None:
            return
        self.problem, self.sized = replace(self.problem), False
        if self.problem.device.type == "cuda":
            torch.cuda.empty_cache()


class Benches:
    """The workbenches of the jobs that a worker has turned to last."""

    def __init__(self) -> None:
        self._benches: OrderedDict[str, Workbench] = OrderedDict()
        self._resting_since: float | None = None

    def of(self, job_id: str, make: Callable[[], Workbench]) -> Workbench:
        """Return the job's; others that have waited for longest make room."""
        self._resting_since = None
        bench = self._benches.pop(job_id, None) or make()
        self._benches[job_id] = bench
        while len(self._benches) > JOBS:
            self.forget(next(iter(self._benches)))
        for idle in list(self._benches.values())[:-SOLVERS]:
            idle.release()
        return bench

    @property
    def jobs(self) -> frozenset[str]:
        """The jobs whose benches there are."""
        return frozenset(self._benches)

    def forget(self, job_id: str) -> None:
        """Drop the bench of a job that has ended."""
        bench = self._benches.pop(job_id, None)
        if bench is not None:
            bench.release()

    def forget_all(self) -> None:
        """Drop every bench: what another job needs is more than there is beside them."""
        for job_id in list(self._benches):
            self.forget(job_id)

    def rest(self) -> None:
        """Note that there is no work now; where there has been none for a while, solvers go."""
        now = time.monotonic()
        if self._resting_since is None:
            self._resting_since = now
            give_back_memory()
        if now - self._resting_since >= IDLE_SECONDS:
            held = [bench for bench in self._benches.values() if bench.problem.made_solver]
            for bench in held:
                bench.release()
            if held:
                give_back_memory()
