"""Measure the service under load: clients that look at a job, submissions and claims in a queue.

looks        GET /v1/jobs/{id} a second, by so many clients that each ask again at once
look_p99     what one of a hundred of those looks exceeds; their mean is clients / looks a second
look_cost    the service's processor time for each
due          the same by clients that together ask at even times, at a rate that is given
due_p99      what one of a hundred of those takes from when it was due, waits of the client included
post_p99     the same of POST /v1/jobs into a queue of 1,000 jobs, one after the other
claim        a worker's claim in that queue, median

Idle, and during a search by one worker on the same machine.

Run: python benchmarks/load.py [--json] [--measure due] [--database sqlite] [--pollers 200]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
from crowd import Crowd, percentile
from rows import Row, median, parser
from served import CLAIMANT, migrated, service, url_of

from ridgeway.database.engine import Database
from ridgeway.jobs import claiming

MEASURES = ("looks", "due", "queue")
DATABASES = ("sqlite", "postgresql")
QUEUE = 1_000
POSTS, CLAIMS = 300, 100
JOB = {"dataset": "digits", "model": {"kind": "mlp"}}
SEARCH = {
    "dataset": "digits",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "trials": 20_000,
    "sampler": "random",
}


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    options.add_argument("--database", choices=DATABASES, action="append", help="default: both")
    options.add_argument("--pollers", type=int, action="append", help="default: 1, 20 and 200")
    options.add_argument("--rate", type=float, default=1_500.0, help="of what is due, in all")
    options.add_argument("--seconds", type=float, default=5.0, help="of looking, each time")
    arguments = options.parse_args()
    measures = arguments.measure or MEASURES
    looking = [measure for measure in measures if measure != "queue"]
    for kind in arguments.database or DATABASES:
        for searching in (False, True):
            for row in _looks(looking, kind, searching, arguments) if looking else ():
                row.print(arguments.json)
        if "queue" in measures:
            for row in _queue(kind):
                row.print(arguments.json)


# --- looking ----------------------------------------------------------------------------------


def _looks(measures: Sequence[str], kind: str, searching: bool, arguments: Any) -> Iterator[Row]:
    with migrated(kind) as database, service(database) as (process, http):
        job = http.post("/v1/jobs", json=SEARCH if searching else JOB).json()["links"]["self"]
        with _worker(database, http, job) if searching else nullcontext():
            during = "a search" if searching else "nothing else"
            for row in _rows(measures, http, job, process.pid, arguments):
                row.parameters.update(during=during, database=kind)
                yield row


def _rows(
    measures: Sequence[str], http: httpx.Client, job: str, service_pid: int, arguments: Any
) -> Iterator[Row]:
    for measure in measures:
        rate = arguments.rate if measure == "due" else None
        name = measure.rstrip("s")
        for pollers in arguments.pollers or ([200] if rate else [1, 20, 200]):
            of: dict[str, Any] = {"pollers": pollers} | ({"rate": rate} if rate else {})
            crowd = Crowd(str(http.base_url), job, pollers, arguments.seconds, rate)
            before = processor_seconds(service_pid)
            runs = [crowd.meet().looks for _ in range(arguments.repeats)]
            spent = processor_seconds(service_pid) - before
            rates = [len(each) / arguments.seconds for each in runs]
            yield Row(measure, median(rates), "requests/s", parameters=of.copy())
            p99 = median([percentile(each, 99) for each in runs])
            yield Row(f"{name}_p99", p99, "ms", parameters=of.copy())
            cost = 1000 * spent / sum(map(len, runs))
            yield Row(f"{name}_cost", cost, "ms", parameters=of.copy())


def processor_seconds(pid: int) -> float:
    """Return what the process has spent (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _worker(database: Database, http: httpx.Client, job: str) -> Iterator[None]:
    environment = {"RIDGEWAY_DATABASE_URL": url_of(database), "RIDGEWAY_LOG_LEVEL": "warning"}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "workers", "--device", "cpu"], env=os.environ | environment
    )
    try:
        while not http.get(job).json()["progress"]["complete"]:
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


# --- a queue ----------------------------------------------------------------------------------


def _queue(kind: str) -> Iterator[Row]:
    of = {"queued": QUEUE, "database": kind}
    with migrated(kind) as database, service(database) as (_, http):
        for _ in range(QUEUE):
            http.post("/v1/jobs", json=JOB).raise_for_status()
        posts = [_timed_post(http) for _ in range(POSTS)]
        claims = [_timed_claim(database) for _ in range(CLAIMS)]
    yield Row("post_p99", percentile(posts, 99), "ms", parameters=of)
    yield Row("claim", median(claims) * 1000, "ms", parameters=of)


def _timed_post(http: httpx.Client) -> float:
    start = time.perf_counter()
    http.post("/v1/jobs", json=JOB).raise_for_status()
    return time.perf_counter() - start


def _timed_claim(database: Database) -> float:
    start = time.perf_counter()
    with database.transaction() as transaction:
        assert claiming.claim(transaction, CLAIMANT) is not None
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
