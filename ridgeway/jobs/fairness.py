"""Whose turn it is: keys share the workers by weight, and a key's jobs share what it gets.

    for candidate in in_turn(candidates, accounts, last_job):
        ...  # the first that nobody else is about to claim is the one to work on

Accounts (a key's, or that of all jobs without one) and their jobs have virtual times: seconds of
workers that they were charged, an account's divided by its weight. The least is served next
(start-time fair queueing, Goyal, Vin and Cheng 1996). Who comes, or comes back, starts about where
the others are (`start`), so that nobody saves up turns and nobody waits for old ones.

Within an account a higher priority goes first. Among equals a job that has not begun goes before
those that have, yet no two in a row: so a small job begins within two claims of its account, and a
flood of them takes at most every second one from jobs that are at work.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from typing import NamedTuple

UNKNOWN_SECONDS = 1.0  # that a population is charged before any has been timed
STAY_SECONDS = 5.0  # of workers: how far ahead of the others a job may be that a worker stays with
CREDIT = 2.0  # charges: how far behind the others an account or a job may start that comes back
LATER_SECONDS = 3600.0  # by which a job twice as large counts as newer, until it has begun


@dataclass(frozen=True)
class Account:
    """What one key's jobs have had together, or all jobs' without one.

    virtual_time: seconds of workers by weight; None before its first claim. jobs_reached: the
    virtual time at which the last of its jobs was served. began: its last claim began a job.
    """

    owner: str
    weight: float = 1.0
    virtual_time: float | None = None
    jobs_reached: float = 0.0
    began: bool = False


class Candidate(NamedTuple):
    """A job that a worker could work on. seconds: what its leases take; None before one ended.

    A tuple, since a claim reads one of each job that waits.
    """

    job_id: str
    owner: str  # of its account
    priority: int
    virtual_time: float
    begun: bool
    trials: int
    created_at: float
    seconds: float | None


def typical_seconds(candidates: Sequence[Candidate]) -> float:
    """Return what a claim is charged while its job has no timed lease: the others' median."""
    known = [each.seconds for each in candidates if each.seconds is not None]
    return median(known) if known else UNKNOWN_SECONDS


def start(virtual_time: float, reached: float, charge: float, weight: float = 1.0) -> float:
    """Return the virtual time at which an account or a job goes on, where others are at `reached`.

    It is little behind them at most: who was away does not come back with all that it missed.
    virtual_time: where it was last. charge: of its next claim, divided by its weight.
    """
    return max(virtual_time, reached - STAY_SECONDS / weight - CREDIT * charge)


def job_start(virtual_time: float, reached: float, charge: float, *, begun: bool) -> float:
    """Return where a job starts among its account's; one that has not begun gets no credit."""
    return start(virtual_time, reached, charge) if begun else max(virtual_time, reached)


def in_turn(
    candidates: Sequence[Candidate],
    accounts: Mapping[str, Account],
    reached: float = 0.0,
    last_job: str | None = None,
) -> Iterator[Candidate]:
    """Yield the candidates in the order in which one claim after the other would take them.

    So those who claim at once take the first, the second, and so on, as if they had come in turn.
    reached: the virtual time at which an account was served last. last_job: the one that the worker
    has at hand; it stays with it while it is little ahead and no other job is to begin.
    """
    line = _Line(candidates, accounts, reached)
    staying = line.stays_with(last_job)
    if staying is not None:
        yield staying
    yield from (each for each in line.ordered() if each is not staying)


class _Line:
    """The accounts with candidates, each with its own in their order."""

    def __init__(
        self, candidates: Sequence[Candidate], accounts: Mapping[str, Account], reached: float
    ) -> None:
        self._typical = typical_seconds(candidates)
        self._accounts = accounts
        self._jobs: dict[str, list[Candidate]] = {}
        for each in candidates:
            self._jobs.setdefault(each.owner, []).append(each)
        self._times = {owner: self._time(accounts[owner], reached) for owner in self._jobs}

    def _time(self, account: Account, reached: float) -> float:
        newest = reached - STAY_SECONDS / account.weight
        return newest if account.virtual_time is None else account.virtual_time

    def ordered(self) -> Iterator[Candidate]:
        """Yield all; each adds to its account's time what it will be charged."""
        heap = [(time, owner) for owner, time in self._times.items()]
        heapq.heapify(heap)
        jobs = {owner: self._of(owner) for owner in self._jobs}
        while heap:
            time, owner = heap[0]
            candidate = next(jobs[owner], None)
            if candidate is None:
                heapq.heappop(heap)
                continue
            yield candidate
            charge = self._typical if candidate.seconds is None else candidate.seconds
            heapq.heapreplace(heap, (time + charge / self._accounts[owner].weight, owner))

    def _of(self, owner: str) -> Iterator[Candidate]:
        return _jobs_in_turn(self._jobs[owner], self._accounts[owner].began)

    def stays_with(self, job_id: str | None) -> Candidate | None:
        """Return the candidate that the worker has at hand, if it may stay with it."""
        found = (each for jobs in self._jobs.values() for each in jobs if each.job_id == job_id)
        last = next(found, None)
        if last is None or not last.begun:
            return None
        own_time = self._times[last.owner]
        firsts = [next(self._of(owner)) for owner, time in self._times.items() if time <= own_time]
        if not all(each.begun for each in firsts):
            return None
        own = next(each for each in firsts if each.owner == last.owner)
        ahead = (own_time - min(self._times.values())) * self._accounts[last.owner].weight
        near = max(ahead, last.virtual_time - own.virtual_time) <= STAY_SECONDS
        return last if near and last.priority == own.priority else None


def _jobs_in_turn(candidates: Sequence[Candidate], began: bool) -> Iterator[Candidate]:
    """Yield an account's jobs in their order. began: its last claim began a job."""
    by_priority = sorted(candidates, key=lambda each: -each.priority)
    for _, group in groupby(by_priority, key=lambda each: each.priority):
        equals = list(group)
        new = deque(sorted((each for each in equals if not each.begun), key=_came))
        begun = deque(sorted((each for each in equals if each.begun), key=_served))
        while new or begun:
            began = bool(new) and not (began and begun)
            yield (new if began else begun).popleft()


def _came(candidate: Candidate) -> tuple[float, float, str]:
    """Order jobs that have not begun: small ones first, and none waits for ever for that."""
    later = LATER_SECONDS * math.log2(candidate.trials)
    return candidate.created_at + later, candidate.created_at, candidate.job_id


def _served(candidate: Candidate) -> tuple[float, float, str]:
    return candidate.virtual_time, candidate.created_at, candidate.job_id
