"""Reasons to end a lease's work before it is done, and faults of the trials themselves.

Control passes through whatever a worker does, up to the one place that handles it (worker.py): an
interruption, a lost lease, a job that is gone, a job that can't be trained at all, a database that
refuses. Anything else that training raises comes from a model, mostly a plug-in's:

    with faults_of_trials(lease, "population") as fault:
        result = train(problem, members, watch)
    if fault.reason is not None:
        ...  # these trials have failed, and the job goes on
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from ridgeway.errors import JobUnrunnable, LeaseLost, NotFound, Unreadable
from ridgeway.jobs.leases import Lease
from workers.heeding import Interrupted

log = logging.getLogger("ridgeway.worker")

LONGEST_MESSAGE = 2000  # characters


class Stopping(Interrupted):
    """The worker was asked to stop; its lease goes back."""


class Withdrawn(Interrupted):
    """The lease that is worked on has been lost: its job is cancelled, or another holds it."""


ENDS_THE_LEASE = (LeaseLost, NotFound, Unreadable)  # and says nothing about the job
ENDS_THE_JOB = (JobUnrunnable, DBAPIError)  # the latter unless it passes by itself


@dataclass
class Fault:
    """The reason why something failed; None while it has not."""

    reason: str | None = None


@contextmanager
def faults_of_trials(lease: Lease, doing: str) -> Iterator[Fault]:
    """Log whatever a model raises inside, sys.exit() included, and note why; control passes."""
    fault = Fault()
    try:
        yield fault
    except (*ENDS_THE_LEASE, *ENDS_THE_JOB):
        raise
    except (Exception, SystemExit) as error:
        log.exception("%s %d failed", doing, lease.ordinal)
        fault.reason = reason_of(error)


def plain(text: str) -> str:
    """Return a message as every database keeps it, of a bearable length."""
    kept = text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    return kept if len(kept) <= LONGEST_MESSAGE else f"{kept[:LONGEST_MESSAGE]}..."


def reason_of(error: BaseException) -> str:
    """Return what an unforeseen error said."""
    return plain(f"{type(error).__name__}: {error}")
