"""The work on a population's lease: plan, sample, reserve, train, finish."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from optuna.trial import TrialState
from sqlalchemy.engine import Connection

from ridgeway.jobs import holding
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.measurements import remember_together, remembered_together
from ridgeway.jobs.plan import Engine, JobPlan
from ridgeway.jobs.sizes import path_population_size, population_size
from ridgeway.logs import about
from ridgeway.study.distributions import search_space
from ridgeway.study.writing import Outcome
from ridgeway.traces import span
from workers.loop.control import faults_of_trials
from workers.loop.device import device_name
from workers.loop.early_end import why_enough
from workers.loop.introducing import sizes_of
from workers.loop.keeping import Keeping
from workers.loop.tools import Tools
from workers.loop.workbench import Workbench
from workers.models.building import guarding
from workers.population.configuration import Configuration
from workers.population.memory import building_bytes, require_room, streamed_bytes, training_bytes
from workers.population.outcomes import failed_outcomes, outcomes_of
from workers.population.results import PopulationResult
from workers.population.watch import Rung, Watch
from workers.pruning.pruner import pruner_of
from workers.strength.probe import probed_penalty, unprobed
from workers.strength.range import strength_range
from workers.train import solver_of

log = logging.getLogger("ridgeway.worker")

_COUNTED = {
    TrialState.COMPLETE: "trials_complete",
    TrialState.PRUNED: "trials_pruned",
    TrialState.FAIL: "trials_failed",
}


class PopulationWork:
    """One population's lease, in one worker's hands."""

    def __init__(self, lease: Lease, bench: Workbench, tools: Tools) -> None:
        self._lease, self._bench, self._tools = lease, bench, tools
        self._persistence = tools.persistence

    def do(self, keeping: Keeping) -> None:
        """Train the lease's trials and write what became of them."""
        lease = self._lease
        started = time.perf_counter()
        with self._guarding():
            plan = lease.plan or self._plan()
        planned = time.perf_counter()
        with span("sample"):
            found = self._members(plan)
        if found is None:
            return
        first, members = found
        sampled = time.perf_counter()
        with about(trials=f"{first}-{first + len(members) - 1}"):
            with span("train"):
                outcomes, warnings = self._trained(plan, first, members, keeping)
            trained = time.perf_counter()
            with span("finish"):
                self._persistence.write(
                    lambda open_: holding.finish_population(open_, lease, outcomes, warnings)
                )
            written = time.perf_counter()
            self._tell(outcomes, sampled - started, trained - sampled, written - trained)
            self._note_pace(len(outcomes), written - planned)

    def _tell(
        self, outcomes: Sequence[Outcome], sampling: float, training: float, writing: float
    ) -> None:
        """Log and record what became of the population, and the seconds that it took."""
        recorder, size = self._tools.recorder, len(outcomes)
        log.info(
            "population %d: %d %s; sampling %.3f s, training %.3f s, writing %.3f s",
            *(self._lease.ordinal, size, "trial" if size == 1 else "trials"),
            *(sampling, training, writing),
        )
        recorder.observe("population_size", size)
        recorder.observe("sampling_seconds", sampling)
        recorder.observe("training_seconds", training)
        recorder.observe("writing_seconds", writing)
        for outcome in outcomes:
            recorder.count(_COUNTED[outcome.state])

    def _note_pace(self, trials: int, seconds: float) -> None:
        """Note how fast this worker is at the job, unless it went on where another left off.

        seconds: without planning, which the job's pace does not count either.
        """
        bench = self._bench
        together = solver_of(bench.problem).together if bench.measured else None
        if self._lease.checkpoint is None:
            bench.pace = bench.pace.after(trials, seconds, together)

    # --- what the job's first worker finds out --------------------------------------------------

    def _plan(self) -> JobPlan:
        """Find out what the job's workers all follow; return the plan that was there first."""
        lease, bench = self._lease, self._bench
        self._require_room()
        with faults_of_trials(lease, "the probe of the λ range of population") as fault:
            found = strength_range(bench.prepared, bench.problem, self._tools.check)
        if fault.reason is not None:  # trials that fail alike will say so themselves
            scale = probed_penalty(bench.spec).probe_scale
            found = unprobed(f"the probe failed: {fault.reason}", scale)
        engine = self._engine()
        range_ = (found.low, found.high)
        plan = JobPlan(strengths=range_, placed=found.placed, **engine.model_dump())
        return self._persistence.write(
            lambda transaction: holding.fix_plan(transaction, lease, plan, found.warnings)
        )

    def _require_room(self) -> None:
        """Raise JobUnrunnable unless one member can be built and trained beside what is kept."""
        prepared = self._bench.prepared
        spec, inputs, outputs = self._bench.spec, prepared.inputs, prepared.outputs
        taken = float(training_bytes(spec, prepared.rows, inputs))
        if prepared.streamed:
            taken = streamed_bytes(spec, prepared.rows)
        require_room(taken + building_bytes(spec, inputs, outputs), taken)
        solver = solver_of(self._bench.follow(Engine()))
        members = solver.member_bytes + solver.roll_bytes(self._largest)
        require_room(taken + members, taken)

    def _engine(self) -> Engine:
        """Choose how the job's members are computed, by what its populations will be."""
        solver = solver_of(self._bench.follow(Engine()))
        engine = solver.engine
        with faults_of_trials(self._lease, "the timing of a step of population"):
            engine = solver.engine_for(self._largest)
        return solver_of(self._bench.follow(engine)).engine

    @property
    def _largest(self) -> int:
        """The size of the job's largest population."""
        trials, sizes = self._bench.spec.trials, sizes_of(self._tools.settings, self._tools.device)
        if self._bench.spec.kind == "path":
            return path_population_size(trials, sizes)
        return population_size(trials, sizes, ordinal=trials)

    # --- which trials ---------------------------------------------------------------------------

    def _members(self, plan: JobPlan) -> tuple[int, list[Configuration]] | None:
        """Return the first number and what to train: proposed now, or by an earlier holder.

        None where the search has ended instead.
        """
        lease, mirror, spec = self._lease, self._bench.mirror, self._bench.spec
        space = search_space(spec, plan.strengths)

        def look(transaction: Connection) -> tuple[int, str | None]:
            asked = spec.stop == "auto" and lease.first_number is None
            # What nobody asks of the study is not read: of a large one that takes the most.
            if mirror.learns or asked or lease.first_number is not None:
                mirror.sync(transaction)
            why = why_enough(transaction, lease, self._bench, space) if asked else None
            return holding.trials_before(transaction, lease), why

        start, why = self._persistence.read(look)
        if why is not None and self._persistence.write(
            lambda transaction: holding.end_search(transaction, lease, why)
        ):
            log.info("%s", why)
            return None
        if lease.first_number is not None:
            params = mirror.params(lease.first_number, lease.size)
            return lease.first_number, [Configuration.from_params(spec, own) for own in params]
        params = mirror.propose(space, lease.size, lease.ordinal, start, plan.placed)
        first = self._persistence.write(
            lambda transaction: holding.reserve(transaction, lease, params, space)
        )
        return first, [Configuration.from_params(spec, own) for own in params]

    # --- training them --------------------------------------------------------------------------

    def _trained(
        self,
        plan: JobPlan,
        first: int,
        members: Sequence[Configuration],
        keeping: Keeping,
    ) -> tuple[list[Outcome], tuple[str, ...]]:
        """Train the members; return what became of each, and what the job should warn of."""
        watch = self._watch(first, keeping.watch(members))
        result: PopulationResult | None = None
        with faults_of_trials(self._lease, "population") as fault, self._guarding():
            problem = self._bench.follow(plan.engine)
            self._choose_together(members)
            result = self._tools.doors.train(problem, members, watch)
        if result is None:
            failed = failed_outcomes(first, self._lease.size, str(fault.reason))
            return failed, tuple(self._bench.changes)
        notes = (*result.notes, *self._bench.changes)
        return outcomes_of(self._bench.spec, members, result, first), notes

    def _guarding(self) -> AbstractContextManager[None]:
        return guarding(self._bench.spec.model, self._bench.spec.seed)

    def _choose_together(self, members: Sequence[Configuration]) -> None:
        """Set, once a job, how many members share a step by what such a device was measured at."""
        bench = self._bench
        solver = solver_of(bench.problem)
        if bench.sized or not solver.worth_measuring(len(members)):
            return
        shape, device = solver.shape(), device_name(self._tools.device)
        found = self._persistence.read(lambda look: remembered_together(look, shape, device))
        if found is None:
            found = solver.measured_together(members)
            if found is not None:
                kept = found
                self._persistence.write(lambda t: remember_together(t, shape, device, kept))
        solver.together = found or solver.together
        bench.sized, bench.measured = True, found is not None

    def _watch(self, first: int, watch: Watch) -> Watch:
        """Return the watch with the rungs of the job's pruner; first: the trials' first number."""
        lease, reports, spec = self._lease, self._bench.reports, self._bench.spec
        pruner = pruner_of(spec, reports)

        def prune(rung: Rung) -> set[int]:
            assert pruner is not None, "a job without a pruner has no rungs"
            curves = {first + member: curve for member, curve in rung.curves.items()}

            def report(transaction: Connection) -> None:
                holding.report(transaction, lease, curves)
                reports.sync(transaction, lease.study_id)

            self._persistence.write(report)
            return {number - first for number in pruner.decide(rung.epoch, curves)}

        rungs = pruner.rungs(spec.epochs) if pruner else ()
        return replace(watch, rungs=rungs, prune=prune)
