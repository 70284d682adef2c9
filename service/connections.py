"""Connections: how many there may be, and how long one may take to ask and to read its answer.

uvicorn waits for ever for a request's head, and for a client that does not read. How long a body
may take is service/limits.py's matter.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from functools import cache

import h11
from fastapi import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.problems import RETRY_AFTER_SECONDS, problem
from service.refusing import refuse

MOST_CONNECTIONS = 1000
SPARE_DESCRIPTORS = 100  # for the database, the store, uploads and the dashboard
HEAD_SECONDS = 20.0  # for a request's head, from the connection or from its first byte
ANSWER_SECONDS = 60.0  # for a client to take some 50 kB of its answer
SILENT_SECONDS = 60.0  # between what is said of descriptors that have run out


class Connection(H11Protocol):
    """A connection that is closed when it takes too long, and answered 503 when it is too many.

    The first `most_connections()` are served. As many again are told to come back; further ones
    are closed at once, so that descriptors do not run out.
    """

    _head_due: asyncio.TimerHandle | None = None
    _answer_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        beside = len(self.connections) - 1
        if beside >= 2 * most_connections():
            transport.abort()
            return
        if beside >= most_connections():
            self.app = _busy
        _forget_the_unreachable(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._answer_due is None:
            self._answer_due = self.loop.call_later(ANSWER_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._answer_due = _cancelled(self._answer_due)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._head_due = _cancelled(self._head_due)
        self._answer_due = _cancelled(self._answer_due)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._answer(problem(400, msg))

    def _watch_head(self) -> None:
        """Set a time for the next request's head, unless one is set or a request is at work."""
        if self.cycle and not self.cycle.response_complete:
            self._head_due = _cancelled(self._head_due)
        elif self._head_due is None:
            self._head_due = self.loop.call_later(HEAD_SECONDS, self._head_is_late)

    def _head_is_late(self) -> None:
        begun = self.conn.our_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if begun and not self.transport.is_closing():
            self._answer(problem(408, f"The request's head took more than {HEAD_SECONDS:g} s."))
        self.transport.close()

    def _answer(self, response: Response) -> None:
        """Write an answer where no request has been read, and close."""
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=response.status_code, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


async def _busy(scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"The service has more than {most_connections()} connections; try again."
    response = problem(503, detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    await refuse(response, receive, send)


def _cancelled(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _forget_the_unreachable(transport: asyncio.Transport) -> None:
    """Let the kernel end a connection on whose other side nobody has taken anything for long.

    `pause_writing` sees only what does not fit into its buffers.
    """
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        milliseconds = int(ANSWER_SECONDS * 1000)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


# --- descriptors ------------------------------------------------------------------------------


def raise_descriptors() -> None:
    """Take as many descriptors as this process may have; most shells grant 1,024 at first."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    most_connections.cache_clear()


@cache
def most_connections() -> int:
    """Return how many connections are served at once."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, min(MOST_CONNECTIONS, (descriptors - SPARE_DESCRIPTORS) // 2))


class OneComplaint(logging.Filter):
    """Says once a minute, in a line, that there was no descriptor for a connection.

    asyncio logs a traceback for each attempt, two thousand a second.
    """

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.getMessage().startswith("socket.accept() out of system resource"):
            return True
        if time.monotonic() < self._silent_until:
            return False
        self._silent_until = time.monotonic() + SILENT_SECONDS
        record.msg = "No descriptors are left for further connections; they wait (see ulimit -n)."
        record.args = record.exc_info = record.exc_text = None
        return True
