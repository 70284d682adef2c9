"""The loop: claim -> sample -> train -> finish; a heartbeat; an orderly end on SIGTERM."""

from __future__ import annotations

import logging
import os
import platform
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import torch
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from ridgeway import fleet
from ridgeway.data.catalogue import dataset_by_id
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line, will_pass
from ridgeway.errors import JobUnrunnable, LeaseLost, NotFound
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claiming import Claimant
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.measurements import remember_together, remembered_together
from ridgeway.jobs.plan import Engine, JobPlan
from ridgeway.settings import Settings
from ridgeway.study.distributions import search_space
from workers.answer.recommend import answer, own_complete_trials
from workers.backends.compiled import Compiled
from workers.data.loading import load_frame, offered_datasets
from workers.data.prepare import Prepared, prepare
from workers.loop.checkpoints import Checkpoints, discard
from workers.loop.persistence import Persistence, Stopping
from workers.loop.workbench import Benches, Workbench
from workers.minibatch.planner import (
    LEAST_MEASURED,
    device_name,
    measured_together,
    pays_to_compile,
    shape_of,
)
from workers.minibatch.trainer import Trainer
from workers.models.building import trainable_models
from workers.population.configuration import Configuration
from workers.population.outcomes import failed_outcomes, outcomes_of
from workers.population.run import Rung
from workers.pruning.pruner import pruner_of
from workers.pruning.reports import reports_of
from workers.sampling import Mirror
from workers.strength.probe import unprobed
from workers.strength.range import strength_range
from workers.train import PopulationResult, Watch, train_members, train_population

log = logging.getLogger("ridgeway.worker")

LONGEST_MESSAGE = 2000  # characters


def plain(text: str) -> str:
    """A message as every database keeps it, of a bearable length."""
    kept = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return kept if len(kept) <= LONGEST_MESSAGE else f"{kept[:LONGEST_MESSAGE]}..."


def reason_of(error: BaseException) -> str:
    """What an unforeseen error said."""
    return plain(f"{type(error).__name__}: {error}")


class Worker:
    """One process, one device, one lease at a time."""

    def __init__(
        self, database: Database, store: Store, settings: Settings, worker_id: str, device: str
    ) -> None:
        self.id = worker_id
        self._database = database
        self._store = store
        self._settings = settings
        self._device = torch.device(device)
        self._stopping = threading.Event()
        self._persistence = Persistence(database, self._stopping)
        self._lost: Lease | None = None
        self._lease: Lease | None = None
        self._checkpointed = False  # whether the lease may have a checkpoint
        self._benches = Benches()
        self._claimant = Claimant(
            worker_id=worker_id,
            models=frozenset(trainable_models()),
            datasets=frozenset(offered_datasets()),
            population_limit=settings.max_population,
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
        )

    def stop(self) -> None:
        """Hand the lease back at the end of this epoch, and end."""
        self._stopping.set()

    def run(self) -> None:
        """Work until `stop`."""
        try:
            self._persistence.write(self._record)
        except Stopping:
            return
        heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heartbeat.start()
        log.info("worker %s is ready on %s", self.id, self._device)
        while not self._stopping.is_set():
            try:
                busy = self.work_once()
            except DBAPIError as error:
                log.warning("the database does not answer, trying again: %s", first_line(error))
                busy = False
            if not busy:
                # A little jitter keeps many idle workers from asking in step.
                self._stopping.wait(self._settings.poll_seconds * random.uniform(0.8, 1.2))
        heartbeat.join()
        self._persistence.attempt(lambda transaction: fleet.mark_gone(transaction, self.id))

    def work_once(self) -> bool:
        """Do one lease's work; False when there is none."""
        with self._database.reading() as transaction:
            if not claiming.has_work(transaction, self._claimant):
                self._benches.rest()
                return False
        with self._database.transaction() as transaction:
            lease = claiming.claim(transaction, self._claimant)
        if lease is None:
            return False
        self._lease = lease
        try:
            self._work(lease)
        except LeaseLost:
            log.warning("job %s: lost %s %d", lease.job_id, lease.kind, lease.ordinal)
        except OSError:
            # The store may be away for a while: the lease runs out and is tried again, and a limit
            # on its attempts ends that.
            log.exception("job %s: left %s %d", lease.job_id, lease.kind, lease.ordinal)
        except NotFound:
            log.warning("job %s is gone", lease.job_id)
        except Stopping:
            self._persistence.attempt(lambda transaction: holding.release(transaction, lease))
        finally:
            self._lease = None
        if self._checkpointed:
            self._forget_checkpoint(lease)
        return True

    def _work(self, lease: Lease) -> None:
        try:
            if lease.kind == "answer":
                self._answer(lease)
            else:
                self._train(lease)
        except (LeaseLost, NotFound, Stopping, OSError):
            raise
        except JobUnrunnable as error:
            self._fail(lease, plain(str(error)))
        except DBAPIError as error:
            if will_pass(error):
                raise
            log.exception("job %s: %s %d failed", lease.job_id, lease.kind, lease.ordinal)
            self._fail(lease, plain(f"The database refused: {first_line(error)}"))
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            log.exception("job %s: %s %d failed", lease.job_id, lease.kind, lease.ordinal)
            self._fail(lease, reason_of(error))

    def _fail(self, lease: Lease, message: str) -> None:
        self._persistence.write(lambda transaction: holding.fail_job(transaction, lease, message))

    # --- a population -------------------------------------------------------------------------

    def _train(self, lease: Lease) -> None:
        started = time.perf_counter()
        bench = self._bench(lease)
        plan = lease.plan or self._plan(lease, bench)
        first, configurations = self._configurations(lease, bench, plan)
        watch = self._watch(lease, bench, first, configurations)
        sampled = time.perf_counter()
        warnings: tuple[str, ...] = ()
        try:
            result = self._trained(bench, plan, configurations, watch)
        except (LeaseLost, NotFound, Stopping, JobUnrunnable, DBAPIError):
            raise
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            log.exception("job %s: population %d failed", lease.job_id, lease.ordinal)
            outcomes = failed_outcomes(first, lease.size, reason_of(error))
        else:
            outcomes = outcomes_of(bench.prepared.spec, configurations, result, first)
            warnings = result.notes
        trained = time.perf_counter()
        self._persistence.write(
            lambda transaction: holding.finish_population(transaction, lease, outcomes, warnings)
        )
        log.info(
            "job %s: population %d of %d trials: sampling %.3f s, training %.3f s, writing %.3f s",
            lease.job_id,
            lease.ordinal,
            lease.size,
            sampled - started,
            trained - sampled,
            time.perf_counter() - trained,
        )

    def _trained(
        self,
        bench: Workbench,
        plan: JobPlan,
        configurations: Sequence[Configuration],
        watch: Watch,
    ) -> PopulationResult:
        spec, prepared = bench.prepared.spec, bench.prepared
        if spec.optimizer == "fista":
            return train_population(
                spec, configurations, prepared.folds, prepared.outputs,
                seed=spec.seed, device=self._device, on_epoch=self._check, watch=watch,
            )  # fmt: skip
        trainer = bench.trainer(plan.engine)
        self._choose_together(bench, trainer, configurations)
        return train_members(trainer, configurations, self._check, watch)

    def _choose_together(
        self, bench: Workbench, trainer: Trainer, configurations: Sequence[Configuration]
    ) -> None:
        """Once a job: as many members side by side as was measured to be best on such a device."""
        if bench.sized or len(configurations) < LEAST_MEASURED:
            return
        shape, device = shape_of(trainer), device_name(self._device)
        found = self._persistence.read(
            lambda transaction: remembered_together(transaction, shape, device)
        )
        if found is None:
            found = measured_together(trainer, configurations, lambda: self._check(0, 0))
            if found is not None:
                together = found
                self._persistence.write(lambda t: remember_together(t, shape, device, together))
        trainer.together = found or trainer.together
        bench.sized = True

    def _configurations(
        self, lease: Lease, bench: Workbench, plan: JobPlan
    ) -> tuple[int, list[Configuration]]:
        """The first number and what to train: proposed now, or by an earlier holder."""

        def look(transaction: Connection) -> int:
            bench.mirror.sync(transaction)
            return holding.trials_before(transaction, lease)

        start = self._persistence.read(look)
        if lease.first_number is not None:
            params = bench.mirror.params(lease.first_number, lease.size)
            return lease.first_number, [Configuration.from_params(lease.spec, p) for p in params]
        space = search_space(lease.spec, plan.strengths)
        params = bench.mirror.propose(space, lease.size, lease.ordinal, start)
        first = self._persistence.write(
            lambda transaction: holding.reserve(transaction, lease, params, space)
        )
        return first, [Configuration.from_params(lease.spec, p) for p in params]

    def _watch(
        self,
        lease: Lease,
        bench: Workbench,
        first: int,
        configurations: Sequence[Configuration],
    ) -> Watch:
        """What happens between the epochs of a population: rungs and checkpoints."""
        pruner = pruner_of(lease.spec, bench.reports)

        def prune(rung: Rung) -> set[int]:
            assert pruner is not None, "a job without a pruner has no rungs"
            curves = {first + member: curve for member, curve in rung.curves.items()}

            def report(transaction: Connection) -> None:
                holding.report(transaction, lease, curves)
                bench.reports.sync(transaction, lease.study_id)

            self._persistence.write(report)
            return {number - first for number in pruner.decide(rung.epoch, curves)}

        rungs = pruner.rungs(lease.spec.epochs) if pruner else ()
        return replace(self._keeping(lease, configurations), rungs=rungs, prune=prune)

    def _keeping(self, lease: Lease, configurations: Sequence[Configuration]) -> Watch:
        """Checkpoints alone."""
        self._checkpointed = lease.checkpoint is not None

        def record(address: str) -> str | None:
            self._checkpointed = True
            return self._persistence.write(
                lambda transaction: holding.record_checkpoint(transaction, lease, address)
            )

        checkpoints = Checkpoints(
            store=self._store,
            lease=lease,
            configurations=configurations,
            every_seconds=self._settings.checkpoint_seconds,
            record=record,
            stopping=self._stopping.is_set,
        )
        return Watch(keep=checkpoints.keep, start=checkpoints.start)

    def _forget_checkpoint(self, lease: Lease) -> None:
        """Delete the lease's checkpoint if the lease has ended; its next holder's stays."""
        self._checkpointed = False
        with suppress(DBAPIError):  # the store can bear it
            with self._database.transaction() as transaction:
                address = holding.forget_checkpoint(transaction, lease)
            if address is not None:
                discard(self._store, address)

    def _plan(self, lease: Lease, bench: Workbench) -> JobPlan:
        """What the job's first worker finds out, for all of them."""
        try:
            found = strength_range(bench.prepared, device=self._device, on_epoch=self._check)
        except (LeaseLost, Stopping, JobUnrunnable):
            raise
        except (Exception, SystemExit) as error:  # trials that fail alike will say so themselves
            log.exception("job %s: the probe of the λ range failed", lease.job_id)
            found = unprobed(f"the probe failed: {reason_of(error)}")
        engine = Engine() if lease.spec.optimizer == "fista" else self._engine(lease, bench)
        plan = JobPlan(strengths=(found.low, found.high), **engine.model_dump())
        return self._persistence.write(
            lambda transaction: holding.fix_plan(transaction, lease, plan, found.warnings)
        )

    def _engine(self, lease: Lease, bench: Workbench) -> Engine:
        trainer = bench.trainer(Engine())
        trials = lease.spec.trials
        largest = claiming.population_size(trials, self._settings.max_population, ordinal=trials)
        try:
            pays = pays_to_compile(trainer, largest)
        except (Exception, SystemExit):  # trials that fail alike will say so themselves
            log.exception("job %s: a step could not be timed", lease.job_id)
            pays = False
        if not pays:
            return trainer.engine
        compiled = trainer.engine.model_copy(update={"backend": Compiled.name})
        return bench.trainer(compiled).engine

    def _bench(self, lease: Lease) -> Workbench:
        def make() -> Workbench:
            mirror, reports = Mirror(lease.spec, lease.study_id), reports_of(lease.spec)
            return Workbench(self._prepare(lease), mirror, reports, self._device)

        return self._benches.of(lease.job_id, make)

    def _prepare(self, lease: Lease) -> Prepared:
        dataset_id = lease.dataset_id
        try:
            stored = None
            if dataset_id is not None:
                stored = self._persistence.read(
                    lambda transaction: dataset_by_id(transaction, dataset_id)
                )
            frame = load_frame(lease.spec.dataset, stored, self._store)
        except NotFound as error:
            raise JobUnrunnable(str(error)) from None
        return prepare(lease.spec, frame)

    # --- the answer ---------------------------------------------------------------------------

    def _answer(self, lease: Lease) -> None:
        prepared = self._bench(lease).prepared
        candidates = self._persistence.read(
            lambda transaction: own_complete_trials(transaction, lease)
        )
        given = answer(
            lease, candidates, prepared, self._store,
            device=self._device, on_epoch=self._check, watched=partial(self._keeping, lease),
        )  # fmt: skip
        self._persistence.write(
            lambda transaction: holding.finish_answer(
                transaction, lease, given.recommended, given.artifacts, given.warnings
            )
        )
        self._benches.forget(lease.job_id)

    # --- heartbeat -----------------------------------------------------------

    def _check(self, epoch: int, epochs: int) -> None:
        """Between epochs: is this still ours to train?"""
        if self._lost is not None and self._lost is self._lease:
            raise LeaseLost()
        if self._stopping.is_set():
            raise Stopping()

    def _beat(self) -> None:
        """Renew the lease and say that the worker is alive, as often as the settings tell."""
        while not self._stopping.wait(self._settings.renew_seconds):
            lease = self._lease
            try:
                with self._database.transaction() as transaction:
                    fleet.see_worker(transaction, self.id)
                    if lease is not None:
                        holding.renew(transaction, lease, self._settings.lease_seconds)
            except LeaseLost:
                self._lost = lease
            except DBAPIError as error:
                log.warning("no heartbeat, the database does not answer: %s", first_line(error))
            except Exception:  # whatever it is, a worker without a heartbeat loses its leases
                log.exception("no heartbeat")

    def _record(self, transaction: Connection) -> None:
        record = fleet.WorkerRecord(
            id=self.id,
            host=platform.node(),
            pid=os.getpid(),
            device=str(self._device),
            version=version("ridgeway"),
            models=self._claimant.models,
            datasets=self._claimant.datasets,
        )
        fleet.record_worker(transaction, record)
