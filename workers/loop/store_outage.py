"""An outage of the store, as a worker bears it: no attempt is lost, and the store is asked seldom.

A lease whose data can't be read goes back, and the worker leaves all jobs whose data it would have
to read until the store answers. What it has in hand, an answer's files, it keeps and writes then:

    data = outage.outlast(lambda: store.get(address), lease)  # waits
    rows = outage.told_apart(lambda: read(address))  # StoreRefuses: the store is there
    ...
    except StoreAway as error:
        outage.hand_back(lease, error)  # from now on `outage.lasts()`, for a growing while

Whoever looks at a job that waits for the store is told why (ridgeway/jobs/store_outages.py).
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.engine import Connection

from ridgeway.data.store import Store
from ridgeway.errors import LeaseLost, NotFound, StoreAway, StoreRefuses
from ridgeway.jobs import holding, putting_off, store_outages
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.leases import Lease
from workers.heeding import heed
from workers.loop.control import Stopping, plain
from workers.loop.persistence import Persistence

log = logging.getLogger("ridgeway.worker")
T = TypeVar("T")

SHORTEST_PAUSE_SECONDS = 1.0  # until the store is asked again
LONGEST_PAUSE_SECONDS = 30.0
SAME_SECONDS = 60.0  # after an answer: what fails within these is the same outage
TRIES = 3  # to read what a store that answers can't read
LOOK_SECONDS = 1.0  # between two looks whether the lease is still ours, and the worker to go on


class StoreOutage:
    """What a worker knows of the store's absence, which begins when a call of its own fails."""

    def __init__(
        self, worker_id: str, store: Store, persistence: Persistence, stopping: threading.Event
    ) -> None:
        self._worker_id, self._store = worker_id, store
        self._persistence, self._stopping = persistence, stopping
        self._since: float | None = None  # of the last outage, by the database's clock
        self._pause = SHORTEST_PAUSE_SECONDS
        self._asks_at: float | None = None  # by the monotonic clock; None while none is known
        self._answered_at = -math.inf  # by the same
        self._key = ""  # that was asked for in vain
        self._is_told = False  # to those who wait

    def hand_back(self, lease: Lease, error: StoreAway) -> None:
        """Give a lease back that needs the store, and leave others like it for a while."""
        self._forget_earlier()
        self._key, self._asks_at = error.key, time.monotonic() + self._next_pause()

        def change(transaction: Connection) -> float:
            holding.release(transaction, lease)
            return self._told(transaction, lease, error)

        self._tell(change)

    def put_off(self, lease: Lease, error: StoreRefuses, claimant: Claimant) -> None:
        """Give a lease back that needs what a store that answers can't read: it costs an attempt.

        Its job is left for a while, and others go on.
        """
        why, most = plain(str(error)), claimant.max_attempts
        seconds = None
        with suppress(LeaseLost, NotFound):
            seconds = self._persistence.attempt(
                lambda transaction: putting_off.put_off(transaction, lease, why, most)
            )
        claimant.known.leave_for(lease.job_id, seconds or putting_off.FIRST_SECONDS)

    def lasts(self) -> bool:
        """Return whether the store is away; it is asked once the pause is over."""
        if self._asks_at is None:
            if self._is_told:  # the database was away, too
                self._tell_end()
            return False
        if time.monotonic() < self._asks_at:
            return True
        try:
            self._store.probe(self._key)
        except StoreAway as error:
            pause = self._next_pause()
            log.warning("%s It is asked again in %.0f s.", error, pause)
            self._asks_at = time.monotonic() + pause
            return True
        self._note_answer()
        return False

    def outlast(self, call: Callable[[], T], lease: Lease) -> T:
        """Return what the call of the store gives, which is tried until the store answers.

        Interrupted where the lease is lost meanwhile, or the worker is told to stop. StoreRefuses
        where the store answers, but can't read what is asked for.
        """
        waits = False
        while True:
            try:
                found = self.told_apart(call)
            except StoreRefuses:
                if waits:
                    self._note_answer()
                raise
            except StoreAway as error:
                if not waits:
                    self._forget_earlier()
                    log.warning("waits with %s %d: %s", lease.kind, lease.ordinal, error)
                    self._tell(lambda open_, error=error: self._told(open_, lease, error))
                waits, pause = True, self._next_pause()
                # Who is interrupted leaves it to `lasts` to find out when the outage ends.
                self._key, self._asks_at = error.key, time.monotonic() + pause
                self._wait(pause)
                continue
            if waits:
                self._note_answer()
            return found

    def told_apart(self, call: Callable[[], T]) -> T:
        """Return what the call reads; StoreAway in an outage.

        StoreRefuses where the store answers beside what it can't read, several times.
        """
        tried = 0
        while True:
            try:
                return call()
            except StoreAway as error:
                if not (error.reading and self._answers_beside(error.key)):
                    raise
                tried += 1
                if tried == TRIES:
                    raise StoreRefuses(str(error), error.key) from error
            self._wait(SHORTEST_PAUSE_SECONDS * 2.0 ** (tried - 1))

    def _answers_beside(self, key: str) -> bool:
        try:
            self._store.probe(key)
        except StoreAway:
            return False
        return True

    def _note_answer(self) -> None:
        log.info("the store answers again")
        self._asks_at, self._answered_at = None, time.monotonic()
        self._tell_end()

    def _forget_earlier(self) -> None:
        """Let a new outage begin now, unless it goes on with one that seemed to be over."""
        if self._asks_at is None and time.monotonic() - self._answered_at > SAME_SECONDS:
            self._since, self._pause = None, SHORTEST_PAUSE_SECONDS

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            heed()
            if self._stopping.wait(min(left, LOOK_SECONDS)):
                raise Stopping()
        heed()

    def _next_pause(self) -> float:
        """Return the pause before the store is asked again, each twice as long as the last."""
        pause = self._pause * _jitter()
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return pause

    def _tell(self, change: Callable[[Connection], float]) -> None:
        """Run the transaction that tells of the outage, and note since when it is."""
        if (since := self._persistence.attempt(change)) is not None:
            self._since, self._is_told = since, True

    def _told(self, transaction: Connection, lease: Lease, error: StoreAway) -> float:
        why = plain(str(error))
        known = (self._worker_id, lease.job_id, why, self._since)
        return store_outages.tell_outage(transaction, *known)

    def _tell_end(self) -> None:
        def change(transaction: Connection) -> bool:
            store_outages.tell_end(transaction, self._worker_id)
            return True

        self._is_told = not self._persistence.attempt(change)


def _jitter() -> float:
    """Return a factor that keeps many workers from asking in step."""
    return random.uniform(0.8, 1.0)  # nosec B311 # no secret
