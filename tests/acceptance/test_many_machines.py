"""What docs/many-machines.md tells people to type is typed here, on "machines" that are folders."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import execute
from deployments import REPOSITORY, free_port, wait_until

from ridgeway.client.client import Client

PAGE = (REPOSITORY / "docs" / "many-machines.md").read_text()
ONE_CORE = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))  # of each machine


def programs(server: str) -> str:
    """Where psql and pg_dump of the server's own version are."""
    url = sa.engine.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        asked = sa.text("SELECT setting FROM pg_config WHERE name = 'BINDIR'")
        return connection.execute(asked).scalar_one()


def blocks(heading: str) -> list[str]:
    """The shell blocks under a heading; those with prompts need what there is not here."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found
    return found


class Site:
    """Where the page's names lead here: its folders, its hosts, and what was started."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.port = folder, free_port()
        self.names = {
            "/etc/ridgeway": str(folder / "etc"),
            "/srv/ridgeway": str(folder / "srv"),
            "http://ridgeway.example:8000": f"http://127.0.0.1:{self.port}",
            "--port 8000": f"--port {self.port}",
            "@db.example/ridgeway": f"@/ridgeway?host={sa.engine.make_url(server).query['host']}",
        }
        path = f"{Path(sys.executable).parent}:{programs(server)}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "POSTGRES": server}
        self.sessions: list[int] = []
        for name in ("etc", "srv"):
            (folder / name).mkdir(mode=0o700)

    def type_in(self, machine: str, heading: str) -> str:
        """Type a section's blocks on a machine, in one shell; what they print."""
        script = "".join(blocks(heading))
        for name, here in self.names.items():
            script = script.replace(name, here)
        home = self.folder / machine
        home.mkdir(exist_ok=True)
        log = home / f"{heading}.out"
        with log.open("wb") as output:
            shell = subprocess.Popen(
                [*ONE_CORE, "bash", "-euc", script],
                cwd=home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.sessions.append(shell.pid)
            code = shell.wait(120)
        assert code == 0, f"{heading}, on {machine}:\n{log.read_text()}"
        return log.read_text()

    def stop(self) -> None:
        for session in self.sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGTERM)


@pytest.fixture
def site(postgres_server: str, tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path, postgres_server)
    yield site
    site.stop()
    execute(postgres_server, "DROP DATABASE IF EXISTS ridgeway WITH (FORCE)")
    execute(postgres_server, "DROP ROLE IF EXISTS ridgeway")
    for log in tmp_path.rglob("*.log"):
        print(f"--- {log.relative_to(tmp_path)}\n{log.read_text()[-2000:]}")


def test_the_page_leads_from_nothing_to_a_job_on_two_machines(site: Site) -> None:
    site.type_in("one", "PostgreSQL")
    site.type_in("one", "The store")
    site.type_in("one", "Tables and keys")
    site.type_in("one", "The service")
    for machine in ("two", "three"):
        site.type_in(machine, "Workers by hand, by ssh or systemd")
    key = (site.folder / "etc" / "operator-key").read_text().strip()
    with Client(site.names["http://ridgeway.example:8000"], key) as client:
        wait_until(lambda: len(client.workers().workers) == 2)
    told = site.type_in("one", "Are they alive?")
    assert not re.search("^fail ", told, re.MULTILINE)
    assert set(re.findall(r"^ok +(\w+)", told, re.MULTILINE)) >= {"settings", "schema", "service"}
    assert " 2 alive" in told
    with Client(site.names["http://ridgeway.example:8000"], key) as client:
        assert [job.state for job in client.jobs()] == ["succeeded"]
    site.type_in("one", "Upgrading")
    assert (site.folder / "one" / "before-the-upgrade.tar").stat().st_size > 1000
    assert list((site.folder / "srv" / "store").iterdir())


def test_whatever_is_typed_elsewhere_is_told_apart() -> None:
    """Blocks with prompts are not run here: they need a cluster, root or another machine."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL):
        assert all(line.startswith(("$ ", "> ")) for line in block.splitlines())
    named = re.findall(r"\bdeploy/(?:kubernetes|slurm|systemd)[\w./-]*", PAGE)
    assert named
    assert [name for name in named if not (REPOSITORY / name.rstrip("./")).exists()] == []
