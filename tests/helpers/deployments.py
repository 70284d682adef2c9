"""Ridgeway as its users run it: real processes, driven over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from databases import create_database, drop_database
from invariants import check

from ridgeway.client.client import Client
from ridgeway.database.engine import Database
from ridgeway.views import Job

PATIENCE_SECONDS = 240.0
REPOSITORY = Path(__file__).parents[2]

# A job that ends within seconds.
SMALL: dict[str, Any] = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "validation": {"kind": "folds", "folds": 2},
    "trials": 12,
    "epochs": 4,
}

# Long enough that a population is alive for seconds, short enough for a test.
LONG: dict[str, Any] = {
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [32]},
    "trials": 40,
    "epochs": 60,
    "validation": {"kind": "folds", "folds": 3},
    "sampler": "random",
}


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Poll until it holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def fill(ballast: Path) -> None:
    """Write into a file until the disk is full."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


@dataclass
class Deployment:
    """A service, its workers and its database, in processes of their own."""

    url: str
    database_url: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    logs: Sequence[Path] = ()
    start_service: Callable[[], subprocess.Popen[bytes]] | None = None

    @property
    def client(self) -> Client:
        return Client(self.url)

    def pids(self, module: str) -> list[int]:
        """The processes below ours that run `python -m MODULE`."""
        found = []
        for started in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(started.pid)
                for each in (process, *process.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        line = each.cmdline()
                        if "-m" in line and line[line.index("-m") + 1] == module:
                            found.append(each.pid)
        return found

    def kill(self, module: str) -> int:
        """kill -9 every process that runs `python -m MODULE`; how many there were."""
        pids = self.pids(module)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    def restart_service(self) -> None:
        """Start the killed service again where, as in a container, no supervisor of ours does."""
        if self.start_service is not None:
            self.processes.append(self.start_service())

    def database(self) -> Database:
        return Database(self.database_url)

    def ready(self) -> bool:
        with self.client as client:
            return client.ready()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Installation:
    """A Python that has Ridgeway installed, and the folder that its commands are run in."""

    python: str
    folder: Path

    def start(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [self.python, "-P", "-m", "ridgeway", *arguments],
                cwd=self.folder,
                env={**os.environ, **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def run(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
        """Standard output of a command that must succeed."""
        done = subprocess.run(
            [self.python, "-P", "-m", "ridgeway", *arguments],
            cwd=self.folder,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def serve(
        self, data: Path, workers: int = 2, environment: Mapping[str, str] | None = None
    ) -> Deployment:
        """`ridgeway serve` on SQLite in a data folder, ready for jobs."""
        arguments = ["serve", "--data", str(data), "--port", "0", "--workers", str(workers)]
        process = self.start(arguments, environment or {}, data.with_suffix(".log"))
        state = data / "serve.json"

        def up() -> bool:
            assert process.poll() is None, data.with_suffix(".log").read_text()
            return state.exists()

        wait_until(up)
        url = json.loads(state.read_text())["url"]
        database_url = f"sqlite:///{data / 'ridgeway.db'}"
        return Deployment(url, database_url, [process], [data.with_suffix(".log")])

    def compose(
        self,
        database_url: str,
        folder: Path,
        workers: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Deployment:
        """The containers of docker-compose.yml as plain processes: migrate, service, workers."""
        port = free_port()
        environment = {
            **(environment or {}),
            "RIDGEWAY_DATABASE_URL": database_url,
            "RIDGEWAY_STORE_URL": str(folder / "store"),
        }
        commands = composed_commands()
        # A container has an address of its own; here the last flag of a kind holds.
        commands["service"] += ["--host", "127.0.0.1", "--port", str(port)]
        commands["workers-cpu"] += [] if workers is None else ["--processes", str(workers)]
        assert (
            subprocess.run(
                self._argv(commands["migrate"]), cwd=self.folder, env={**os.environ, **environment}
            ).returncode
            == 0
        )

        def start(name: str) -> subprocess.Popen[bytes]:
            with (folder / f"{name}.log").open("ab") as output:
                return subprocess.Popen(
                    self._argv(commands[name]),
                    cwd=self.folder,
                    env={**os.environ, **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )

        processes = [start("service"), start("workers-cpu")]
        url = f"http://127.0.0.1:{port}"
        logs = [folder / "service.log", folder / "workers-cpu.log"]
        deployment = Deployment(url, database_url, processes, logs, lambda: start("service"))
        try:
            wait_until(deployment.ready)
        except AssertionError:
            deployment.stop()
            raise
        return deployment

    def _argv(self, command: Sequence[str]) -> list[str]:
        """A container's command with this installation's Python and commands."""
        if command[0] == "python":
            return [self.python, *command[1:]]
        assert command[0] == "ridgeway"
        return [self.python, "-P", "-m", *command]


def composed_commands() -> dict[str, list[str]]:
    """The command of each container that runs our image."""
    compose = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    services = compose["services"].items()
    return {name: service["command"] for name, service in services if "command" in service}


def checked(deployment: Deployment, job: Job) -> Job:
    """The job at its end, with nothing lost and nothing doubled."""
    with deployment.client as client:
        client.wait(job, timeout=240)
    database = deployment.database()
    done = check(database, job.id)
    database.close()
    return done


def deployed(
    request: pytest.FixtureRequest, installation: Installation, folders: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """One on the database that the fixture's parameter names, with a folder of its own."""
    folder = folders.mktemp("deployed")
    if request.param == "sqlite":
        deployment = installation.serve(folder / "data")
        yield deployment
        deployment.stop()
        return
    server = request.getfixturevalue("postgres_server")
    url = create_database(server, "template0")
    deployment = installation.compose(url, folder)
    yield deployment
    deployment.stop()
    drop_database(server, url)
