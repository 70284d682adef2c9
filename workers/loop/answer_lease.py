"""The work on an answer's lease: own trials, refits, sealed scores, artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ridgeway.jobs import holding
from ridgeway.jobs.artifacts import Artifact
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.own_trials import own_complete_trials
from ridgeway.jobs.plan import Engine
from workers.answer.answer import answer
from workers.backends.choosing import engine_of_refits
from workers.loop.keeping import Keeping
from workers.loop.tools import Tools
from workers.loop.workbench import Workbench
from workers.models.building import guarding
from workers.population.configuration import Configuration
from workers.population.results import TrainedModels


class AnswerWork:
    """The answer's lease, in one worker's hands."""

    def __init__(self, lease: Lease, bench: Workbench, tools: Tools) -> None:
        self._lease, self._bench, self._tools = lease, bench, tools

    def do(self, keeping: Keeping) -> None:
        """Work the answer out and write it; whoever takes over goes on with the refits."""
        lease, prepared, doors = self._lease, self._bench.prepared, self._tools.doors
        engine = engine_of_refits(lease.plan.engine) if lease.plan else Engine()
        self._bench.release()  # what the search's solver holds would stand beside the answer's
        searched = self._bench.problem

        def refit(members: Sequence[Configuration], epochs: Sequence[int]) -> TrainedModels:
            # The problem, whose solver holds memory of the device, goes when this returns.
            problem = replace(searched, folds=[prepared.development()], engine=engine)
            return doors.refit(problem, members, epochs, keeping.watch(members))

        candidates = self._tools.persistence.read(
            lambda transaction: own_complete_trials(transaction, lease.job_id, lease.study_id)
        )
        with guarding(prepared.spec.model, prepared.spec.seed):
            given = answer(candidates, prepared, refit, self._keep)
        warnings = [*given.warnings, *self._bench.changes]
        self._tools.persistence.write(
            lambda transaction: holding.finish_answer(
                transaction, lease, given.recommended, given.artifacts, warnings
            )
        )

    def _keep(self, name: str, data: bytes) -> Artifact:
        """Put bytes into the store, where a lost holder can't overwrite the next one's."""
        lease = self._lease
        address = f"jobs/{lease.job_id}/{lease.id}-{lease.fence}/{name}"
        return Artifact(address, self._tools.store.put(address, data), len(data))
