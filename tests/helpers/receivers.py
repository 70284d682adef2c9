"""Receivers of notifications: small web servers that keep what they are told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """A receiver; the statuses that it answers with in turn, the last one from then on."""

    port: int
    statuses: list[int]
    told: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # of its answers
    silent_seconds: float = 0.0
    endless: bool = False  # a body without an end

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def receive(*statuses: int, port: int = 0) -> Iterator[Receiver]:
    """A receiver on the loopback interface."""
    receiver = Receiver(port, list(statuses) or [204])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.told.append((self.path, dict(self.headers.items()), body))
            time.sleep(receiver.silent_seconds)
            left = receiver.statuses
            self.send_response(left.pop(0) if len(left) > 1 else left[0])
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.end_headers()
            while receiver.endless:
                self.wfile.write(b"x" * 4096)

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            """Keep quiet: a sender may leave in the midst of an answer."""

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield receiver
        receiver.endless = False
        server.shutdown()
        thread.join()
