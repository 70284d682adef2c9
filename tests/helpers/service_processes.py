"""`python -m service` as a process of its own."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from waiting import wait_until


class ServiceProcess:
    """A running `python -m service`."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.http = httpx.Client(base_url=url, timeout=90)

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024

    def dashboards(self) -> list[psutil.Process]:
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if "service.dashboard" in child.cmdline()]


def environment(database_url: str, data: Path, **settings: str) -> dict[str, str]:
    own = {"RIDGEWAY_DATABASE_URL": database_url, "RIDGEWAY_DATA": str(data)}
    return os.environ | own | settings


@contextmanager
def running(
    database_url: str, data: Path, *arguments: str, **settings: str
) -> Iterator[ServiceProcess]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "service", "--port", str(port), *arguments],
        env=environment(database_url, data, **settings),
        stdin=subprocess.PIPE,
        umask=0o022,
    )
    service = ServiceProcess(process, f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: alive(service))
        yield service
    finally:
        service.http.close()
        process.terminate()
        process.wait(20)
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.close()


def alive(service: ServiceProcess) -> bool:
    assert service.process.poll() is None, "the service has ended"
    try:
        return service.http.get("/healthz").status_code == 200
    except httpx.ConnectError:
        return False
