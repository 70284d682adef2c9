"""`ridgeway demo`: the whole way once, over HTTP: serve, submit, wait, the answer, stop."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ridgeway.client.client import Client
from ridgeway.client.show import job_summary, write
from ridgeway.errors import RidgewayError, Unreachable
from ridgeway.host.private import keep_private
from ridgeway.settings import Settings
from ridgeway.spec.names import DEFAULT_PENALTIES
from ridgeway.views import Job
from ridgeway.words import duration

START_SECONDS = 120.0  # importing torch from a cold disk takes its time
STOP_SECONDS = 20.0
LOG_LINES = 20  # of the server's log, shown when something went wrong

SPEC = {
    "name": "breast_cancer, which penalty?",
    "dataset": "breast_cancer",
    "model": {"kind": "mlp", "hidden": [64]},
    "search": {"penalty": list(DEFAULT_PENALTIES)},
    "validation": {"kind": "folds", "folds": 5},
}


def run(data: Path, trials: int) -> None:
    """Search `breast_cancer` on a service of our own and print the answer.

    Raises JobFailed, or Unreachable where the service doesn't start.
    """
    keep_private()
    begun = time.monotonic()
    with _server(data) as url, Client(url) as client:
        took = duration(time.monotonic() - begun)
        write(f"Service and workers are up at {url} after {took}.")
        write(f"Searching {SPEC['dataset']}: 5 penalties, {trials} trials, 5 folds.\n")
        job = client.wait(client.submit(SPEC, trials=trials), progress=True, poll_seconds=0.2)
        first = _first_finished(client, job)
    write(Group("", job_summary(job), _look_further(job, first, data)))


def _first_finished(client: Client, job: Job) -> timedelta:
    """Return the time from the job's submission to its first complete trial."""
    ends = [trial.finished_at for trial in client.trials(job, state="complete")]
    return min(end for end in ends if end is not None) - job.created_at


def _look_further(job: Job, first: timedelta, data: Path) -> RenderableType:
    how = "make serve" if data == Path("ridgeway-data") else f"ridgeway serve --data {data}"
    url = Settings().url
    return Group(
        f"The first trials were finished {duration(first.total_seconds())} after POST.",
        "",
        Text.assemble("Look further: ", (how, "bold"), ", then"),
        f"  {url}/jobs/{job.id}   this answer, as a page",
        f"  {url}/docs   every call and field",
        f"  {url}{job.links.dashboard}   every trial, in Optuna's dashboard",
    )


@contextmanager
def _server(data: Path) -> Generator[str]:
    """Run a service and workers in the data folder; yield their URL, and stop them at the end."""
    data.mkdir(parents=True, exist_ok=True)
    log = data / "demo.log"
    argv = ["serve", "--supervised", "--port", "0", "--data", str(data)]
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ridgeway", *argv],
            stdin=subprocess.PIPE,
            stdout=sink,
            stderr=sink,
            process_group=0,
        )
    try:
        yield _wait_until_ready(process, data / "serve.json", log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdin is not None
        process.stdin.close()


def _wait_until_ready(process: subprocess.Popen[bytes], state: Path, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RidgewayError(_tail(log, "The service did not start:"))
        found: dict[str, Any] = json.loads(state.read_text()) if state.exists() else {}
        if found.get("pid") == process.pid:  # a killed serve leaves its own behind
            return str(found["url"])
        time.sleep(0.05)
    raise Unreachable(_tail(log, f"The service was not ready after {START_SECONDS:g} s:"))


def _tail(log: Path, message: str) -> str:
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return "\n".join([message, *(f"  {line}" for line in lines)])
