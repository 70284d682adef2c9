"""A proxy before PostgreSQL that can fall silent, as a network that drops packets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import sqlalchemy as sa


class Proxy:
    """Passes bytes on between a port of this machine and a server, until it is told not to."""

    def __init__(self, server: sa.URL, listener: socket.socket) -> None:
        self._server = server
        self._listener = listener
        self._open: list[socket.socket] = []
        self._passing = threading.Event()
        self._passing.set()
        self.url = server.set(
            host="127.0.0.1", port=listener.getsockname()[1], query={}
        ).render_as_string(hide_password=False)

    def fall_silent(self) -> None:
        """Accept what comes and pass nothing on; connections stay open."""
        self._passing.clear()

    def speak_again(self) -> None:
        """Cut what was open, as its packets are lost, and pass on what comes."""
        self.close()
        self._passing.set()

    def close(self) -> None:
        """Cut every connection."""
        while self._open:
            with suppress(OSError):
                self._open.pop().shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Accept connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                self._open += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _connected(self) -> socket.socket:
        host = self._server.query.get("host") or self._server.host
        port = self._server.port or 5432
        if str(host).startswith("/"):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(f"{host}/.s.PGSQL.{port}")
            return connection
        return socket.create_connection((str(host), port))

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with source:
            with suppress(OSError):  # reset, as by a process that was killed
                while data := source.recv(65536):
                    if self._passing.is_set():
                        sink.sendall(data)
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_before(url: str) -> Iterator[Proxy]:
    """A proxy before the PostgreSQL server of a database's URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        proxy = Proxy(sa.engine.make_url(url), listener)
        thread = threading.Thread(target=proxy.run, daemon=True)
        thread.start()
        yield proxy
        listener.shutdown(socket.SHUT_RDWR)
        proxy.close()
        thread.join()
