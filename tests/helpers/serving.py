"""The service behind a real HTTP server, in a thread of the tests or as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from deployments import free_port
from fastapi import FastAPI
from waiting import wait_until

from ridgeway.settings import Settings
from service.app import create_app
from service.connections import Connection


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    app: FastAPI


@contextmanager
def serve(settings: Settings) -> Iterator[Served]:
    """The service on a free port of the loopback interface, in a thread."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, http=Connection))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service did not stop"


@contextmanager
def serve_apart(database_url: str, data: Path, **settings: str) -> Iterator[str]:
    """The service in a process of its own, with further RIDGEWAY_* settings; its URL."""
    given = {"database_url": database_url, "data": str(data), **settings}
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "service", "--port", str(port)],
        env=os.environ | {f"RIDGEWAY_{name.upper()}": value for name, value in given.items()},
    ) as process:
        try:
            wait_until(lambda: _alive(process, url), 60)
            yield url
        finally:
            process.terminate()


def _alive(process: subprocess.Popen[bytes], url: str) -> bool:
    assert process.poll() is None, "the service has ended"
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.ConnectError:
        return False
