"""Measure what clients wait for at the service's door while a job runs: looks beside event streams.

look_p50     GET /v1/jobs/{id} by so many pollers that together ask at even times, as `Client.wait`
look_p99     does (for what has changed, compressed), from when it was due to the last byte
lag_p99      how late they asked, which the service knows nothing of: the clients had no core
served_p99   the service's own measure of looks, from the request to the answer's head; between
             bounds of its histogram it is interpolated
event_p50    from the commit of a population of trials until a stream has told it, over all streams
event_p99    (half a second passes between two looks at a job)
looks        answered a second; fewer than were due where the machine is busy
look_cost    the service's processor time for each, all that it does beside included
crowd_cost   the clients' processor time for each, streams included

The job runs in the database alone: a population of trials is finished each half second, and nothing
is trained, unless --train asks for workers that train another job on the same cores. Clients, who
finishes the populations, and the service are a process each.

Run: python benchmarks/streams.py [--json] [--database sqlite] [--pollers 200] [--streams 50]
     [--train 2]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

import httpx
from crowd import Crowd, Seen, percentile
from load import DATABASES, processor_seconds
from prometheus_client.parser import text_string_to_metric_families
from rows import Row, parser
from served import migrated, persist_population, service, url_of

from ridgeway.database.engine import Database
from ridgeway.host.roles import ONE_THREAD

JOB = {"dataset": "digits", "model": {"kind": "mlp"}, "trials": 20_000}
# Before the other one, and of a data set that who finishes populations here does not offer.
TRAINED = {"dataset": "wine", "model": {"kind": "mlp"}, "trials": 20_000, "priority": 100}
EVERY_SECONDS = 0.5  # between two populations


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--database", choices=DATABASES, action="append", help="default: both")
    options.add_argument("--pollers", type=int, default=200)
    options.add_argument("--streams", type=int, default=50)
    options.add_argument("--rate", type=float, default=400.0, help="looks a second, of all pollers")
    options.add_argument("--train", type=int, default=0, help="workers that train meanwhile")
    options.add_argument("--seconds", type=float, default=10.0, help="of looking and listening")
    arguments = options.parse_args()
    for kind in arguments.database or DATABASES:
        for row in _rows(kind, arguments):
            row.print(arguments.json)


def _rows(kind: str, arguments: Any) -> Iterator[Row]:
    of = {name: getattr(arguments, name) for name in ("pollers", "streams", "rate", "train")}
    with migrated(kind) as database, service(database) as (process, http):
        path = http.post("/v1/jobs", json=JOB).json()["links"]["self"]
        asked = (arguments.pollers, arguments.seconds, arguments.rate, arguments.streams)
        crowd = Crowd(str(http.base_url), path, *asked)
        with (
            _training(http, database, arguments.train),
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere,
        ):
            elsewhere.submit(os.getpid).result()  # it has started
            spent, served = processor_seconds(process.pid), _served(http)
            seen, committed = _met(elsewhere.submit(crowd.meet), database)
            spent = processor_seconds(process.pid) - spent
            served = {bound: count - served.get(bound, 0) for bound, count in _served(http).items()}
    delays = [at - committed[count] for count, at in seen.told if count in committed]
    measures = [(f"look_p{part}", percentile(seen.looks, part), "ms") for part in (50, 99)]
    measures.append(("lag_p99", percentile(seen.lags, 99), "ms"))
    measures.append(("served_p99", 1000 * _between(served, 0.99), "ms"))
    for part in (50, 99) if delays else ():
        measures.append((f"event_p{part}", percentile(delays, part), "ms"))
    looks = len(seen.looks)
    measures.append(("looks", looks / arguments.seconds, "1/s"))
    measures.append(("look_cost", 1000 * spent / looks, "ms"))
    measures.append(("crowd_cost", 1000 * seen.processor_seconds / looks, "ms"))
    for name, value, unit in measures:
        yield Row(name, value, unit, parameters={**of, "database": kind})


def _served(http: httpx.Client) -> dict[float, float]:
    """Return how many looks the service has answered, by the seconds that they took at most."""
    of = {"route": "/v1/jobs/{id}", "method": "GET"}
    counts: dict[float, float] = {}
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            bucket = sample.name == "ridgeway_http_seconds_bucket"
            if bucket and of.items() <= sample.labels.items():
                bound = float(sample.labels["le"])  # of each class of statuses
                counts[bound] = counts.get(bound, 0.0) + sample.value
    return counts


def _between(counts: dict[float, float], part: float) -> float:
    """Return what that part of a histogram's values does not exceed, as Prometheus reckons it."""
    rank = part * max(counts.values())
    low, below = 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= rank:
            return low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    raise AssertionError("the last bound is infinite")


@contextmanager
def _training(http: httpx.Client, database: Database, count: int) -> Iterator[None]:
    """Have so many workers train a job of their own, from its first trial on."""
    argv = [sys.executable, "-P", "-m", "workers", "--device", "cpu", "--yielding"]
    with tempfile.TemporaryDirectory() as folder:
        own = {"RIDGEWAY_DATABASE_URL": url_of(database), "RIDGEWAY_DATA": folder}
        environment = os.environ | ONE_THREAD | own | {"RIDGEWAY_LOG_LEVEL": "warning"}
        workers = [subprocess.Popen(argv, env=environment) for _ in range(count)]
        try:
            if workers:
                path = http.post("/v1/jobs", json=TRAINED).json()["links"]["self"]
                while not http.get(path).json()["progress"]["complete"]:
                    time.sleep(0.5)
            yield
        finally:
            for worker in workers:
                worker.terminate()
                worker.wait()


def _met(meeting: Future[Seen], database: Database) -> tuple[Seen, dict[int, float]]:
    """Finish populations of the job while the clients look.

    Return what they have seen, and when each count of complete trials was committed.
    """
    committed: dict[int, float] = {}
    count = 0
    while not meeting.done():
        time.sleep(EVERY_SECONDS)
        count += persist_population(database, reports=1)
        committed[count] = time.perf_counter()
    return meeting.result(), committed


if __name__ == "__main__":
    main()
