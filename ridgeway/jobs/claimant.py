"""Who asks for work: a worker, what it can work on, and what it knows of jobs."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from ridgeway.errors import Unreadable
from ridgeway.jobs.sizes import Pace, Sizes
from ridgeway.spec.names import PENALTY_NAMES

MOST_TOLD = 100  # jobs that a worker's row says it can't read
MOST_PACES = 1000  # jobs whose pace a worker keeps: far more than it works on in turns

log = logging.getLogger("ridgeway.worker")


@dataclass
class KnownJobs:
    """The jobs that a worker can read, and those that it can't; each is tried once.

    put_off: until when others are left, by the monotonic clock. last: the one that it worked on
    last, whose data it has at hand. paces: how fast it is at each.
    """

    readable: set[str] = field(default_factory=set[str])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])  # and why
    put_off: dict[str, float] = field(default_factory=dict[str, float])
    last: str | None = None
    paces: dict[str, Pace] = field(default_factory=dict[str, Pace])

    def leave(self, job_id: str, why: Unreadable) -> None:
        """Leave a job to workers that can read it, for as long as this process lives."""
        log.warning("job %s is left to other workers: %s", job_id, why)
        self.readable.discard(job_id)
        self.unreadable[job_id] = str(why)

    def leave_for(self, job_id: str, seconds: float) -> None:
        """Leave a job to other workers for a while."""
        self.put_off[job_id] = time.monotonic() + seconds

    def left(self) -> set[str]:
        """Return the jobs that are left to other workers now."""
        now = time.monotonic()
        self.put_off = {job: until for job, until in self.put_off.items() if until > now}
        return {*self.unreadable, *self.put_off}

    def note_pace(self, job_id: str, pace: Pace) -> None:
        """Keep how fast the worker is at a job, for so many as it worked on last."""
        self.paces.pop(job_id, None)
        self.paces[job_id] = pace
        if len(self.paces) > MOST_PACES:
            del self.paces[next(iter(self.paces))]

    def told(self) -> dict[str, str]:
        """Return the newest jobs that are left, for the worker's row to tell those who wait."""
        return dict([*self.unreadable.items()][-MOST_TOLD:])


@dataclass(frozen=True)
class AtHand:
    """What a worker has on its own machine: jobs' data in memory, copies by their checksums."""

    jobs: frozenset[str]
    copies: frozenset[str]


@dataclass(frozen=True)
class Claimant:
    """The worker that asks for work, and what it can work on.

    at_hand: while the store is away, of which uploads it needs no more; None where it can read any.
    """

    worker_id: str
    models: frozenset[str]
    datasets: frozenset[str]  # beside uploaded ones, which every worker can read
    sizes: Sizes  # of populations on its device
    lease_seconds: float
    max_attempts: int
    device: str = "cpu"  # its kind
    penalties: frozenset[str] = frozenset(PENALTY_NAMES)
    at_hand: AtHand | None = None
    known: KnownJobs = field(default_factory=KnownJobs, compare=False)
