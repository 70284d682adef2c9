"""Why a job waits that nobody takes: which live workers there are, and what each of them lacks.

A plug-in's model, data set or penalty works where its package is installed, so a job may be one
that no live worker can take. That is told at every look at the job, and no more once one can. So
is a store that does not answer those who need it for the job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection, Row

from ridgeway.fleet import LiveWorker, list_live_workers
from ridgeway.jobs.leases import is_held
from ridgeway.jobs.store_outages import StoreOutage, find_outages, why_waits
from ridgeway.spec.spec import JobSpec

WAITS = ("queued", "running")  # states of a job that somebody is to take
MOST_NAMED = 4  # machines, in one warning
NOBODY = (
    "No worker is running, so nobody takes this job: start `ridgeway worker` with the service's "
    "RIDGEWAY_DATABASE_URL and RIDGEWAY_STORE_URL; `ridgeway serve` starts its own."
)
INSTALL = (
    "Install the packages that offer them beside a worker. An idle worker notices them within "
    "seconds and starts again."
)
UPGRADE = "Start a worker of the release that wrote what they can't read, or of a later one."


class Reason(NamedTuple):
    """Why a worker does not take a job: what it lacks, or why it can't read it; "" if neither."""

    lacks: str
    unreadable: str


class Waiting:
    """Tells of jobs why nobody takes them; the live workers are read once, when a job waits.

    waiting = Waiting(transaction)
    warnings = [waiting.why(row, spec) for row, spec in ...]
    """

    def __init__(self, transaction: Connection) -> None:
        self._transaction = transaction

    @cached_property
    def _live(self) -> Sequence[LiveWorker]:
        return list_live_workers(self._transaction)

    @cached_property
    def _outages(self) -> Sequence[StoreOutage]:
        return find_outages(self._transaction)

    def why(self, row: Row[Any], spec: JobSpec) -> str | None:
        """Return why no live worker can take the job; None where one can, or works on it.

        row: of `select_looks`.
        """
        if row.state not in WAITS:
            return None
        if row.outage and (told := self._why_waits(row, spec)):
            return told
        if not may_wait(row.state, row.running):
            return None
        if row.state == "running" and is_held(self._transaction, row.id):
            return None
        uploaded = row.dataset_id is not None
        lacking = [each.lacking(spec, uploaded=uploaded) for each in self._live]
        if not self._live:
            return NOBODY
        reasons = [
            Reason(", ".join(lacks), "" if lacks else each.unreadable.get(row.id, ""))
            for each, lacks in zip(self._live, lacking, strict=True)
        ]
        return _sentence(self._live, reasons) if all(map(any, reasons)) else None

    def _why_waits(self, row: Row[Any], spec: JobSpec) -> str | None:
        uploaded = row.dataset_id is not None
        able = {
            each.id
            for each in self._live
            if not each.lacking(spec, uploaded=uploaded) and row.id not in each.unreadable
        }
        return why_waits(self._transaction, row, self._outages, able)


def _sentence(live: Sequence[LiveWorker], reasons: Sequence[Reason]) -> str:
    whose = Counter(
        (worker.host, worker.version, reason) for worker, reason in zip(live, reasons, strict=True)
    )
    named = [_told(*own, count) for own, count in sorted(whose.items())]
    more = len(named) - MOST_NAMED
    told = "; ".join(named[:MOST_NAMED]) + (f"; and {more} more like them" if more > 0 else "")
    remedies = {INSTALL: any(each.lacks for each in reasons)}
    remedies |= {UPGRADE: any(each.unreadable for each in reasons)}
    needed = " ".join(remedy for remedy, helps in remedies.items() if helps)
    return f"No live worker can take this job: {told}. {needed}"


def may_wait(state: str, running: int) -> bool:
    """Return True for a job that may be one that nobody takes, by its state and live trials."""
    return state in WAITS and not running


def _told(host: str, version: str, reason: Reason, count: int) -> str:
    who = "a worker" if count == 1 else f"{count} workers"
    who += f" on {host} (release {version})"
    if reason.unreadable:
        verb = "says" if count == 1 else "say"
        return f"{who} {verb} {reason.unreadable.rstrip('.')!r}"
    verb = "lacks" if count == 1 else "lack"
    return f"{who} {verb} {reason.lacks}"
