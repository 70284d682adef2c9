"""What containers run, run as plain processes with their environment: a job of theirs succeeds."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from containers import Container, Machine, clustered, composed
from databases import create_database, drop_database
from deployments import SMALL, free_port, wait_until

from ridgeway.client.client import Client
from ridgeway.errors import RidgewayError
from workers.kernels.library import private_folder

GRACE_SECONDS = 25.0  # less than each container is given
# By what they are called in docker-compose.yml and in the manifests.
PLATFORMS: Mapping[str, tuple[Mapping[str, Container], str]] = {
    "compose": (composed(), "workers-cpu"),
    "kubernetes": (clustered("cpu"), "workers"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all, with the kernels that this machine has compiled already."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "ridgeway").mkdir(mode=0o700)
    for kernels in private_folder().glob("*.so"):
        shutil.copy2(kernels, cache / "ridgeway")
    return cache


@pytest.fixture
def machine(postgres_server: str, tmp_path: Path, cache: Path) -> Iterator[Machine]:
    url = create_database(postgres_server, "template0")
    machine = Machine(tmp_path, cache, free_port())
    machine.prepare(url)
    yield machine
    drop_database(postgres_server, url)


def end(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """The exit codes after SIGTERM; what has not ended by then is killed."""
    for process in processes:
        process.terminate()
    try:
        return [process.wait(GRACE_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_job_succeeds_by_the_containers_commands(platform: str, machine: Machine) -> None:
    containers, workers = PLATFORMS[platform]
    machine.run(containers["migrate"], containers["migrate"].command)
    made = ["ridgeway", "keys", "create", "acceptance", "--scope", "submit"]
    key = machine.run(containers["migrate"], made).strip()
    started = {
        name: machine.start(containers[name], machine.folder / f"{name}.log")
        for name in ("service", workers)
    }
    try:
        for name in started:
            wait_until(lambda name=name: machine.well(containers[name]), 60)
        url = f"http://127.0.0.1:{machine.port}"
        with Client(url) as stranger, pytest.raises(RidgewayError, match="key"):
            stranger.submit(SMALL)
        with Client(url, key) as client:
            done = client.wait(client.submit(SMALL), timeout=120)
        assert done.state == "succeeded"
    finally:
        codes = end(list(started.values()))
        for name in started:
            print(f"--- {name}\n{(machine.folder / f'{name}.log').read_text()[-4000:]}")
    # uvicorn ends by the signal that it was ended by, once it has finished.
    assert codes == [-signal.SIGTERM, 0]
    # Nothing is written where a container has no volume.
    assert list((machine.folder / "elsewhere").iterdir()) == []
