"""Measure what clients wait for at the service's door while a job runs: looks beside event streams.

look_p50     GET /v1/jobs/{id} by so many pollers that together ask at even times, from when it was
look_p99     due, waits of the client included
event_p50    from the commit of a population of trials until a stream has told it, over all streams
event_p99    (half a second passes between two looks at a job)
looks        answered a second; fewer than were due where the machine is busy
door_cost    the service's processor time a second

The job runs in the database alone: a population of trials is finished each half second, and nothing
is trained, unless --train asks for workers that train another job on the same cores.

Run: python benchmarks/streams.py [--json] [--database sqlite] [--pollers 200] [--streams 50]
     [--train 2]
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from load import DATABASES, Polls, processor_seconds
from rows import Row, parser
from served import migrated, persist_population, service, url_of

from ridgeway.database.engine import Database
from ridgeway.host.roles import ONE_THREAD

JOB = {"dataset": "digits", "model": {"kind": "mlp"}, "trials": 20_000}
# Before the other one, and of a data set that who finishes populations here does not offer.
TRAINED = {"dataset": "wine", "model": {"kind": "mlp"}, "trials": 20_000, "priority": 100}
EVERY_SECONDS = 0.5  # between two populations
COMPLETE = re.compile(rb'"complete":(\d+)')


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
    of["database"] = kind
    with migrated(kind) as database, service(database) as (process, http):
        path = http.post("/v1/jobs", json=JOB).json()["links"]["self"]
        with _training(http, database, arguments.train), _running(database) as committed:
            crowd = _Crowd(http, path, arguments)
            before = processor_seconds(process.pid)
            asyncio.run(crowd.meet())
            spent = processor_seconds(process.pid) - before
    delays = [at - committed[count] for count, at in crowd.told if count in committed]
    for name, seconds in (("look", crowd.polls.taken), ("event", delays)):
        for part in (50, 99) if seconds else ():
            value = 1000 * sorted(seconds)[int(part / 100 * len(seconds))]
            yield Row(f"{name}_p{part}", value, "ms", parameters=of.copy())
    yield Row("looks", len(crowd.polls.taken) / arguments.seconds, "1/s", parameters=of.copy())
    yield Row("door_cost", 1000 * spent / arguments.seconds, "ms/s", parameters=of.copy())


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


@contextmanager
def _running(database: Database) -> Iterator[dict[int, float]]:
    """Finish populations of the job; when each count of complete trials was committed."""
    committed: dict[int, float] = {}
    stopped = threading.Event()

    def work() -> None:
        count = 0
        while not stopped.wait(EVERY_SECONDS):
            count += persist_population(database, reports=1)
            committed[count] = time.perf_counter()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield committed
    finally:
        stopped.set()
        worker.join()


class _Crowd:
    """Pollers, and streams beside them."""

    def __init__(self, http: httpx.Client, path: str, arguments: Any) -> None:
        self.polls = Polls(http, path, arguments.pollers, arguments.seconds, arguments.rate)
        self.told: list[tuple[int, float]] = []
        self._streams: int = arguments.streams
        place = urlsplit(str(http.base_url))
        self._host, self._port = place.hostname, place.port
        head = f"GET {path}/events HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n"
        self._request = head.encode()

    async def meet(self) -> None:
        """Poll for as long as is asked for, while the streams listen."""
        listening = [asyncio.create_task(self._listen()) for _ in range(self._streams)]
        await self.polls.poll()
        for task in listening:
            task.cancel()
        for outcome in await asyncio.gather(*listening, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError), outcome

    async def _listen(self) -> None:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._request)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            while True:
                line = await reader.readline()
                assert line, "the stream has ended"
                if (found := COMPLETE.search(line)) is not None:
                    self.told.append((int(found[1]), time.perf_counter()))
        finally:
            writer.close()


if __name__ == "__main__":
    main()
