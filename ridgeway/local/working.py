"""Who works on a job here: this process as a worker, others beside it, and who looks after them.

The workers stand beside `ridgeway`, and neither knows the other but in this one place: `_work_here`
loads them when a job is run, and pyproject.toml names the exception.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from ridgeway.client.waiting import progress_bar
from ridgeway.database.outages import first_line
from ridgeway.host.roles import count_cores, require_installed, worker_roles
from ridgeway.jobs import lifecycle, lookups
from ridgeway.jobs.rows import read_job
from ridgeway.local.folder import Place
from ridgeway.local.interrupts import Interrupts
from ridgeway.views import ENDED

LOOK_SECONDS = 0.1  # between two looks at the job, by whoever shows it or heeds its time
GOODBYE_SECONDS = 5.0  # in which a worker beside this process ends when it is asked to

log = logging.getLogger("ridgeway.local")


@dataclass(frozen=True)
class Crew:
    """Who works: `processes` in all, this one among them, -1 for one a core. bar: of progress."""

    processes: int = 1
    device: str = "auto"
    bar: bool = False

    @property
    def others(self) -> int:
        """Return how many processes are started beside this one."""
        return (count_cores() if self.processes == -1 else self.processes) - 1


def work(
    place: Place, job_id: str, timeout_seconds: float | None, crew: Crew, interrupts: Interrupts
) -> None:
    """Work on the job until it has ended; KeyboardInterrupt where one came."""
    require_installed("workers")
    with _others(place, crew), _attended(place, job_id, timeout_seconds, crew.bar):
        _work_here(place, job_id, crew.device, interrupts)
        interrupts.heed()


def _work_here(place: Place, job_id: str, device: str, interrupts: Interrupts) -> None:
    from workers.inprocess import worker_here

    def ended() -> bool:
        with place.database.reading() as transaction:
            return read_job(transaction, job_id).state in ENDED

    with (
        worker_here(place.database, place.store, place.settings, device, interrupts.heed) as worker,
        interrupts.telling(lambda: worker.stop(0)),
    ):
        worker.run(until=ended)


@contextmanager
def _others(place: Place, crew: Crew) -> Generator[None]:
    """Run workers beside this one; they end with the block, or with this process."""
    if crew.others < 1:
        yield
        return
    processes: list[subprocess.Popen[bytes]] = []
    try:
        kind = crew.device if crew.device in ("auto", "cpu") else "cuda"
        for role in worker_roles(kind, crew.others):
            environment = place.environment | dict(role.environment)
            # A group of its own: an interrupt at the keyboard is this process's to handle.
            started = subprocess.Popen(
                role.argv, stdin=subprocess.PIPE, env=environment, process_group=0
            )
            processes.append(started)
        yield
    finally:
        for each in processes:
            each.terminate()
        for each in processes:
            _see_off(each)


def _see_off(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(GOODBYE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()


@contextmanager
def _attended(
    place: Place, job_id: str, timeout_seconds: float | None, bar: bool
) -> Generator[None]:
    """Show how far the job is, and end its search when its time is up, from a thread."""
    if not bar and timeout_seconds is None:
        yield
        return
    over = threading.Event()
    with progress_bar() if bar else nullcontext() as progress:

        def attend() -> None:
            while not over.wait(LOOK_SECONDS):
                try:
                    if timeout_seconds is not None:
                        with place.database.transaction() as transaction:
                            lifecycle.sweep(transaction)
                    _show(place, job_id, progress)
                except DBAPIError as error:
                    log.warning("the database does not answer: %s", first_line(error))

        thread = threading.Thread(target=attend, name="attendant", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
        _show(place, job_id, progress)


def _show(place: Place, job_id: str, progress: Any) -> None:
    if progress is not None:
        with place.database.reading() as transaction:
            progress.update(lookups.find_job(transaction, job_id))
