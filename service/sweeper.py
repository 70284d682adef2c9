"""Looks for jobs that have run out of time, as long as the service lives."""

from __future__ import annotations

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from ridgeway.database.engine import Database
from ridgeway.database.outages import first_line
from ridgeway.jobs.lifecycle import sweep

log = logging.getLogger(__name__)


class Sweeper:
    """A thread that sweeps every so many seconds; a database that is away is asked again."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Sweep now and from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Return when the last sweep has ended, but wait for no stuck database."""
        self._stopping.set()
        self._thread.join(5)

    def _sweep(self) -> bool:
        with self._database.transaction() as transaction:
            return sweep(transaction)

    def _run(self) -> None:
        while True:
            try:
                while self._sweep():
                    pass
            except SQLAlchemyError as error:
                log.warning("Can't look for jobs out of time: %s", first_line(error))
            if self._stopping.wait(self._seconds):
                return
