"""Measure the service under load: clients that look at a job, submissions and claims in a queue.

looks        GET /v1/jobs/{id} a second, by so many clients that each ask again at once
look_p99     what one of a hundred of those looks exceeds
post_p99     the same of POST /v1/jobs into a queue of 1,000 jobs, one after the other
claim        a worker's claim in that queue, median

Idle, and during a search by one worker on the same machine.

Run: python benchmarks/load.py [--json] [--measure looks] [--database sqlite] [--pollers 200]
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from urllib.parse import urlsplit

import httpx
from rows import Row, median, parser
from served import CLAIMANT, migrated, service, url_of

from ridgeway.database.engine import Database
from ridgeway.jobs import claiming

MEASURES = ("looks", "queue")
DATABASES = ("sqlite", "postgresql")
QUEUE = 1_000
POSTS, CLAIMS = 300, 100
JOB = {"dataset": "digits", "model": {"kind": "mlp"}}
SEARCH = {"dataset": "digits", "model": {"kind": "linear"}, "trials": 20_000, "sampler": "random"}


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    options.add_argument("--database", choices=DATABASES, action="append", help="default: both")
    options.add_argument("--pollers", type=int, action="append", help="default: 1, 20 and 200")
    options.add_argument("--seconds", type=float, default=5.0, help="of looking, each time")
    arguments = options.parse_args()
    measures = arguments.measure or MEASURES
    for kind in arguments.database or DATABASES:
        if "looks" in measures:
            for searching in (False, True):
                for row in _looks(kind, searching, arguments.pollers or [1, 20, 200], arguments):
                    row.print(arguments.json)
        if "queue" in measures:
            for row in _queue(kind):
                row.print(arguments.json)


# --- looking ----------------------------------------------------------------------------------


def _looks(kind: str, searching: bool, pollers: list[int], arguments: object) -> Iterator[Row]:
    repeats, seconds = arguments.repeats, arguments.seconds  # type: ignore[attr-defined]
    with migrated(kind) as database, service(database) as (_, http):
        job = http.post("/v1/jobs", json=SEARCH if searching else JOB).json()["links"]["self"]
        with _worker(database, http, job) if searching else nullcontext():
            for count in pollers:
                runs = [asyncio.run(_poll(http, job, count, seconds)) for _ in range(repeats)]
                of = {
                    "pollers": count,
                    "during": "a search" if searching else "nothing else",
                    "database": kind,
                }
                rates = [len(each) / seconds for each in runs]
                yield Row("looks", median(rates), "requests/s", parameters=of)
                yield Row("look_p99", median([_p99(each) for each in runs]), "ms", parameters=of)


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


async def _poll(http: httpx.Client, path: str, pollers: int, seconds: float) -> list[float]:
    """Look with so many clients for so long; return the seconds of each look."""
    place = urlsplit(str(http.base_url))
    request = f"GET {path} HTTP/1.1\r\nHost: {place.hostname}:{place.port}\r\n\r\n".encode()
    end = time.perf_counter() + seconds
    taken: list[float] = []

    async def poll() -> None:
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while (start := time.perf_counter()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]
            await reader.readexactly(int(length))
            taken.append(time.perf_counter() - start)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(poll() for _ in range(pollers)))
    return taken


def _p99(seconds: list[float]) -> float:
    """Return the 99th percentile in milliseconds."""
    return 1000 * sorted(seconds)[int(0.99 * len(seconds))]


# --- a queue ----------------------------------------------------------------------------------


def _queue(kind: str) -> Iterator[Row]:
    of = {"queued": QUEUE, "database": kind}
    with migrated(kind) as database, service(database) as (_, http):
        for _ in range(QUEUE):
            http.post("/v1/jobs", json=JOB).raise_for_status()
        posts = [_timed_post(http) for _ in range(POSTS)]
        claims = [_timed_claim(database) for _ in range(CLAIMS)]
    yield Row("post_p99", _p99(posts), "ms", parameters=of)
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
