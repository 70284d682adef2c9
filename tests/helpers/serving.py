"""The service behind a real HTTP server, in a thread of the tests."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
