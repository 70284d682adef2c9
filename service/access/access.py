"""Which keys and sessions hold, kept in memory for a moment; how often each key may ask.

    caller = await access.caller_by_key("rw_3f9a01bc_...")  # None where it does not hold

All usable keys are read at once, and anew after `FRESH_SECONDS`: so many requests cost no look into
the database, and a revoked key holds for no longer. One that is not among them may be new: they are
read once more before it is refused, but no more often than every `SOONEST_SECONDS`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from anyio import CapacityLimiter, to_thread
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.keys.audit import Visit, record
from ridgeway.keys.caller import Caller
from ridgeway.keys.keys import USED_SECONDS, KnownKey, hash_of, note_use, prefix_of, usable_keys
from ridgeway.keys.owners import Owned, hides_dataset, owner_of
from ridgeway.keys.sessions import live_sessions

FRESH_SECONDS = 2.0
SOONEST_SECONDS = 0.25
WRONG_PER_MINUTE = 60  # keys and sign-ins that don't hold, from one address
REFUSALS_PER_MINUTE = 60  # of a key's changes, that are written down one by one
MOST_OWNERS = 10_000  # of jobs, in memory
NOTE_SECONDS = 1.0  # to wait for a lock, to write what nobody waits for
MOST_NOTES = 1000  # that wait to be written

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What holds, as the database said at a moment of the process's clock."""

    read_at: float
    keys: Mapping[str, KnownKey]  # by prefix
    sessions: Mapping[str, str]  # a key's id by a session's hash
    callers: Mapping[str, Caller]  # by a key's id


class Access:
    """Who may enter. For one thread, the event loop's."""

    def __init__(self, database: Database, writing: Database) -> None:
        self._database = database
        self._writing = writing
        self._reader = CapacityLimiter(1)
        self._writer = CapacityLimiter(1)
        self._reading = asyncio.Lock()
        self._known = _Known(-math.inf, {}, {}, {})
        self._owners: dict[str, str | None] = {}
        self._used: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._rates = SlidingWindowCounterRateLimiter(MemoryStorage())

    async def stop(self) -> None:
        """Wait for what is still being written down."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    # --- who asks -----------------------------------------------------------------------------

    async def caller_by_key(self, key: str) -> Caller | None:
        """Return whose key it is; None for one that is unknown, revoked or out of date."""
        prefix = prefix_of(key)
        if prefix is None:
            return None
        known = await self._fresh(lambda known: prefix in known.keys)
        found = known.keys.get(prefix)
        if found is None or not found.fits(key):
            return None
        self._note_use(found.caller)
        return found.caller

    async def caller_by_session(self, session: str) -> Caller | None:
        """Return whose session it is; None for one that has ended, or whose key has."""
        named = hash_of(session)
        known = await self._fresh(lambda known: named in known.sessions)
        caller = known.callers.get(known.sessions.get(named, ""))
        if caller is not None:
            self._note_use(caller)
        return caller

    async def holds(self, caller: Caller) -> bool:
        """Return True while the caller's key does, as always for who needs none."""
        if caller.key is None:
            return True
        known = await self._read_since(time.monotonic() - FRESH_SECONDS)
        return caller.key in known.callers

    def forget(self) -> None:
        """Have keys and sessions read anew: something has changed."""
        self._known = _Known(-math.inf, {}, {}, {})

    async def _fresh(self, finds: Callable[[_Known], bool]) -> _Known:
        """Return what holds, read lately; read just now where what is looked for was not found."""
        asked_at = time.monotonic()
        known = await self._read_since(asked_at - FRESH_SECONDS)
        if finds(known) or known.read_at >= asked_at:
            return known
        await asyncio.sleep(max(0.0, known.read_at + SOONEST_SECONDS - asked_at))
        return await self._read_since(asked_at)

    async def _read_since(self, moment: float) -> _Known:
        """Return what holds as it was read at this moment or later; one read serves all."""
        async with self._reading:
            if self._known.read_at < moment:
                self._known = await to_thread.run_sync(self._read, limiter=self._reader)
            return self._known

    def _read(self) -> _Known:
        read_at = time.monotonic()
        with self._database.reading() as transaction:
            keys, sessions = usable_keys(transaction), live_sessions(transaction)
        callers = {str(each.caller.key): each.caller for each in keys.values()}
        return _Known(read_at, keys, sessions, callers)

    # --- how often ----------------------------------------------------------------------------

    def seconds_to_wait(self, caller: Caller) -> int:
        """Count a request of the key's; return 0, or after how many seconds it may come again."""
        most = caller.limits.requests_per_minute
        return 0 if most is None else self._count(most, "key", caller.prefix)

    def seconds_after_wrong(self, address: str) -> int:
        """Count a key from an address that does not hold; return 0, or how long to wait."""
        return self._count(WRONG_PER_MINUTE, "wrong", address)

    def _count(self, most: int, *names: str) -> int:
        item = RateLimitItemPerMinute(most)
        if self._rates.hit(item, *names):
            return 0
        return max(
            1, math.ceil(self._rates.get_window_stats(item, *names).reset_time - time.time())
        )

    # --- what belongs to whom -----------------------------------------------------------------

    async def hides_job(self, caller: Caller, job_id: str) -> bool:
        """Return True for a job that is another's, or nobody's, or is none."""
        if caller.sees_all:
            return False
        if job_id not in self._owners:  # it never changes
            found = await to_thread.run_sync(self._find_owner, job_id)
            if found is None:
                return True
            if len(self._owners) >= MOST_OWNERS:
                self._owners.clear()
            self._owners[job_id] = found.owner
        return self._owners[job_id] != caller.key

    async def hides_dataset(self, caller: Caller, name_or_id: str) -> bool:
        """Return True for an upload that is another's, or nobody's."""
        return not caller.sees_all and await to_thread.run_sync(self._hides, caller, name_or_id)

    def _find_owner(self, job_id: str) -> Owned | None:
        with self._database.reading() as transaction:
            return owner_of(transaction, job_id)

    def _hides(self, caller: Caller, name_or_id: str) -> bool:
        with self._database.reading() as transaction:
            return hides_dataset(transaction, caller, name_or_id)

    # --- what nobody waits for ----------------------------------------------------------------

    def _note_use(self, caller: Caller) -> None:
        time_now, key = time.monotonic(), str(caller.key)
        if time_now - self._used.get(key, -math.inf) < USED_SECONDS:
            return
        self._used[key] = time_now
        self._note(lambda transaction: note_use(transaction, key))

    def note_refusal(self, visit: Visit, object: str | None, status: int) -> None:
        """Write a refusal into the audit log, soon; of too many, once a minute that they are."""
        prefix = visit.caller.prefix
        if self._count(REFUSALS_PER_MINUTE, "refused", prefix):
            if self._count(1, "refused too often", prefix):
                return
            visit = replace(visit, action=f"more than {REFUSALS_PER_MINUTE} refusals a minute")
            object = None
        self._note(lambda transaction: record(transaction, visit, object, str(status)))

    def _note(self, change: Callable[[Connection], None]) -> None:
        if len(self._notes) >= MOST_NOTES:
            log.warning("too much waits to be written down: what came last is not")
            return
        task = asyncio.create_task(to_thread.run_sync(self._write, change, limiter=self._writer))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    def _write(self, change: Callable[[Connection], None]) -> None:
        try:
            with self._writing.transaction(wait_seconds=NOTE_SECONDS) as transaction:
                change(transaction)
        except SQLAlchemyError as error:
            log.warning("could not be written down: %s", first_line(error))
