"""The loop: claim -> work -> finish; a heartbeat; an orderly end on SIGTERM."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from ridgeway import fleet
from ridgeway.data.catalogue import dataset_by_id
from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line, will_pass
from ridgeway.errors import JobUnrunnable, LeaseLost, NotFound, StoreAway, StoreRefuses, Unreadable
from ridgeway.host.pulse import Pulse
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import AtHand
from ridgeway.jobs.leases import Lease
from ridgeway.jobs.stored import read_spec
from ridgeway.logs import about
from ridgeway.measures import Recorder
from ridgeway.settings import Settings
from ridgeway.traces import span
from workers.data.loading import give_back_memory
from workers.data.prepare import Prepared
from workers.guard import Usual, telling
from workers.heeding import heeding
from workers.loop.answer_lease import AnswerWork
from workers.loop.company import Company
from workers.loop.control import ENDS_THE_LEASE, Stopping, Withdrawn, plain, reason_of
from workers.loop.introducing import claimant_of, measured, record_of
from workers.loop.keeping import Keeping
from workers.loop.output import Output
from workers.loop.persistence import Persistence
from workers.loop.population_lease import PopulationWork
from workers.loop.reading import read_and_prepare
from workers.loop.store_outage import StoreOutage
from workers.loop.tools import Doors, Tools
from workers.loop.workbench import Benches, Workbench
from workers.population.problem import problem_of
from workers.pruning.reports import reports_of
from workers.sampling import Mirror

log = logging.getLogger("ridgeway.worker")

LOOK_SECONDS = 1.0  # between two looks whether the lease is still ours
EPOCH_SECONDS = 5.0  # that a worker which is told to stop may go on, to reach an epoch's end


class Worker:
    """One process, one device, one lease at a time."""

    def __init__(
        self,
        database: Database,
        store: Store,
        settings: Settings,
        worker_id: str,
        device: str,
        doors: Doors | None = None,
    ) -> None:
        """doors: ways into training other than the usual ones."""
        self.id = worker_id
        self._database = database
        self._settings = settings
        self._stopping = threading.Event()
        self._persistence = Persistence(database, self._stopping)
        self._tools = Tools(
            persistence=self._persistence,
            store=store,
            settings=settings,
            device=torch.device(device),
            doors=doors or Doors(),
            check=self._check,
            on_share=self._note_share,
            stopping=self._stopping.is_set,
            recorder=Recorder(),
            outage=StoreOutage(worker_id, store, self._persistence, self._stopping),
        )
        self._pulse, self._output = Pulse(), Output()
        self._telling = threading.Lock()  # what the pulse says of the lease is of this lease
        self._stop_by = math.inf
        self._lost: Lease | None = None
        self._lease: Lease | None = None
        self._share: tuple[Lease | None, float] = (None, 0.0)  # of whose training is done
        self._told: Lease | None = None  # the last lease whose share the database knows
        self._benches, self._company = Benches(), Company()
        self.claimant = claimant_of(worker_id, settings, self._tools.device)

    def stop(self, within_seconds: float = EPOCH_SECONDS) -> None:
        """Hand the lease back at the end of this epoch, or so soon if that is far, and end."""
        now = time.monotonic()
        self._stop_by = min(self._stop_by, now + within_seconds)
        with self._telling:
            self._pulse.leaving_since = self._pulse.leaving_since or now
        self._stopping.set()

    def run(
        self,
        pulse: Pulse | None = None,
        output: Output | None = None,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Work until `stop`, or until there is no work and `until` says that none will come.

        pulse: what a supervisor sees. output: of its jobs.
        """
        self._pulse, self._output = pulse or self._pulse, output or self._output
        try:
            self._persistence.write(self._record)
        except Stopping:
            return
        heartbeat = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heartbeat.start()
        log.info("worker %s is ready on %s", self.id, self._tools.device)
        try:
            self._work_on(until)
        finally:  # an interrupt at the keyboard, too, ends the heartbeat
            self._stopping.set()
            heartbeat.join()
        self._persistence.attempt(self._leave)

    def _work_on(self, until: Callable[[], bool]) -> None:
        while not self._stopping.is_set():
            self._pulse.step = time.monotonic()
            try:
                if self.work_once():
                    continue
                if until():
                    return
            except DBAPIError as error:
                log.warning("the database does not answer, trying again: %s", first_line(error))
            self._stopping.wait(self._company.poll_seconds(self._settings.poll_seconds))

    # --- one lease ------------------------------------------------------------------------------

    def work_once(self) -> bool:
        """Do one lease's work; False when there is none."""
        claimant = self.claimant
        if self._tools.outage.lasts():
            at_hand = AtHand(self._benches.jobs, self._tools.store.copies())
            claimant = replace(claimant, at_hand=at_hand)
        with self._database.reading() as transaction:
            if not claiming.has_work(transaction, claimant):
                self._benches.rest()
                return False
        with span("claim"), self._database.transaction() as transaction:
            lease = claiming.claim(transaction, claimant)
        if lease is None:
            return False
        if lease.was_lost:
            self._tools.recorder.count("leases_lost")
        keeping = Keeping(lease, self._tools)
        with self._working_on(lease), heeding(self._heed):
            self._end(lease, keeping)
        keeping.forget()
        return True

    @contextmanager
    def _working_on(self, lease: Lease) -> Generator[None]:
        """Let the heartbeat, the pulse, the output and the log know what is worked on."""
        self._lease, self._pulse.lease, self._output.job = lease, lease.id, lease.job_id
        known = {"job": lease.job_id, "lease": lease.id}
        try:
            with about(**known), span(lease.kind, **known):
                yield
        finally:
            self._output.job = None
            with self._telling:
                self._lease, self._pulse.lease = None, 0
                if not self._stopping.is_set():
                    self._pulse.leaving_since = 0.0

    def _end(self, lease: Lease, keeping: Keeping) -> None:
        """Work on the lease, and end it in the way that what came of the work asks for."""
        try:
            failure = self._failure(lease, keeping)
            if failure is not None:
                self._persistence.write(lambda open_: holding.fail_job(open_, lease, failure))
        except (LeaseLost, Withdrawn):
            log.warning("lost %s %d", lease.kind, lease.ordinal)
        except NotFound:
            log.warning("the job is gone")
        except Stopping:
            self._persistence.attempt(lambda transaction: holding.release(transaction, lease))
        except Unreadable as error:  # another release has changed the job since it was claimed
            self.claimant.known.leave(lease.job_id, error)
            self._persistence.attempt(lambda transaction: holding.release(transaction, lease))
        except StoreRefuses as error:
            log.warning("put off %s %d: %s", lease.kind, lease.ordinal, error)
            self._tools.outage.put_off(lease, error, self.claimant)
        except StoreAway as error:
            log.warning("left %s %d: %s", lease.kind, lease.ordinal, error)
            self._tools.outage.hand_back(lease, error)
        except OSError as error:
            # This machine's disk may be full: the lease runs out and is tried again, here or on
            # another, and a limit on its attempts ends that.
            log.warning("left %s %d: %s", lease.kind, lease.ordinal, error, exc_info=True)

    def _failure(self, lease: Lease, keeping: Keeping) -> str | None:
        """Work on the lease; return why its job can't be trained, None if it can."""
        try:
            self._work(lease, keeping)
        except (*ENDS_THE_LEASE, OSError):  # the store may be away
            raise
        except JobUnrunnable as error:
            return plain(str(error))
        except DBAPIError as error:
            if will_pass(error):
                raise
            log.exception("%s %d failed", lease.kind, lease.ordinal)
            return plain(f"The database refused: {first_line(error)}")
        except (Exception, SystemExit) as error:  # a plug-in may raise anything
            log.exception("%s %d failed", lease.kind, lease.ordinal)
            return reason_of(error)
        return None

    def _work(self, lease: Lease, keeping: Keeping) -> None:
        if changed := self._usual.put_back():  # by what ran on after its lease had ended
            log.warning("put back what a plug-in had changed: %s", ", ".join(changed))
        bench = self._benches.of(lease.job_id, lambda: self._bench(lease))
        with telling(bench.changes):
            if lease.kind == "answer":
                AnswerWork(lease, bench, self._tools).do(keeping)
                self._benches.forget(lease.job_id)
                give_back_memory()
            else:
                PopulationWork(lease, bench, self._tools).do(keeping)
                self.claimant.known.note_pace(lease.job_id, bench.pace)

    @cached_property
    def _usual(self) -> Usual:
        """What jobs share, as it is when the first lease begins: all is set up, nothing changed."""
        return Usual()

    def _bench(self, lease: Lease) -> Workbench:
        changes: list[str] = []
        with telling(changes):
            prepared = self._prepared(lease)
        give_back_memory()
        spec = prepared.spec  # from here on the job's only one
        problem = problem_of(prepared, self._tools.device)
        mirror, reports = Mirror(spec, lease.study_id), reports_of(spec)
        return Workbench(prepared, mirror, reports, problem, changes=changes)

    def _prepared(self, lease: Lease) -> Prepared:
        """Read the job's spec, load its data and prepare them; once a job and worker."""
        spec, dataset_id = read_spec(lease.stored_spec), lease.dataset_id
        first, forget = lease.plan is None, self._benches.forget_all
        try:
            stored = None
            if dataset_id is not None:
                stored = self._persistence.read(
                    lambda transaction: dataset_by_id(transaction, dataset_id)
                )
            return read_and_prepare(spec, stored, self._tools, forget, first=first)
        except NotFound as error:
            raise JobUnrunnable(str(error)) from None

    # --- going on, or not -----------------------------------------------------------------------

    def _check(self, done: int, of: int) -> None:
        """Ask between epochs whether this is still ours to train."""
        self._tools.doors.on_epoch(done, of)
        self._heed()
        if self._stopping.is_set():
            raise Stopping()

    def _heed(self) -> None:
        """Ask between steps; who is told to stop may go on for a little, to the epoch's end."""
        self._pulse.step = now = time.monotonic()
        if self._lost is not None and self._lost is self._lease:
            raise Withdrawn()
        if now > self._stop_by:
            raise Stopping()

    def _note_share(self, share: float) -> None:
        """Note how much of the lease's training is done; the next renewal tells it."""
        self._share = self._lease, share

    def _beat(self) -> None:
        """Renew the lease and say that the worker is alive, as often as the settings tell.

        In between only look whether the lease is still ours.
        """
        every, look_due = self._settings.renew_seconds, 0.0
        due = time.monotonic() + every
        while not self._stopping.wait(min(LOOK_SECONDS, every)):
            lease = self._lease
            try:
                if time.monotonic() >= due or self._has_first_news(lease):
                    due = time.monotonic() + every
                    self._renew(lease)
                elif lease is not None and time.monotonic() >= look_due:
                    look_due = time.monotonic() + self._company.look_seconds(LOOK_SECONDS, every)
                    with self._database.reading() as look:
                        holding.require_ours(look, lease)
            except LeaseLost:
                self._lose(lease)
            except DBAPIError as error:
                log.warning("no heartbeat, the database does not answer: %s", first_line(error))
            except Exception:  # whatever it is, a worker without a heartbeat loses its leases
                log.exception("no heartbeat")

    def _renew(self, lease: Lease | None) -> None:
        with self._database.transaction() as transaction:
            fleet.see_worker(transaction, self.id, self._measured(), self.claimant.known.told())
            self._company.count(transaction, self._settings.lease_seconds)
            if lease is not None:
                known = self._share_of(lease)
                holding.renew(transaction, lease, self._settings.lease_seconds, known)
                self._told = lease if known else self._told

    def _has_first_news(self, lease: Lease | None) -> bool:
        """Return True where a lease's training has begun, and nobody who waits for it knows."""
        return lease is not None and self._told is not lease and bool(self._share_of(lease))

    def _share_of(self, lease: Lease) -> float | None:
        whose, share = self._share
        return share if whose is lease else None

    def _lose(self, lease: Lease | None) -> None:
        """Have the main thread leave its work on the lease, if it is still at it."""
        with self._telling:
            if lease is self._lease:
                self._lost = lease
                self._pulse.leaving_since = self._pulse.leaving_since or time.monotonic()

    def _leave(self, transaction: Connection) -> None:
        fleet.see_worker(transaction, self.id, self._measured())
        fleet.mark_gone(transaction, self.id)

    def _record(self, transaction: Connection) -> None:
        fleet.record_worker(transaction, record_of(self.claimant, self._tools.device))
        self._company.count(transaction, self._settings.lease_seconds)

    def _measured(self) -> dict[str, Any]:
        return measured(self._tools.recorder, self._tools.device)
