"""Fixtures: the service behind a real HTTP server, on each database in turn."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from ridgeway.settings import Settings
from service.app import create_app


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    app: FastAPI


@contextmanager
def serve(settings: Settings) -> Iterator[Served]:
    """The service on a free port of the loopback interface, in a thread."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service did not stop"


@pytest.fixture
def service_settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings of a service under test; override this fixture for others."""
    return Settings(data=tmp_path, database_url=database_url)  # type: ignore[arg-type]


@pytest.fixture
def served(service_settings: Settings) -> Iterator[Served]:
    """A running service."""
    with serve(service_settings) as running:
        yield running


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """A client of a running service."""
    with httpx.Client(base_url=served.url, timeout=60) as client:
        yield client
