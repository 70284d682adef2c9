"""`ridgeway serve` as a person runs it: one data folder, a service, a worker."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from waiting import wait_until

from ridgeway.client.client import Client

RIDGEWAY = [sys.executable, "-P", "-m", "ridgeway"]


eventually = partial(wait_until, seconds=120.0)


@dataclass(frozen=True)
class Serving:
    """A running `ridgeway serve`."""

    process: subprocess.Popen[str]
    data: Path

    @property
    def state(self) -> dict[str, Any]:
        try:
            return json.loads((self.data / "serve.json").read_text())
        except FileNotFoundError:
            return {}

    def children(self, module: str) -> list[psutil.Process]:
        """The living processes that run `python -m MODULE`."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            try:
                line = child.cmdline()
            except psutil.NoSuchProcess:
                continue
            if "-m" in line and line[line.index("-m") + 1] == module:
                found.append(child)
        return found


def start(data: Path, *arguments: str) -> Serving:
    argv = [*RIDGEWAY, "serve", "--data", str(data), "--workers", "1", "--port", "0", *arguments]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, umask=0o022)
    serving = Serving(process, data)
    # A killed serve leaves its file behind; its successor writes another process id.
    try:
        eventually(lambda: process.poll() is not None or serving.state.get("pid") == process.pid)
    except AssertionError:
        stop(serving)
        raise
    return serving


def stop(serving: Serving) -> None:
    if serving.process.poll() is None:
        serving.process.terminate()
        serving.process.wait(20)
    assert serving.process.stdout is not None
    serving.process.stdout.close()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One that every test of this module may look at, and must leave running."""
    serving = start(tmp_path_factory.mktemp("serve") / "data")
    yield serving
    stop(serving)


def refused(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [*RIDGEWAY, "serve", *arguments]
    return subprocess.run(
        argv,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_it_tells_scripts_and_people_where_it_listens(serving: Serving) -> None:
    assert serving.state["pid"] == serving.process.pid
    assert serving.process.stdout is not None
    lines = [serving.process.stdout.readline() for _ in range(3)]
    assert lines[0] == f"Ridgeway is ready at {serving.state['url']}\n"
    assert lines[1].endswith(f"{serving.state['url']}/docs\n")
    assert lines[2].endswith(f"{serving.state['url']}/dashboard\n")
    with Client(serving.state["url"]) as client:
        assert client.ready()


def test_the_data_folder_is_for_its_user_alone(serving: Serving) -> None:
    csv = b"a,label\n" + b"1,0\n2,1\n" * 10
    url = f"{serving.state['url']}/v1/datasets?name=private"
    httpx.post(url, content=csv, timeout=60).raise_for_status()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in serving.data.rglob("*")}
    assert {"ridgeway.db", "ridgeway.db-wal", "ridgeway.db-shm", "serve.json", "serve.lock"} <= {
        path.name for path in modes
    }
    assert any("store" in path.parts and path.is_file() for path in modes)
    assert {path: f"{mode:o}" for path, mode in modes.items() if mode & 0o077} == {}
    assert stat.S_IMODE(serving.data.stat().st_mode) == 0o700


def test_a_second_serve_on_the_folder_is_refused(serving: Serving) -> None:
    second = refused("--data", str(serving.data), "--port", "0")
    assert second.returncode == 2
    assert f"process {serving.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("linked", [False, True])
def test_a_second_serve_on_the_database_is_refused(
    serving: Serving, tmp_path: Path, linked: bool
) -> None:
    """Whichever folder it is given: its start would take the leases of the first one's workers."""
    folder = serving.data
    if linked:
        folder = tmp_path / "link"
        folder.symlink_to(serving.data)
    url = f"sqlite:///{folder / 'ridgeway.db'}"
    other = tmp_path / "other"
    second = refused("--data", str(other), "--port", "0", RIDGEWAY_DATABASE_URL=url)
    assert second.returncode == 2
    assert f"{serving.data / 'ridgeway.db'} is in use" in second.stderr
    assert f"process {serving.process.pid}" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        second = refused("--data", str(tmp_path / "other"), "--port", port)
    assert second.returncode == 2
    assert f"Port {port} on 127.0.0.1 is taken" in second.stderr


def test_an_address_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    other = refused("--data", str(tmp_path), "--host", "192.0.2.1", "--insecure")
    assert other.returncode == 2
    assert '--host = "192.0.2.1"' in other.stderr


def test_postgresql_is_not_migrated_unasked(tmp_path: Path, empty_postgres_url: str) -> None:
    environment = {"RIDGEWAY_DATABASE_URL": empty_postgres_url}
    unmigrated = refused("--data", str(tmp_path), "--port", "0", **environment)
    assert unmigrated.returncode == 2
    assert "ridgeway migrate" in unmigrated.stderr
    migrated = subprocess.run(
        [*RIDGEWAY, "migrate"], env={**os.environ, **environment}, check=False
    )
    assert migrated.returncode == 0


def test_the_service_comes_back_at_the_same_address(serving: Serving) -> None:
    [service] = serving.children("service")
    service.kill()
    with Client(serving.state["url"]) as client:
        eventually(lambda: not client.ready())
        eventually(client.ready)
    [successor] = serving.children("service")
    assert successor.pid != service.pid


def test_a_worker_comes_back_with_another_id(serving: Serving) -> None:
    [worker] = eventually(lambda: serving.children("workers"))
    line = worker.cmdline()
    worker.kill()
    [successor] = eventually(
        lambda: [w for w in serving.children("workers") if w.pid != worker.pid]
    )
    position = line.index("--id") + 1
    assert successor.cmdline()[position] != line[position]
    assert successor.environ()["OMP_NUM_THREADS"] == "1"


def test_the_supervisor_stays_small(serving: Serving) -> None:
    assert psutil.Process(serving.process.pid).memory_info().rss < 60 * 2**20


def test_a_killed_serve_leaves_nobody_and_its_successor_ends_in_good_order(tmp_path: Path) -> None:
    killed = start(tmp_path)
    orphans = psutil.Process(killed.process.pid).children(recursive=True)
    assert len(orphans) >= 2
    killed.process.kill()
    stop(killed)
    psutil.wait_procs(orphans, timeout=15)
    assert not any(process.is_running() for process in orphans)

    successor = start(tmp_path)
    everybody = psutil.Process(successor.process.pid).children(recursive=True)
    stop(successor)
    assert successor.process.returncode == 0
    assert not (tmp_path / "serve.json").exists()
    assert not any(process.is_running() for process in everybody)
