"""Time the demo's search next to plain Optuna and torch that train the same trials one by one.

    python benchmarks/demo.py [--json] [--repeats 3] [--trials 200]

Ours: `ridgeway serve` on SQLite with a worker a core, the job posted over HTTP, from POST to the
last trial's end (`search`) and to the answer (`answer`). It is up before the first POST, as a
service is. Baseline (benchmarks/plain.py): as many processes on a shared SQLite study, from their
start to the last trial's end, and the same less the time to start them (`search, warm`). Runs are
interleaved; medians are printed, with the memory of service and workers after the last run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import plain
import psutil
from rows import Row, median, parser

from ridgeway.client.client import Client
from ridgeway.demo import SPEC
from ridgeway.spec.wording import parse_spec


def main() -> None:
    """Print the rows."""
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=200)
    arguments = options.parse_args()
    body = {**SPEC, "trials": arguments.trials}
    processes = len(os.sched_getaffinity(0))
    ours: list[dict[str, float]] = []
    theirs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder)) as (client, server):
        client.wait(client.submit({**body, "trials": 4}))
        for number in range(arguments.repeats):
            ours.append(run_ours(client, {**body, "seed": number}))
            theirs.append(run_plain(body, number, processes))
        memory = resident_megabytes(server)
    details = {"trials": arguments.trials, "processes": processes}
    for row in rows(ours, theirs, arguments.trials):
        Row(*row, parameters=details).print(arguments.json)
    for name, megabytes in memory.items():
        Row(f"{name} memory", megabytes, "MB", parameters=details).print(arguments.json)


def rows(
    ours: list[dict[str, float]], theirs: list[dict[str, float]], trials: int
) -> Iterator[tuple[str, float, str, float | None, float | None]]:
    """Print medians, ours against theirs."""

    def middle(runs: list[dict[str, float]], name: str) -> float:
        return median([run[name] for run in runs])

    search, plain_search = middle(ours, "search"), middle(theirs, "search")
    yield "search", search, "s", plain_search, plain_search / search
    warm = middle(theirs, "warm")
    yield "search, warm", search, "s", warm, warm / search
    yield "trials/s", trials / search, "trials/s", trials / plain_search, plain_search / search
    first, plain_first = middle(ours, "first"), middle(theirs, "first")
    yield "first trial", first, "s", plain_first, plain_first / first
    yield "answer", middle(ours, "answer"), "s", None, None


def run_ours(client: Client, body: dict) -> dict[str, float]:
    """Return seconds from POST to the first finished trial, to the last, and to the answer."""
    started = time.perf_counter()
    job = client.submit(body)
    seconds: dict[str, float] = {}
    while "answer" not in seconds:
        time.sleep(0.1)  # each look takes some milliseconds of the cores that train
        job = client.job(job)
        now = time.perf_counter() - started
        finished = job.progress.complete + job.progress.failed
        if finished:
            seconds.setdefault("first", now)
        if finished == job.progress.trials:
            seconds.setdefault("search", now)
        if job.ended:
            seconds["answer"] = now
    return seconds


def run_plain(body: dict, seed: int, processes: int) -> dict[str, float]:
    """Return the baseline's seconds, those to its first trial with the start of its processes."""
    with tempfile.TemporaryDirectory() as folder:
        return plain.search(parse_spec(body), seed, processes, Path(folder))


@contextmanager
def serving(folder: Path, workers: str = "auto") -> Iterator[tuple[Client, psutil.Process]]:
    """Run a service and so many workers on a data folder."""
    argv = [sys.executable, "-P", "-m", "ridgeway", "serve", "--data", str(folder), "--port", "0"]
    argv += ["--workers", workers]
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        while not (folder / "serve.json").exists():
            time.sleep(0.1)
        url = json.loads((folder / "serve.json").read_text())["url"]
        with Client(url) as client:
            yield client, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def resident_megabytes(server: psutil.Process) -> dict[str, float]:
    """Return the memory of the service and of the largest worker."""
    sizes: dict[str, float] = {}
    for process in server.children(recursive=True):
        for name in ("service", "workers"):
            if name in process.cmdline():
                size = process.memory_info().rss / 2**20
                sizes[name] = max(size, sizes.get(name, 0.0))
    return sizes


if __name__ == "__main__":
    main()
