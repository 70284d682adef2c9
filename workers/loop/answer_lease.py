"""The work on an answer's lease: own trials, refits, sealed scores, artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ridgeway.jobs import holding
from ridgeway.jobs.artifacts import Artifact
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.own_trials import own_complete_trials
from ridgeway.jobs.plan import Engine
from ridgeway.jobs.seals import earlier_looks
from workers.answer.answer import answer
from workers.answer.training import Training
from workers.backends.choosing import engine_of_refits
from workers.data.loading import give_back_memory
from workers.loop.control import faults_of_trials
from workers.loop.keeping import Keeping
from workers.loop.tools import Tools
from workers.loop.workbench import Workbench
from workers.models.building import guarding
from workers.population.configuration import Configuration
from workers.population.problem import Problem
from workers.population.results import PopulationResult, TrainedModels


class AnswerWork:
    """The answer's lease, in one worker's hands."""

    def __init__(self, lease: Lease, bench: Workbench, tools: Tools) -> None:
        self._lease, self._bench, self._tools = lease, bench, tools
        self._faults: list[str] = []

    def do(self, keeping: Keeping) -> None:
        """Work the answer out and write it; whoever takes over goes on with the last training."""
        lease, prepared = self._lease, self._bench.prepared
        self._bench.release()  # fresh splits take as much memory as the search's solver did
        candidates, looks = self._tools.persistence.read(
            lambda transaction: (
                own_complete_trials(transaction, lease.job_id, lease.study_id),
                earlier_looks(transaction, lease.job_id),
            )
        )
        with guarding(prepared.spec.model, prepared.spec.seed):
            given = answer(candidates, prepared, self._training(keeping), self._keep, looks)
        warnings = [*given.warnings, *self._faults, *self._bench.changes]
        self._tools.persistence.write(
            lambda transaction: holding.finish_answer(
                transaction, lease, given.recommended, given.artifacts, warnings
            )
        )

    def _training(self, keeping: Keeping) -> Training:
        """Return the doors to training, in which the lease is looked after."""
        lease, doors = self._lease, self._tools.doors

        def train(problem: Problem, members: Sequence[Configuration]) -> PopulationResult | None:
            give_back_memory()  # of the training before: folds and solvers are large
            with faults_of_trials(lease, "the confirmation of population") as fault:
                return doors.train(problem, members, keeping.watch(members, one_of_many=True))
            self._faults.append(f"The finalists could not be confirmed: {fault.reason}")
            return None

        def refit(
            problem: Problem, members: Sequence[Configuration], epochs: Sequence[int] | None
        ) -> TrainedModels:
            give_back_memory()
            return doors.refit(problem, members, epochs, keeping.watch(members, one_of_many=True))

        plan = lease.plan
        # The problem, whose solver holds memory of the device, is a copy that goes with the answer.
        engine = engine_of_refits(plan.engine) if plan else Engine()
        problem = replace(self._bench.problem, engine=engine)
        return Training(problem, train, refit, plan.strengths if plan else None)

    def _keep(self, name: str, data: bytes) -> Artifact:
        """Put bytes into the store, where a lost holder can't overwrite the next one's."""
        lease = self._lease
        address = f"jobs/{lease.job_id}/{lease.id}-{lease.fence}/{name}"
        put = self._tools.store.put
        checksum = self._tools.outage.outlast(lambda: put(address, data), lease)
        return Artifact(address, checksum, len(data))
